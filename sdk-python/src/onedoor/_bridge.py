"""A private socket between grpcio and the TLS of this SDK.

grpcio ends TLS itself and compares host names, which an SVID need not have; it has no
hook for another check. So grpcio speaks plain HTTP/2 to a socket of this process, and
what comes in there goes to the broker over TLS that _tls has verified:

    grpcio ── unix socket ── Pump (one thread a connection) ── TLS 1.3 ── broker

Nobody else can use the socket. On Linux it has no place in the file system, and the
kernel says who connects: whoever is not this very process is turned away. Elsewhere it
lies in a folder that only this user can enter.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import cast

from onedoor._tls import CHUNK, Wire
from onedoor.errors import OnedoorError

_LINUX = sys.platform == "linux"


class Bridge:
    """Listens for one gRPC channel, and connects it to the broker whenever it connects."""

    def __init__(self, dial: Callable[[], Wire]) -> None:
        self._dial = dial
        self._lock = threading.Lock()
        self._live = 0
        self._opened = 0
        self._closed = False
        self.refused: OnedoorError | None = None
        """Why whoever answered last is not the broker; None once it was."""
        self.trouble = ""
        """Why there was no connection, or how the last one ended."""
        self._folder: str | None = None
        self._listener, self.target = self._listen()
        # Its other end reads as ended when the bridge is to close.
        self._stop, self._stopped = socket.socketpair()
        self._threads = [threading.Thread(target=self._accept, name="onedoor-bridge", daemon=True)]
        self._threads[0].start()

    def mark(self) -> int:
        """How often there has been a connection: to be given to `may_have_left`."""
        with self._lock:
            return -1 if self._live else self._opened

    def may_have_left(self, mark: int) -> bool:
        """Whether the broker was connected at any time since the mark. While it was not,
        gRPC has sent no call: it waits for the first bytes of the other side."""
        with self._lock:
            return mark < 0 or self._opened > mark

    def close(self) -> None:
        """Ends all connections, and waits for their threads."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = list(self._threads)
        self._stop.close()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(5)
        self._listener.close()
        self._stopped.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self) -> tuple[socket.socket, str]:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if _LINUX:
                name = "onedoor-" + secrets.token_hex(16)
                listener.bind("\0" + name)
                target = "unix-abstract:" + name
            else:
                self._folder = tempfile.mkdtemp(prefix="od")  # its mode is 0700
                listener.bind(os.path.join(self._folder, "s"))
                target = "unix:" + os.path.join(self._folder, "s")
            listener.listen(16)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener, target

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._stopped.fileno() in ready:
                return
            with contextlib.suppress(OSError):
                plain, _ = self._listener.accept()
                if ours(plain):
                    self._serve(plain)
                else:
                    plain.close()

    def _serve(self, plain: socket.socket) -> None:
        thread = threading.Thread(target=self._connect, args=(plain,), name="onedoor-pump", daemon=True)
        with self._lock:
            if self._closed:
                plain.close()
                return
            try:
                thread.start()
            except RuntimeError as e:  # none is to be had now; the next connection may be luckier
                self.refused, self.trouble = None, f"no connection to the broker: {e}"
                plain.close()
                return
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]

    def _connect(self, plain: socket.socket) -> None:
        with plain:
            try:
                wire = self._dial()
            except OnedoorError as e:
                self.refused, self.trouble = e, e.message
                return
            except Exception as e:
                self.refused, self.trouble = None, f"no connection to the broker: {e}"
                return
            self.refused, self.trouble = None, ""
            with self._lock:
                if self._closed:  # while the broker was being dialled
                    wire.sock.close()
                    return
            pump = Pump(plain, wire, self._stopped, self._began)
            try:
                pump.run()
            except (OSError, ssl.SSLError) as e:
                self.trouble = f"the connection to the broker broke: {e}"
            finally:
                pump.close()
                if pump.began:
                    with self._lock:
                        self._live -= 1

    def _began(self) -> None:
        with self._lock:
            self._live += 1
            self._opened += 1


def ours(plain: socket.socket) -> bool:
    """Whether this process is at the other end, where the kernel can tell."""
    if not _LINUX:
        return True
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", plain.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(pid == os.getpid() and uid == os.geteuid())


class Pump:
    """Carries bytes between a plain socket and TLS until both directions have ended.

    From each side only as much is taken as the other side has room for, so a slow reader
    slows the writer down. The end of one direction is passed on and leaves the other open.
    """

    def __init__(
        self, plain: socket.socket, wire: Wire, stopped: socket.socket, began: Callable[[], None]
    ) -> None:
        self._plain, self._wire, self._stopped, self._tell = plain, wire, stopped, began
        self.began = False
        """Whether the broker has sent anything."""
        plain.setblocking(False)
        wire.sock.setblocking(False)
        self._buffer = memoryview(bytearray(CHUNK))
        self._clear = memoryview(bytearray(CHUNK))
        self._up = memoryview(b"")  # encrypted, on its way to the broker
        self._down = memoryview(b"")  # clear, on its way to gRPC
        # Whether asking for more may bring something: each question costs a switch of threads.
        self._plain_ready = self._wire_ready = self._encrypted = True
        self._poll = select.poll()
        self._poll.register(stopped, select.POLLIN)
        self._wanted = {plain.fileno(): 0, wire.sock.fileno(): 0}
        self._plain_ended = self._shut = self._wire_ended = self._told_end = False

    def run(self) -> None:
        """Returns when both directions have ended, or the bridge is to close."""
        while not (self._shut and self._told_end):
            # Both, in each turn: neither direction waits for the other.
            if not (self._upward() | self._downward()) and self._wait():
                return

    def close(self) -> None:
        """Ends both connections. Forked children may hold copies of them, hence shutdown."""
        for s in (self._wire.sock, self._plain):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def _upward(self) -> bool:
        """Moves something towards the broker; False where nothing can be moved now."""
        if self._up:
            return self._flush_up()
        if self._plain_ready and not self._plain_ended:
            try:
                n = self._plain.recv_into(self._buffer)
            except BlockingIOError:
                n = -1
            self._plain_ready = n == CHUNK
            if n > 0:
                self._encrypt(self._buffer[:n])
            elif n == 0:
                self._plain_ended = True
                # Tells the broker, in TLS, that nothing more comes. OpenSSL looks for the
                # broker's own end, too; what it finds instead stays to be read.
                with contextlib.suppress(ssl.SSLError):
                    self._wire.tls.unwrap()
        if self._wire.outgoing.pending:
            self._up = memoryview(self._wire.outgoing.read())
            return self._flush_up() or True
        if self._plain_ended and not self._shut:
            self._shut = True
            self._wire.sock.shutdown(socket.SHUT_WR)
            return True
        return False

    def _encrypt(self, data: memoryview) -> None:
        while data:
            data = data[self._wire.tls.write(data) :]

    def _flush_up(self) -> bool:
        try:
            self._up = self._up[self._wire.sock.send(self._up) :]
        except BlockingIOError:
            return False
        return True

    def _downward(self) -> bool:
        """Moves something towards gRPC; False where nothing can be moved now."""
        if self._down:
            return self._flush_down()
        if self._wire_ended:
            return self._pass_end()
        if not self._encrypted:
            return self._receive()
        n = self._decrypt()
        if n == 0 and not self._wire_ended:
            return True  # what TLS itself had to say, a session ticket for instance
        if n == 0:
            return self._pass_end()
        if not self.began:
            self.began = True
            self._tell()
        self._down = self._clear[:n]
        return self._flush_down() or True

    def _pass_end(self) -> bool:
        """Tells gRPC, once, that nothing more comes."""
        if self._told_end:
            return False
        self._told_end = True
        with contextlib.suppress(OSError):
            self._plain.shutdown(socket.SHUT_WR)
        return True

    def _decrypt(self) -> int:
        """Decrypts what has come in, and gives how many bytes that makes."""
        n = 0
        while n < CHUNK:
            try:
                # Two signatures under one name: with a buffer it gives a number.
                got = cast(int, self._wire.tls.read(CHUNK - n, self._clear[n:]))
            except ssl.SSLWantReadError:
                self._encrypted = False
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                got = 0
            if got == 0:
                self._wire_ended = True
                break
            n += got
        return n

    def _receive(self) -> bool:
        if not self._wire_ready:
            return False
        try:
            n = self._wire.sock.recv_into(self._buffer)
        except BlockingIOError:
            self._wire_ready = False
            return False
        self._wire_ready, self._encrypted = n == CHUNK, True
        if n:
            self._wire.incoming.write(self._buffer[:n])
        else:
            self._wire.incoming.write_eof()
        return True

    def _flush_down(self) -> bool:
        try:
            self._down = self._down[self._plain.send(self._down) :]
        except BlockingIOError:
            return False
        return True

    def _wait(self) -> bool:
        """Waits until something can be moved; True where the bridge is to close. A socket
        of which nothing is wanted is left out, since its end would be reported each time."""
        plain = (0 if self._plain_ended or self._up else select.POLLIN) | (
            select.POLLOUT if self._down else 0
        )
        wire = (0 if self._wire_ended or self._down else select.POLLIN) | (select.POLLOUT if self._up else 0)
        self._want(self._plain.fileno(), plain)
        self._want(self._wire.sock.fileno(), wire)
        for fd, events in self._poll.poll():
            if fd == self._stopped.fileno():
                return True
            if fd == self._plain.fileno():
                self._plain_ready |= events != select.POLLOUT
            else:
                self._wire_ready |= events != select.POLLOUT
        return False

    def _want(self, fd: int, events: int) -> None:
        if self._wanted[fd] == events:
            return
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)
        self._wanted[fd] = events
