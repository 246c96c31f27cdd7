"""The bridge alone: bytes in both directions, their ends, and who may use it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from pki import BROKER, SANDBOX, Held
from spiffe import SpiffeId

from onedoor._bridge import Bridge, Pump
from onedoor._tls import Dialer


class Far:
    """The other end of the TLS connection, in the hands of the test."""

    def __init__(self, home, tmp_path) -> None:
        file = tmp_path / "far.pem"
        svid = home.issue(BROKER)
        file.write_bytes(svid.cert_pem + svid.key_pem)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(file)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        source = Held(home.identity(home.issue(SANDBOX)))
        self.bridge = Bridge(Dialer("127.0.0.1", port, SpiffeId(BROKER), source).dial)

    def connect(self) -> tuple[socket.socket, ssl.SSLSocket]:
        near = plain(self.bridge.target)
        far, _ = self.listener.accept()
        far.settimeout(20)
        return near, self.context.wrap_socket(far, server_side=True, suppress_ragged_eofs=False)

    def close(self) -> None:
        self.bridge.close()
        self.listener.close()


def plain(target: str) -> socket.socket:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    kind, _, name = target.partition(":")
    s.connect("\0" + name if kind == "unix-abstract" else name)
    return s


@pytest.fixture
def far(home, tmp_path):
    far = Far(home, tmp_path)
    yield far
    far.close()


def read_all(s) -> bytes:
    got = b""
    while data := s.recv(1 << 16):
        got += data
    return got


def test_both_directions_at_once(far):
    """More than all buffers hold goes each way, and neither waits for the other."""
    near, end = far.connect()
    up, down = os.urandom(16 << 20), os.urandom(16 << 20)
    got = {}

    def read() -> None:
        text = bytearray()
        while len(text) < len(down):
            text += near.recv(1 << 16)
        got["down"] = bytes(text)

    threads = [threading.Thread(target=near.sendall, args=(up,)), threading.Thread(target=read)]
    for t in threads:
        t.start()
    got["up"] = exchange(end, down, len(up))
    for t in threads:
        t.join(30)
    assert got == {"up": up, "down": down}


def exchange(end: ssl.SSLSocket, text: bytes, size: int) -> bytes:
    """Sends text while it receives size bytes, in one thread: OpenSSL is not for two."""
    end.setblocking(False)
    rest, got = memoryview(text), bytearray()
    while rest or len(got) < size:
        moved = False
        try:
            got += end.recv(1 << 16)
            moved = True
        except ssl.SSLWantReadError:
            pass
        try:
            n = end.send(rest[: 1 << 16]) if rest else 0
            rest, moved = rest[n:], moved or n > 0
        except ssl.SSLWantWriteError:
            pass
        if not moved:
            select.select([end], [end] if rest else [], [], 20)
    return bytes(got)


def test_our_half_closes(far):
    near, end = far.connect()
    near.sendall(b"question")
    near.shutdown(socket.SHUT_WR)
    assert read_all(end) == b"question", "and a proper end in TLS, not a cut"
    end.sendall(b"answer" * 100_000)
    end.close()
    assert read_all(near) == b"answer" * 100_000


def test_our_half_closes_while_theirs_waits(far):
    """What is on its way to us when we end is not lost."""
    near, end = far.connect()
    down = os.urandom(8 << 20)
    sender = threading.Thread(target=end.sendall, args=(down,))
    sender.start()
    assert near.recv(1) == down[:1]
    near.shutdown(socket.SHUT_WR)
    got = bytearray(down[:1])
    while len(got) < len(down):
        piece = near.recv(1 << 16)
        assert piece, f"it ended after {len(got)} bytes"
        got += piece
    sender.join(20)
    assert got == down


def test_their_half_closes(far):
    near, end = far.connect()
    end.sendall(b"greeting")
    end_tls(end)
    assert read_all(near) == b"greeting"


def end_tls(s: ssl.SSLSocket) -> None:
    s.settimeout(0.2)
    try:
        s.unwrap()
    except (TimeoutError, OSError):
        pass


def test_back_pressure(far):
    """Who does not read is sent no more than the buffers hold."""
    near, end = far.connect()
    near.setblocking(False)
    sent, piece = 0, bytes(1 << 20)
    while select.select([], [near], [], 1)[1]:
        sent += near.send(piece)
    assert sent < 24 << 20
    got = 0
    while got < sent:
        got += len(end.recv(1 << 16))


def test_it_costs_nothing_while_idle(far, monkeypatch):
    """A connection of which one side has ended must not be asked about it all the time."""
    turns = []
    wait = Pump._wait
    monkeypatch.setattr(Pump, "_wait", lambda self: turns.append(1) or wait(self))
    near, end = far.connect()
    near.sendall(b"x")
    assert end.recv(1) == b"x"
    near.shutdown(socket.SHUT_WR)
    assert end.recv(1) == b""
    time.sleep(0.5)
    assert len(turns) < 50


def test_closing_ends_it(far):
    near, end = far.connect()
    threads = [t for t in threading.enumerate() if t.name.startswith(("onedoor-pump", "onedoor-bridge"))]
    assert threads
    far.bridge.close()
    assert near.recv(1) == b""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        end.recv(1)
    assert not [t for t in threads if t.is_alive()]
    with pytest.raises(OSError, match=r"refused|No such file"):
        plain(far.bridge.target)


def test_whether_a_call_may_have_left(far):
    """Only once the other side has spoken."""
    mark = far.bridge.mark()
    near, end = far.connect()
    near.sendall(b"x")
    assert end.recv(1) == b"x"
    assert not far.bridge.may_have_left(mark)
    end.sendall(b"y")
    assert near.recv(1) == b"y"
    assert far.bridge.may_have_left(mark)
    assert far.bridge.may_have_left(far.bridge.mark())


def test_closed_while_it_dials(far, monkeypatch):
    """A connection that comes too late is closed, and nothing goes over it."""
    died = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    begun, go_on = threading.Event(), threading.Event()
    dial = far.bridge._dial

    def slow():
        begun.set()
        assert go_on.wait(20)
        return dial()

    far.bridge._dial = slow
    near = plain(far.bridge.target)
    assert begun.wait(20)
    pump = far.bridge._threads.pop()  # so that close does not wait for it
    far.bridge.close()
    go_on.set()
    end, _ = far.listener.accept()
    end.settimeout(20)
    with contextlib.suppress(OSError), far.context.wrap_socket(end, server_side=True) as tls:
        assert tls.recv(1) == b""
    pump.join(20)
    assert not pump.is_alive()
    assert not died
    assert near.recv(1) == b""


def test_no_thread_to_be_had(far, monkeypatch):
    """That connection fails, and says why; the next one works."""
    start = threading.Thread.start

    def fail(thread):
        if thread.name == "onedoor-pump":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert plain(far.bridge.target).recv(1) == b""
    assert "can't start new thread" in far.bridge.trouble
    monkeypatch.undo()
    near, end = far.connect()
    near.sendall(b"x")
    assert end.recv(1) == b"x"


OTHER_PROCESS = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(20)
s.connect("\\0" + sys.argv[1])
try:
    s.sendall(b"let me in")
    print(s.recv(1))
except (BrokenPipeError, ConnectionResetError):
    print(b"")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the folder keeps others out")
def test_another_process_is_turned_away(far):
    """Of the same user, even: nothing is dialled for it."""
    dialled = []
    far.bridge._dial = lambda: dialled.append(1)
    name = far.bridge.target.removeprefix("unix-abstract:")
    out = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, name], capture_output=True, timeout=60, check=True
    )
    assert out.stdout.strip() == b"b''"
    assert not dialled


def test_the_folder_is_closed_to_others(monkeypatch, home):
    monkeypatch.setattr("onedoor._bridge._LINUX", False)
    bridge = Bridge(lambda: None)
    folder = os.path.dirname(bridge.target.removeprefix("unix:"))
    assert os.stat(folder).st_mode & 0o777 == 0o700
    bridge.close()
    assert not os.path.exists(folder)
