"""What a broker may say in HTTP/2 about a call that it does not answer: none of it makes the
call twice, whether the broker calls it unbegun or not."""

from __future__ import annotations

import socket
import ssl
import struct
import threading

import pytest
from conftest import make
from pki import BROKER, SANDBOX, Held

from onedoor import errors

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_ACK, _END_HEADERS = 1, 4
# :status 200, content-type application/grpc (RFC 7541, indexed and literal without indexing).
_OK = b"\x88\x0f\x10\x10application/grpc"


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def reset(stream: int, code: int) -> bytes:
    return frame(_RST_STREAM, stream, struct.pack(">I", code))


def goaway(last: int, code: int) -> bytes:
    return frame(_GOAWAY, 0, struct.pack(">II", last, code))


class Frames:
    """Speaks as much HTTP/2 over TLS as is needed, and answers each call by `say`."""

    def __init__(self, home, tmp_path, say) -> None:
        svid = home.issue(BROKER)
        file = tmp_path / "server.pem"
        file.write_bytes(svid.cert_pem + svid.key_pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.addr = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._say = say
        self.calls = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(20)
            self._threads.append(threading.Thread(target=self._serve, args=(plain,), daemon=True))
            self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as s:
                self._speak(s)
        except OSError:
            plain.close()

    def _speak(self, s: ssl.SSLSocket) -> None:
        reader = s.makefile("rb")
        reader.read(24)  # the preface
        s.sendall(frame(_SETTINGS, 0))
        while head := reader.read(9):
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream = int.from_bytes(head[5:], "big")
            payload = reader.read(size)
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                s.sendall(frame(kind, 0, payload if kind == _PING else b"", _ACK))
            if kind == _HEADERS:
                self.calls += 1
                answer = self._say(stream)
                if answer is None:
                    return
                s.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)


LOST = {
    "refused": lambda stream: reset(stream, 7),
    "cancelled": lambda stream: reset(stream, 8),
    "enhance your calm": lambda stream: reset(stream, 11),
    "without an error": lambda stream: reset(stream, 0),
    "reset after the headers": lambda stream: frame(_HEADERS, stream, _OK, _END_HEADERS) + reset(stream, 8),
    "refused after the headers": lambda stream: frame(_HEADERS, stream, _OK, _END_HEADERS) + reset(stream, 7),
    "going away before it": lambda _: goaway(0, 0),
    "going away after it": lambda stream: goaway(stream, 0) + reset(stream, 8),
    "going away in anger": lambda _: goaway(0, 11),
    "gone": lambda _: None,
}


CALLS = {
    "invoke": lambda client: client.invoke("crm", "contacts.create"),
    "stream": lambda client: client.stream("crm", "contacts.create"),
    "delegate": lambda client: client.delegate(
        agent="a", sandbox=SANDBOX, grants=["crm: contacts.get READ *"]
    ),
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("method", CALLS)
def test_a_call_is_made_once(home, tmp_path, kind, method, name):
    broker = Frames(home, tmp_path, LOST[name])
    source = Held(home.identity(home.issue(SANDBOX)))
    client = make(kind, addr=broker.addr, broker_id=BROKER, identity=source, timeout=20)
    with pytest.raises(errors.OutcomeUnknown):
        CALLS[method](client)
    assert broker.calls == 1
    client.close()
    broker.close()
