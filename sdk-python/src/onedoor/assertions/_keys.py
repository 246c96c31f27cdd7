"""The issuer's public keys over time."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from ._fetch import Keys
from ._reasons import AssertionRefused, Reason


class KeySet:
    """Holds the issuer's public keys.

    ============================  ==========================================================
    younger than fresh            used as they are
    an unknown kid, or older      asked for again first, at most once in an interval
    the broker is away            used until they are stale
    an answer came                exactly its keys, no other
    ============================  ==========================================================

    One fetch runs at a time, in a thread of its own, and serves all who wait for it.
    """

    def __init__(
        self,
        fetch: Callable[[], Keys],
        *,
        now: Callable[[], float],
        fresh: float,
        stale: float,
        interval: float,
        timeout: float,
    ) -> None:
        self._fetch, self._now = fetch, now
        self._fresh, self._stale, self._interval, self._timeout = fresh, stale, interval, timeout
        self._keys: Keys = {}
        self._fetched: float | None = None  # when the keys were asked for
        self._tried: float | None = None  # when the last fetch began
        self._failure: Exception | None = None  # of the last fetch
        self._revive()
        _after_fork(self)

    def _revive(self) -> None:
        """Makes what threads hold anew: in a forked process they are gone with what they held."""
        self._lock = threading.Lock()
        self._running: Future[None] | None = None

    def find(self, kid: str) -> EllipticCurvePublicKey:
        """Gives the key that kid names, and waits for a fetch where it must."""
        key, running = self._look(kid)
        if running is not None:
            try:
                running.result(self._timeout)
            except FutureTimeout:
                pass  # what is known without it is judged by
        return key if key is not None else self._settled(kid)

    async def find_async(self, kid: str) -> EllipticCurvePublicKey:
        """Does as find without holding up the loop."""
        key, running = self._look(kid)
        if running is not None:
            # asyncio.wait cancels nothing: others wait for the same fetch.
            await asyncio.wait([asyncio.wrap_future(running)], timeout=self._timeout)
        return key if key is not None else self._settled(kid)

    def _look(self, kid: str) -> tuple[EllipticCurvePublicKey | None, Future[None] | None]:
        """Gives the key if it may be used at once, else the fetch to wait for, if one runs."""
        with self._lock:
            key = self._usable(kid)
            if key is not None and self._younger(self._fresh):
                return key, None
            running = self._refresh()
            # While the broker is known to be away nobody waits for it again and again.
            if key is not None and (running is None or self._failure is not None):
                return key, None
            return None, running

    def _settled(self, kid: str) -> EllipticCurvePublicKey:
        """Gives the key by what is known now."""
        with self._lock:
            key = self._usable(kid)
            if key is not None:
                return key
            if self._failure is not None or not self._younger(self._stale):
                refusal = AssertionRefused(
                    Reason.KEYS_UNAVAILABLE, f"the issuer's keys could not be fetched: {self._failure}"
                )
                raise refusal from self._failure
            raise AssertionRefused(Reason.KEY_UNKNOWN, "the issuer publishes no key of this kid")

    def _usable(self, kid: str) -> EllipticCurvePublicKey | None:
        return self._keys.get(kid) if self._younger(self._stale) else None

    def _younger(self, age: float) -> bool:
        """Says whether the keys are. A clock that was set back makes them old, never eternal."""
        return self._fetched is not None and 0 <= self._now() - self._fetched < age

    def _refresh(self) -> Future[None] | None:
        """Starts a fetch unless one runs or the last began too short a time ago; the lock is held."""
        if self._running is not None:
            return self._running
        now = self._now()
        if self._tried is not None and 0 <= now - self._tried < self._interval:
            return None
        self._tried = now
        running: Future[None] = Future()
        running.set_running_or_notify_cancel()
        self._running = running
        try:
            threading.Thread(target=self._run, args=(running, now), name="onedoor-jwks", daemon=True).start()
        except RuntimeError as error:  # no thread is to be had
            self._running, self._failure = None, error
            return None
        return running

    def _run(self, running: Future[None], began: float) -> None:
        keys: Keys = {}
        failure: Exception | None = None
        try:
            keys = self._fetch()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must learn of it
            failure = error.with_traceback(None)
        with self._lock:
            self._failure = failure
            if failure is None:
                # Counted from before the question: what the broker changed since is not in it.
                self._keys, self._fetched = keys, began
            self._running = None
        running.set_result(None)


def _after_fork(keys: KeySet) -> None:
    if not hasattr(os, "register_at_fork"):
        return
    alive = weakref.ref(keys)

    def revive() -> None:
        found = alive()
        if found is not None:
            found._revive()

    os.register_at_fork(after_in_child=revive)
