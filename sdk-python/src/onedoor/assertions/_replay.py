"""Remembering which assertions were used."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from typing import Protocol

SWEEP_INTERVAL = 10.0
"""How often, in seconds, entries that have run out are looked for; all are passed over once."""


class ReplayFull(Exception):
    """A MemoryReplay holds as many live entries as it may. To forget one would let it be replayed."""


class ReplayCache(Protocol):
    """Remembers which assertions were used. It must be safe for use by several threads."""

    def claim(self, id: str, now: float, until: float) -> bool:
        """Says whether id was not claimed before, and keeps it until the given time (seconds since 1970).

        Of two concurrent calls with one id exactly one is told True. Where that cannot be said it
        raises, and the request is refused.
        """
        ...


class AsyncReplayCache(Protocol):
    """A ReplayCache for Verifier.verify_async alone."""

    def claim(self, id: str, now: float, until: float) -> Awaitable[bool]:
        """Says whether id was not claimed before, as ReplayCache.claim does."""
        ...


class MemoryReplay:
    """A ReplayCache of one process, of at most that many live entries, each some 300 bytes.

    At 60 s of life and 30 s of leeway 100,000 are enough for 1,100 calls a second. Every worker
    process has its own: where there are several, an assertion could be used once on each.
    """

    def __init__(self, entries: int = 100_000) -> None:
        if entries < 1:
            raise ValueError("MemoryReplay: entries must be at least 1")
        self._entries = entries
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._swept = 0.0

    def claim(self, id: str, now: float, until: float) -> bool:
        """Implements ReplayCache; its only exception is ReplayFull."""
        with self._lock:
            kept = self._until.get(id)
            if kept is not None and now < kept:
                return False
            if not 0 <= now - self._swept < SWEEP_INTERVAL:
                self._swept = now
                self._until = {key: end for key, end in self._until.items() if now < end}
            if len(self._until) >= self._entries:
                raise ReplayFull("replay cache is full")
            self._until[id] = until
            return True
