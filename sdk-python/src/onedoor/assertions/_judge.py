"""The steps in which a request is judged."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._claims import Claims, check_claims, parse_claims
from ._keys import KeySet
from ._options import Profile
from ._peer import check_peer
from ._reasons import AssertionRefused, Reason
from ._replay import AsyncReplayCache, MemoryReplay, ReplayCache
from ._request import binds_body, check_body, check_target, idempotent
from ._token import Token, open_token

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""A request's headers: pairs, or a mapping. Pairs tell whether one is there twice."""


@dataclass(frozen=True)
class Judge:
    """Has a method for each step, for a body is to be read only when all that costs less has held.

    Whoever calls one calls them all, in their order here: open, check_target, check_body where
    check_target says so, finish.
    """

    issuer: str
    audience: str
    profile: Profile
    header: str
    origin: str
    max_body: int
    leeway: float
    replay: ReplayCache | AsyncReplayCache
    broker_id: str
    require_confirmation: bool
    tls_elsewhere: bool
    now: Callable[[], float]
    keys: KeySet

    def values(self, headers: Headers) -> list[str]:
        """Gives all that the header carries."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        wanted = self.header.lower()
        return [value for name, value in pairs if name.lower() == wanted]

    def open(self, values: Iterable[str], peer_certificate: bytes | None) -> Claims:
        """Judges a token by itself and against the connection."""
        token = self._token(values)
        return self._judged(token.payload(self.keys.find(token.kid)), peer_certificate)

    async def open_async(self, values: Iterable[str], peer_certificate: bytes | None) -> Claims:
        """Does as open without holding up the loop."""
        token = self._token(values)
        return self._judged(token.payload(await self.keys.find_async(token.kid)), peer_certificate)

    def _token(self, values: Iterable[str]) -> Token:
        return open_token(list(values), header=self.header, typ=self.profile.typ)

    def _judged(self, payload: bytes, peer_certificate: bytes | None) -> Claims:
        claims = parse_claims(payload)
        check_claims(claims, issuer=self.issuer, audience=self.audience, leeway=self.leeway, now=self.now())
        check_peer(
            claims,
            peer_certificate,
            broker_id=self.broker_id,
            require_confirmation=self.require_confirmation,
            tls_elsewhere=self.tls_elsewhere,
        )
        return claims

    def check_target(self, claims: Claims, method: str, url: str) -> bool:
        """Judges method, target and query, and says whether check_body has to judge the body."""
        if self.profile is Profile.TXN_TOKEN:
            return False
        check_target(claims, method, url, self.origin)
        return binds_body(claims)

    def check_body(self, claims: Claims, body: bytes) -> None:
        """Judges the body."""
        if len(body) > self.max_body:
            raise AssertionRefused(Reason.BODY_TOO_LARGE, "the body is larger than this service reads")
        check_body(claims, body)

    def finish(self, claims: Claims, method: str) -> None:
        """Uses the assertion up where it may be shown only once."""
        if self._repeatable(method):
            return
        try:
            fresh = self.replay.claim(claims.id, self.now(), claims.expires + self.leeway)
            if inspect.isawaitable(fresh):
                raise TypeError("an asynchronous replay cache serves verify_async alone")
        except Exception as error:
            raise _no_word(error) from error
        _demand_fresh(fresh)

    async def finish_async(self, claims: Claims, method: str) -> None:
        """Does as finish; a cache that may block is asked in a thread."""
        if self._repeatable(method):
            return
        claim: Callable[[str, float, float], Any] = self.replay.claim
        arguments = (claims.id, self.now(), claims.expires + self.leeway)
        try:
            if isinstance(self.replay, MemoryReplay) or inspect.iscoroutinefunction(claim):
                fresh = claim(*arguments)
            else:
                fresh = await asyncio.to_thread(claim, *arguments)
            if inspect.isawaitable(fresh):
                fresh = await fresh
        except Exception as error:
            raise _no_word(error) from error
        _demand_fresh(fresh)

    def _repeatable(self, method: str) -> bool:
        return self.profile is Profile.TXN_TOKEN or idempotent(method)


def _no_word(error: Exception) -> AssertionRefused:
    return AssertionRefused(Reason.REPLAY_UNKNOWN, f"cannot tell whether jti was used before: {error}")


def _demand_fresh(fresh: object) -> None:
    # A cache that answers anything but True has not said that the assertion is new.
    if fresh is not True:
        raise AssertionRefused(Reason.REPLAYED, "jti was used before")
