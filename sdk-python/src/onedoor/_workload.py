"""The identity from a SPIFFE Workload API, kept fresh."""

from __future__ import annotations

import logging
import threading
import time

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe import WorkloadApiClient
from spiffe.errors import ArgumentError
from spiffe.workloadapi.x509_context import X509Context

from onedoor import identity
from onedoor.errors import NoIdentity, NotConfigured
from onedoor.identity import Identity

# The pause between two questions to the Workload API, in seconds.
_ASK_AGAIN = 0.25
# How long a Workload API at which nobody listens is tried: it may be restarting, but
# waiting longer helps less than saying so.
_UNREACHABLE_FOR = 2.0
# The longest pause once there has been an identity.
_LONGEST_PAUSE = 5.0

# That library logs as errors what is waited out, or raised, here.
logging.getLogger("spiffe.workloadapi.x509_source").addHandler(logging.NullHandler())


class WorkloadSource:
    """Gives the X.509-SVID that the Workload API last sent.

    PyPI's X509Source is not used: where the Workload API ends a stream in good order it
    stays with the last SVID for ever and says nothing, and after some errors it closes
    itself. Here a stream is opened anew whenever it has failed, or has brought nothing
    when two thirds of the SVID's life are over.
    """

    def __init__(self, socket: str, timeout: float) -> None:
        self._socket = socket
        self._changed = threading.Condition()
        self._identity: Identity | None = None
        self._closed = False
        if not socket.startswith(("unix:/", "/")):
            raise NotConfigured(f"SPIFFE_ENDPOINT_SOCKET is not unix:///PATH: {socket!r}")
        until = time.monotonic() + timeout
        self._api = self._open(min(until, time.monotonic() + _UNREACHABLE_FOR))
        try:
            first = self._first(until)
        except BaseException:
            self._api.close()
            raise
        self._watcher = threading.Thread(target=self._watch, name="onedoor-svid", daemon=True)
        self._watcher.start()
        with self._changed:
            # What the stream brings is newer: to begin with it saves a rotation.
            arrived = self._changed.wait_for(lambda: self._identity, max(0.1, until - time.monotonic()))
        if not arrived:
            self._take(first)

    def identity(self) -> Identity:
        """The present identity."""
        if self._identity is None:
            raise NoIdentity(f"there is no X.509-SVID from {self._socket}")
        return self._identity

    def close(self) -> None:
        """Ends the stream."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._watcher.join(5)
        self._api.close()

    def _open(self, until: float) -> WorkloadApiClient:
        """Makes the client, which wants the socket to be there already."""
        while True:
            try:
                return WorkloadApiClient(self._socket)
            except ArgumentError as e:
                if "does not exist" not in str(e) and "not found" not in str(e).lower():
                    raise NotConfigured(f"SPIFFE_ENDPOINT_SOCKET: {e}") from None
                if time.monotonic() >= until:
                    raise NoIdentity(
                        f"no identity from the Workload API at {self._socket}: nobody listens there"
                    ) from None
            time.sleep(_ASK_AGAIN)

    def _first(self, until: float) -> X509Context:
        """Asks until there is an SVID, and says why there was none."""
        unreachable = time.monotonic() + _UNREACHABLE_FOR
        while True:
            try:
                return self._api.fetch_x509_context(timeout=max(0.001, until - time.monotonic()))
            except Exception as e:
                code = _code(e)
                patience = min(until, unreachable) if code is grpc.StatusCode.UNAVAILABLE else until
                if time.monotonic() + _ASK_AGAIN >= patience:
                    raise NoIdentity(
                        f"no identity from the Workload API at {self._socket}: {_why(code)}"
                    ) from None
            time.sleep(_ASK_AGAIN)

    def _take(self, context: X509Context) -> None:
        """Makes what the Workload API sent the present identity."""
        svid = context.default_svid
        key = svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        bundles = {
            b.trust_domain.name: tuple(c.public_bytes(Encoding.DER) for c in b.x509_authorities)
            for b in context.x509_bundle_set.bundles
        }
        with self._changed:
            self._identity = identity.make(svid.cert_chain, key, bundles)
            self._changed.notify_all()

    def _watch(self) -> None:
        """Keeps a stream open until the source is closed."""
        pause = _ASK_AGAIN
        while not self._closed:
            before = self._identity
            failed = self._stream()
            pause = min(2 * pause, _LONGEST_PAUSE) if failed and self._identity is before else _ASK_AGAIN
            with self._changed:
                self._changed.wait_for(lambda: self._closed, pause)

    def _stream(self) -> bool:
        """Runs one stream until it fails (True), is no longer believed, or is to end."""
        failed = threading.Event()

        def fail(_: Exception) -> None:
            with self._changed:
                failed.set()
                self._changed.notify_all()

        stream = self._api.stream_x509_contexts(self._take, fail, retry_connect=False)
        with self._changed:
            while not self._closed and not failed.is_set() and self._changed.wait(self._due()):
                pass
            result = failed.is_set()
        stream.cancel()
        return result

    def _due(self) -> float:
        """In how many seconds a stream without news is no longer believed."""
        have = self._identity
        if have is None:
            return _UNREACHABLE_FOR
        due = have.not_before + (have.not_after - have.not_before) * 2 / 3
        return max(due - time.time(), 1.0)


class Question:
    """Asks for a WorkloadSource in a thread, which nothing can end: what it brings when
    nobody waits any more must still be closed."""

    def __init__(self, socket: str, timeout: float) -> None:
        self._socket, self._timeout = socket, timeout
        self._lock = threading.Lock()
        self._source: WorkloadSource | None = None
        self._ended = False

    def ask(self) -> WorkloadSource:
        """Waits for the source: to be called once, in the thread."""
        source = WorkloadSource(self._socket, self._timeout)
        with self._lock:
            self._source, ended = source, self._ended
        if ended:
            source.close()
        return source

    def end(self) -> None:
        """Closes the source, now or when it comes. It may be called more than once."""
        with self._lock:
            self._ended, source = True, self._source
        if source is not None:
            source.close()


def _code(e: BaseException | None) -> grpc.StatusCode | None:
    while e is not None:
        if isinstance(e, grpc.Call):
            return e.code()
        e = e.__cause__
    return None


def _why(code: grpc.StatusCode | None) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        return "nobody listens there"
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return "it has issued none to this process"
    if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return "it did not answer in time"
    return "it refused" if code else "what it answered is no X.509-SVID"
