"""Server-sent events (HTML Standard, section 9.2), out of pieces as they arrive."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event."""

    data: str
    """Its lines of data, joined by newlines."""
    event: str = "message"
    """Its type."""
    id: str = ""
    """The last id that was sent, with this event or before it."""
    retry: int | None = None
    """The reconnection time in milliseconds, where this event names one."""

    def json(self) -> Any:
        """The data, parsed as JSON; ValueError where it is none."""
        return json.loads(self.data)


class Parser:
    """Takes pieces of the body and gives the events that they complete. What is not
    complete when the body ends is no event."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line: list[str] = []
        self._after_cr = False
        self._data: list[str] = []
        self._event = self._id = ""
        self._retry: int | None = None

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Gives the events that end within this piece."""
        text = self._decoder.decode(piece)
        while text:
            if self._after_cr:
                # A line may end in CR LF, and the two may come apart.
                self._after_cr = False
                text = text.removeprefix("\n")
                continue
            end = _line_end(text)
            if end < 0:
                self._line.append(text)
                return
            self._line.append(text[:end])
            self._after_cr = text[end] == "\r"
            text = text[end + 1 :]
            line, self._line = "".join(self._line), []
            event = self._take(line)
            if event is not None:
                yield event

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        data, kind, retry = self._data, self._event, self._retry
        self._data, self._event, self._retry = [], "", None
        if not data:
            return None
        return Event("\n".join(data), kind or "message", self._id, retry)


def _line_end(text: str) -> int:
    ends = [n for n in (text.find("\n"), text.find("\r")) if n >= 0]
    return min(ends) if ends else -1
