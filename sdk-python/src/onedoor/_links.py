"""One connection a generation of the SVID.

TLS checks an SVID at the handshake only, so a connection speaks for the SVID with which it
was made. Before every call that one is compared with the source's: after a rotation the
call goes over a new connection, and the old one is closed when the last of its running
calls has ended. No thread watches, so nothing can be missed, and an idle client costs
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from onedoor._bridge import Bridge
from onedoor._tls import Dialer
from onedoor.errors import ClientClosed

# The largest answer that is taken, in bytes: the broker's own limit on an upstream's
# body, with room for headers.
_MAX_RECEIVE = 80 << 20

C = TypeVar("C")


class Link(Generic[C]):
    """One connection. What is below `bridge` is guarded by the lock of its Links."""

    def __init__(self, channel: C, bridge: Bridge, generation: bytes) -> None:
        self.channel = channel
        self.bridge = bridge
        self.generation = generation
        self.running = 0
        self.retired = False


class Links(Generic[C]):
    """The connections of one client.

    open makes a channel of grpcio's for a target, with options; close_aside ends a link
    that has drained, without waiting: it is called in the midst of other things.
    """

    def __init__(
        self,
        dialer: Dialer,
        addr: str,
        open: Callable[[str, list[tuple[str, object]]], C],
        close_aside: Callable[[Link[C]], None],
    ) -> None:
        self._dialer, self._addr, self._open, self._close_aside = dialer, addr, open, close_aside
        self._lock = Lock()
        self._current: Link[C] | None = None
        self._links: set[Link[C]] = set()
        self._closed = False
        self._pid = os.getpid()

    def acquire(self) -> Link[C]:
        """The connection that speaks for the present SVID, counted as in use."""
        if os.getpid() != self._pid:
            raise ClientClosed("this client was made before a fork: make one in each process")
        generation = self._dialer.source.identity().generation
        with self._lock:
            if self._closed:
                raise ClientClosed("the client is closed")
            link = self._current
            if link is None or link.generation != generation:
                link = self._renew(generation)
            link.running += 1
            return link

    def release(self, link: Link[C]) -> None:
        """Ends one call on a link."""
        with self._lock:
            link.running -= 1
            self._close_if_drained(link)

    def retire(self, link: Link[C]) -> None:
        """Lets no further call start on a link."""
        with self._lock:
            if self._current is link:
                self._current = None
            link.retired = True
            self._close_if_drained(link)

    def drop(self) -> list[Link[C]]:
        """Closes for new calls, and gives the links that are left to be closed: in a forked
        child none, for they are its parent's, and so perhaps is whoever holds the lock."""
        if os.getpid() != self._pid:
            return []
        with self._lock:
            links, self._links = list(self._links), set()
            self._closed, self._current = True, None
            return links

    def _renew(self, generation: bytes) -> Link[C]:
        bridge = Bridge(self._dialer.dial)
        try:
            channel = self._open(bridge.target, self._options())
        except BaseException:
            bridge.close()
            raise
        link = Link(channel, bridge, generation)
        old, self._current = self._current, link
        self._links.add(link)
        if old is not None:
            old.retired = True
            self._close_if_drained(old)
        return link

    def _close_if_drained(self, link: Link[C]) -> None:
        if link in self._links and link.retired and link.running == 0:
            self._links.remove(link)
            self._close_aside(link)

    def _options(self) -> list[tuple[str, object]]:
        return [
            ("grpc.max_receive_message_length", _MAX_RECEIVE),
            ("grpc.max_send_message_length", -1),
            ("grpc.default_authority", self._addr),
            # Neither the environment nor a DNS record may redirect calls or have them repeated.
            ("grpc.enable_http_proxy", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5000),
        ]
