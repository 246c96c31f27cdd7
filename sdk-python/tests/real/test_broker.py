"""What the SDK and the broker make of each other."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import make

import onedoor
from onedoor import errors
from onedoor._workload import WorkloadSource


def test_a_call(client):
    answer = client.invoke("things", "things.get", id="odd")
    assert answer.ok
    assert answer.body == b'{ "z": 9007199254740993,\n\t"a":1.10 }'
    assert answer.json()["z"] == 9007199254740993
    assert answer.content_type == "application/json"
    assert answer.headers == {"x-kind": "thing"}
    assert uuid.UUID(answer.invocation_id)


def test_arguments_keep_every_digit(client):
    body = client.invoke("things", "things.make", '{"name":"é","size":9007199254740993,"price":1.10}').text
    assert "9007199254740993" in body
    assert "1.10" in body
    assert "é" in body


def test_an_upstreams_error_is_an_answer(client):
    answer = client.invoke("things", "things.get", id="missing")
    assert answer.status == 404
    assert not answer.ok


@pytest.mark.parametrize(
    ("tool", "arguments", "error"),
    [
        ("things.drop", {"id": "1"}, errors.ToolUnknown),
        ("things.find", {"q": "1"}, errors.GrantMissing),
        ("things.get", {"id": "forbidden"}, errors.ResourceNotGranted),
        ("things.get", {"id": "a/b"}, errors.ArgumentInvalid),
        ("things.get", {"id": "1", "more": 1}, errors.ArgumentInvalid),
        ("things.get", '{"id":"1","id":"2"}', errors.ArgumentInvalid),
    ],
)
def test_refusals(client, tool, arguments, error):
    with pytest.raises(error) as e:
        client.invoke("things", tool, arguments)
    assert uuid.UUID(e.value.invocation_id)
    assert e.value.idempotency_key
    with pytest.raises(error):
        client.stream("things", tool, arguments)


def test_no_such_connector(client):
    with pytest.raises(errors.GrantMissing):
        client.invoke("nothing", "at.all")


def test_the_same_key_again(client):
    key = str(uuid.uuid4())
    first = client.invoke("things", "things.get", id="1", idempotency_key=key)
    with pytest.raises(errors.Conflict) as e:
        client.invoke("things", "things.get", id="1", idempotency_key=key)
    assert e.value.metadata["first_invocation_id"] == first.invocation_id


def test_a_key_that_is_no_uuid(client):
    with pytest.raises(errors.ArgumentInvalid):
        client.invoke("things", "things.get", id="1", idempotency_key="x")


def test_events(client):
    stream = client.stream("things", "things.get", id="events")
    assert stream.status == 200
    assert stream.content_type == "text/event-stream"
    assert [e.data for e in stream.events()] == ["one", "two", "[DONE]"]


def test_a_large_stream(client):
    assert len(client.stream("things", "things.get", id="large").read()) == 1 << 20


def test_tools(client):
    tools = {t.name: t for t in client.tools()}
    assert set(tools) == {"things.get", "things.make"}
    get = tools["things.get"]
    assert (get.connector, get.severity, get.function_name) == ("things", "READ", "things__things_get")
    assert get.arguments_schema["required"] == ["id"]
    assert "thing:1" in get.granted_resources


def test_explain(client):
    assert client.explain("things", "things.get", id="1").resources == ("thing:1",)
    why = client.explain("things", "things.get", id="forbidden")
    assert not why
    assert why.reason == "RESOURCE_NOT_GRANTED"


def test_task(client):
    task = client.task()
    assert (task.state, task.agent, task.user_subject) == ("ACTIVE", "tester", "alice")
    assert {g.connector for g in task.grants} == {"things"}


def test_another_broker_id(kind):
    client = make(kind, broker_id="spiffe://site.test/broker2")
    try:
        with pytest.raises(onedoor.BrokerUntrusted, match=r"it is spiffe://site.test/broker1"):
            client.invoke("things", "things.get", id="1")
    finally:
        client.close()


def test_a_stolen_key(kind):
    client = make(kind, workload_socket=os.environ["ONEDOOR_TEST_SOCKET2"])
    try:
        with pytest.raises(errors.TaskKeyInvalid):
            client.invoke("things", "things.get", id="1")
    finally:
        client.close()


def test_no_key(kind, monkeypatch):
    monkeypatch.delenv("ONEDOOR_TASK_KEY")
    client = make(kind)
    try:
        with pytest.raises(errors.TaskKeyInvalid):
            client.tools()
    finally:
        client.close()


def test_svid_from_files(kind, tmp_path):
    source = WorkloadSource(os.environ["SPIFFE_ENDPOINT_SOCKET"], 10)
    now = source.identity()
    source.close()
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    (tmp_path / "svid.pem").write_bytes(now.chain_pem)
    (tmp_path / "key.pem").write_bytes(now.key_pem)
    bundle = [x509.load_der_x509_certificate(c).public_bytes(Encoding.PEM) for c in now.bundles["site.test"]]
    (tmp_path / "bundle.pem").write_bytes(b"".join(bundle))
    files = onedoor.PEMFiles(tmp_path / "svid.pem", tmp_path / "key.pem", tmp_path / "bundle.pem")
    client = make(kind, identity=files)
    assert client.invoke("things", "things.get", id="1").ok
    client.close()


def test_rotation_loses_no_call(kind):
    """SVIDs live three seconds, the broker's as well; calls and streams go on all the time,
    and the upstream counts each once."""
    seconds = float(os.environ.get("ONEDOOR_TEST_ROTATION_SECONDS", "10"))
    client = make(kind)
    name = f"count-{uuid.uuid4()}"
    end = time.monotonic() + seconds

    def work(n: int) -> tuple[int, int]:
        calls, seen = 0, set()
        while time.monotonic() < end:
            if n == 0:
                client.stream("things", "things.get", id=name).read()
            else:
                assert client.invoke("things", "things.get", id=name).ok
            calls += 1
            inner = getattr(client, "_client", client)
            seen.add(inner._own_source.identity().generation)
        return calls, len(seen)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    calls = sum(c for c, _ in results)
    counted = int(client.invoke("things", "things.get", id=name).text)
    client.close()
    assert max(s for _, s in results) >= 3, "there were rotations"
    assert counted == calls + 1, "and none was made twice"
    print(f"{kind}: {calls} calls in {seconds:.0f} s under {max(s for _, s in results)} SVIDs, none lost")
