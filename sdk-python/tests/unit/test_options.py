"""How a client is configured, and that its key shows nowhere."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback

import grpc
import pytest
from conftest import KEY, make
from fakebroker import Refusal
from pki import BROKER

import onedoor
from onedoor import errors

Code = grpc.StatusCode


def test_the_key_shows_nowhere(new_rig, caplog, capfd):
    caplog.set_level(logging.DEBUG)

    def answer(n, call):
        raise Refusal(Code.UNAUTHENTICATED, "TASK_KEY_INVALID")

    rig = new_rig(answer)
    with pytest.raises(errors.TaskKeyInvalid) as e:
        rig.client.invoke("crm", "contacts.get")
    shown = [str(rig.client), repr(rig.client), str(e.value), repr(e.value), repr(vars(e.value))]
    # What error reporters show: the variables of each frame.
    shown += traceback.TracebackException.from_exception(e.value, capture_locals=True).format()
    client = getattr(rig.client, "_client", rig.client)
    shown += [f"{client._key}", f"{client._key!r}", str(client._key), repr(vars(client)), caplog.text]
    shown += capfd.readouterr()
    assert not [s for s in shown if "SECRET" in s]
    assert rig.calls[0].metadata["authorization"] == "Bearer " + KEY
    with pytest.raises(TypeError):
        pickle.dumps(client._key)


@pytest.mark.parametrize(
    "change",
    [
        {"addr": "broker"},
        {"broker_id": "x"},
        {"task_key": f'"{KEY}"'},
        {"task_key": f"{KEY}\n"},
        {"file": f'"{KEY}"'.encode()},
        {"file": f"{KEY}\xe9".encode()},
        {"env": f'"{KEY}"'},
        {"env": KEY, "addr": "broker"},
        {"identity": None},
        {"identity": None, "workload_socket": "unix:///none"},
    ],
    ids=[
        "address",
        "broker ID",
        "quoted",
        "newline",
        "quoted file",
        "no ASCII",
        "quoted env",
        "env",
        "no API",
        "no socket",
    ],
)
def test_the_key_shows_in_no_error_of_the_constructor(change, monkeypatch, tmp_path, home):
    from pki import SANDBOX, Held

    source = Held(home.identity(home.issue(SANDBOX)))
    given = {
        "addr": "127.0.0.1:1",
        "broker_id": BROKER,
        "identity": source,
        "startup_timeout": 0.01,
        **change,
    }
    if "file" in given:
        given["task_key_file"] = tmp_path / "key"
        given["task_key_file"].write_bytes(given.pop("file"))
    elif "env" in given:
        monkeypatch.setenv("ONEDOOR_TASK_KEY", given.pop("env"))
    else:
        given.setdefault("task_key", KEY)

    async def entered(options):
        async with onedoor.AsyncClient(**options):
            pass

    for start in (lambda: onedoor.Client(**given), lambda: asyncio.run(entered(given))):
        with pytest.raises(errors.OnedoorError) as e:
            start()
        seen = e.value
        while seen is not None:
            assert "SECRET" not in repr(seen) + "".join(_frames_within(seen))
            seen = seen.__cause__ or seen.__context__


def _frames_within(error):
    """The variables of the SDK's own frames; those of the caller are the caller's."""
    for frame in traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True):
        if "tests" not in frame.filename and "asyncio" not in frame.filename:
            yield f"{frame.filename}: {frame.name}: {frame.locals}\n"


def test_not_configured(monkeypatch, tmp_path, kind, home):
    from pki import SANDBOX, Held

    good = {"addr": "127.0.0.1:1", "broker_id": BROKER, "identity": Held(home.identity(home.issue(SANDBOX)))}
    no_file = tmp_path / "none"
    broken = tmp_path / "broken"
    broken.write_text('"od1t_x"')
    for change, message in [
        ({"addr": None}, "ONEDOOR_ADDR.* is missing"),
        ({"addr": "broker"}, "not host:port"),
        ({"addr": "::1:8443"}, "not host:port"),
        ({"addr": "broker:0"}, "not host:port"),
        ({"broker_id": None}, "ONEDOOR_BROKER_ID.* is missing"),
        ({"broker_id": "https://broker"}, "ONEDOOR_BROKER_ID"),
        ({"broker_id": "spiffe://home.test"}, "ONEDOOR_BROKER_ID"),
        ({"broker_id": "spiffe://Home.test/broker"}, "ONEDOOR_BROKER_ID"),
        ({"identity": None}, "SPIFFE_ENDPOINT_SOCKET.* is missing"),
        ({"task_key": "od1t_x\n"}, "letters, digits"),
        ({"task_key": "a", "task_key_file": broken}, "both given"),
        ({"task_key_file": no_file}, "No such file"),
        ({"task_key_file": broken}, "letters, digits"),
        ({"timeout": 0}, "timeout"),
        ({"startup_timeout": 0}, "startup_timeout"),
    ]:
        with pytest.raises(onedoor.NotConfigured, match=message) as e:
            make(kind, **{**good, **change})
        assert str(e.value).startswith("INVALID_ARGUMENT: ")
        assert "od1t_x" not in str(e.value)
    monkeypatch.setenv("ONEDOOR_TASK_KEY", "a")
    monkeypatch.setenv("ONEDOOR_TASK_KEY_FILE", "b")
    with pytest.raises(onedoor.NotConfigured, match="both set"):
        make(kind, **good)


def test_environment(monkeypatch, tmp_path, new_rig, kind):
    rig = new_rig()
    file = tmp_path / "key"
    file.write_text("od1t_file\n")
    monkeypatch.setenv("ONEDOOR_ADDR", rig.broker.addr)
    monkeypatch.setenv("ONEDOOR_BROKER_ID", BROKER)
    for name, value, sent in [
        ("ONEDOOR_TASK_KEY", "od1t_env", "Bearer od1t_env"),
        ("ONEDOOR_TASK_KEY_FILE", str(file), "Bearer od1t_file"),
        ("OTHER", "", None),
    ]:
        monkeypatch.delenv("ONEDOOR_TASK_KEY", raising=False)
        monkeypatch.setenv(name, value)
        client = make(kind, identity=rig.source)
        client.task()
        client.close()
        assert rig.calls[-1].metadata.get("authorization") == sent
        monkeypatch.delenv(name)
