"""A new SVID: new calls go over a new connection, running ones end on the old."""

from __future__ import annotations

import os
import signal
import threading
import time

import grpc
import pytest
from conftest import make
from fakebroker import Refusal, data, default, end, head
from pki import BROKER, SANDBOX, SVID, Authority

import onedoor
from onedoor import errors


def rotate(rig, home) -> None:
    rig.source.now = home.identity(home.issue(SANDBOX))


def eventually(ok) -> None:
    deadline = time.monotonic() + 20
    while not ok():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def links(rig):
    client = getattr(rig.client, "_client", rig.client)
    return client._links._links


def test_one_connection_while_nothing_rotates(new_rig):
    rig = new_rig()
    for _ in range(5):
        rig.client.task()
    assert len({c.peer for c in rig.calls}) == 1


def test_a_running_stream_ends_on_the_old_connection(new_rig, home):
    go_on = threading.Event()

    def answer(n, call):
        if call.method != "InvokeStream":
            return default(call)
        return slow()

    def slow():
        yield head()
        yield data(b"a")
        assert go_on.wait(20)
        yield data(b"b")
        yield end(2)

    rig = new_rig(answer)
    stream = rig.client.stream("crm", "contacts.export")
    pieces = iter(stream)
    assert next(pieces) == b"a"
    rotate(rig, home)
    rig.client.task()
    first, second = (c.peer for c in rig.calls)
    assert first != second
    assert len(links(rig)) == 2
    go_on.set()
    assert list(pieces) == [b"b"]
    eventually(lambda: len(links(rig)) == 1)
    rig.client.task()
    assert rig.calls[-1].peer == second


def test_a_running_call_ends_on_the_old_connection(new_rig, home):
    arrived, go_on = threading.Event(), threading.Event()

    def answer(n, call):
        if n == 1:
            arrived.set()
            assert go_on.wait(20)
        return default(call)

    rig = new_rig(answer)
    got = []
    thread = threading.Thread(target=lambda: got.append(rig.client.invoke("crm", "contacts.get")))
    thread.start()
    assert arrived.wait(20)
    rotate(rig, home)
    rig.client.task()
    go_on.set()
    thread.join(20)
    assert got[0].status == 200
    eventually(lambda: len(links(rig)) == 1)
    before = threading.active_count()
    assert len({c.peer for c in rig.calls}) == 2
    assert before == threading.active_count()


def test_many_rotations_leave_nothing_behind(new_rig, home):
    rig = new_rig()
    rig.client.task()
    eventually(lambda: len(pumps()) == 1)
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        rotate(rig, home)
        rig.client.task()
    eventually(lambda: len(links(rig)) == 1 and len(pumps()) == 1)
    assert len({c.peer for c in rig.calls}) == 21
    if files:
        eventually(lambda: len(os.listdir("/proc/self/fd")) <= files + 4)


def pumps():
    return [t for t in threading.enumerate() if t.name == "onedoor-pump"]


@pytest.mark.parametrize("method", ["invoke", "stream", "task"])
def test_an_expired_svid_is_tried_once_more(new_rig, method):
    """Over a fresh connection, with the same key: nothing happened."""

    def answer(n, call):
        if n == 1:
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "SVID_EXPIRED")
        return default(call)

    rig = new_rig(answer)
    getattr(rig.client, method)(*(() if method == "task" else ("crm", "contacts.get")))
    first, second = rig.calls
    assert first.peer != second.peer
    assert first.request == second.request


def test_an_expired_svid_is_tried_only_once_more(new_rig):
    def answer(n, call):
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "SVID_EXPIRED")

    rig = new_rig(answer)
    with pytest.raises(errors.SVIDExpired):
        rig.client.invoke("crm", "contacts.get")
    assert len(rig.calls) == 2


class Files:
    """An SVID in files."""

    def __init__(self, folder, home: Authority) -> None:
        self.paths = [folder / name for name in ("svid.pem", "key.pem", "bundle.pem")]
        self.paths[2].write_bytes(home.pem)
        self.write(home.issue(SANDBOX))

    def write(self, svid: SVID) -> None:
        self.paths[0].write_bytes(svid.cert_pem)
        self.paths[1].write_bytes(svid.key_pem)

    def source(self) -> onedoor.PEMFiles:
        return onedoor.PEMFiles(*self.paths)


def test_files_are_read_anew(new_rig, home, kind, tmp_path):
    files = Files(tmp_path, home)
    rig = new_rig(identity=files.source())
    rig.client.task()
    rig.client.task()
    files.write(home.issue(SANDBOX))
    rig.client.task()
    peers = [c.peer for c in rig.calls]
    assert peers[0] == peers[1] != peers[2]


def test_files_in_the_middle_of_a_change(home, tmp_path):
    files = Files(tmp_path, home)
    source = files.source()
    before = source.identity()
    after = home.issue(SANDBOX)
    files.paths[0].write_bytes(after.cert_pem)
    assert source.identity() is before, "the key does not fit yet"
    files.paths[1].write_bytes(b"half a k")
    assert source.identity() is before
    files.paths[1].unlink()
    assert source.identity() is before
    files.paths[1].write_bytes(after.key_pem)
    assert source.identity().generation != before.generation


@pytest.mark.parametrize("broken", ["no file", "no PEM", "another key"])
def test_files_that_hold_no_svid(home, tmp_path, broken):
    files = Files(tmp_path, home)
    if broken == "no file":
        files.paths[0].unlink()
    elif broken == "no PEM":
        files.paths[0].write_bytes(b"x")
    else:
        files.paths[1].write_bytes(home.issue(SANDBOX).key_pem)
    with pytest.raises(onedoor.NoIdentity, match="from files"):
        files.source()
    assert "PRIVATE" not in repr(files)


def test_an_identity_does_not_show_its_key(home):
    assert "PRIVATE" not in repr(home.identity(home.issue(SANDBOX)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork(home):
    """The child is told, instead of speaking over its parent's connection."""
    from fakebroker import Broker
    from pki import Held

    client = make(
        "sync", addr="127.0.0.1:1", broker_id=BROKER, identity=Held(home.identity(home.issue(SANDBOX)))
    )
    client._links._lock.acquire()  # as by a thread that the child does not have
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            client.close()
            client.task()
        except onedoor.ClientClosed:
            os._exit(7)
        finally:
            os._exit(1)
    client._links._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    client.close()
    assert Broker
