"""A streamed answer is whole, or it is an error."""

from __future__ import annotations

from collections.abc import Mapping

from onedoor.answer import Head
from onedoor.errors import OnedoorError, StreamCut
from onedoor.v1 import broker_pb2 as pb


def head_of(event: pb.InvokeStreamResponse | None) -> Head:
    """Reads the first event."""
    if event is None:
        raise _cut("it ended early")
    if event.WhichOneof("event") != "head":
        raise _cut("it has no head")
    m = event.head
    return Head(m.invocation_id, m.status, dict(m.headers), m.content_type)


class Opened:
    """What a stream of either client knows of its answer: the head, as in `Answer`."""

    head: Head
    _key = ""  # the idempotency key of the call

    @property
    def invocation_id(self) -> str:
        """Finds the call in the audit trail."""
        return self.head.invocation_id

    @property
    def status(self) -> int:
        """The upstream's HTTP status."""
        return self.head.status

    @property
    def ok(self) -> bool:
        """Whether the upstream says that it did what was asked (2xx)."""
        return self.head.ok

    @property
    def headers(self) -> Mapping[str, str]:
        """Those that the connector lets through, names in lower case."""
        return self.head.headers

    @property
    def content_type(self) -> str:
        """The body's media type as the upstream said it."""
        return self.head.content_type

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of invocation {self.invocation_id}, status {self.status}>"

    def _named(self, error: OnedoorError) -> OnedoorError:
        """Completes an error with the invocation that the head told, and with the key."""
        error.invocation_id = error.invocation_id or self.invocation_id
        error.idempotency_key = self._key
        return error


class Pieces:
    """Checks what follows the head, event by event. None stands for the end of the RPC."""

    def __init__(self) -> None:
        self._received = 0
        self._ended = False

    def take(self, event: pb.InvokeStreamResponse | None) -> bytes | None:
        """Gives a piece of the body; b"" for an event that holds none; None when all has
        come and the RPC has ended, too, so that the broker is not cancelled while it
        settles the call. Raises StreamCut."""
        if event is None:
            if not self._ended:
                raise _cut("it ended early")
            return None
        if self._ended:
            raise _cut("it goes on after its end")
        kind = event.WhichOneof("event")
        if kind == "data":
            self._received += len(event.data)
            return event.data
        if kind != "end":
            raise _cut("it holds something other than data")
        if event.end.body_bytes != self._received:
            raise _cut("its length is wrong")
        self._ended = True
        return b""


def _cut(why: str) -> StreamCut:
    return StreamCut(f"the streamed answer is incomplete: {why}")
