"""Whether, when and with which idempotency key a call is made again."""

from __future__ import annotations

import secrets
import time

from onedoor.errors import DeadlineExceeded, OnedoorError

# How often one call is tried in all.
MAX_TRIES = 4
# The pause before the second try, in seconds; it doubles with each further one.
_FIRST_PAUSE = 0.1
# The longest wait that a broker may ask for and get. Where it asks for more, the caller
# gets the error, with retry_after, and decides.
_LONGEST_PAUSE = 10.0

_SAME_KEY, _NEW_KEY = "same key", "new key"


def _verdict(reason: str, own_key: bool) -> str | None:
    """How a call may be tried again after a reason that says that nothing was sent; None:
    not at all.

    RATE_LIMITED is decided before the broker looks at the key, so the key is still unused.
    UPSTREAM_UNAVAILABLE comes after the intent was written and has used the key up: the
    next try needs a new one, and a key of the caller's own is the end of it. With STORE_
    and AUDIT_UNAVAILABLE the intent may have been committed and only the confirmation
    lost; a new key keeps such a remnant from answering CONFLICT. A key of the caller's own
    is kept: CONFLICT is then the worst that can come of it.
    """
    if reason == "RATE_LIMITED":
        return _SAME_KEY
    if reason in ("STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE"):
        return _SAME_KEY if own_key else _NEW_KEY
    if reason == "UPSTREAM_UNAVAILABLE":
        return None if own_key else _NEW_KEY
    return None


class Attempts:
    """The attempts at one call.

    own_key is the caller's idempotency key; needs_key has one made where there is none.
    timeout, in seconds, is for all attempts together. Where only_limited is set, nothing
    but RATE_LIMITED is tried again.
    """

    def __init__(
        self,
        timeout: float | None,
        own_key: str | None = None,
        needs_key: bool = False,
        only_limited: bool = False,
    ) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._own, self._needs, self._only_limited = own_key, needs_key, only_limited
        self._tried = 0
        self.key = own_key or (new_uuid() if needs_key else "")

    def left(self) -> float | None:
        """How many seconds are left for an attempt, None without a limit; raises
        DeadlineExceeded where there are none."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the time was over before the call was made")
        return left

    def pause(self, error: OnedoorError) -> float | None:
        """Completes an error, and says how many seconds to wait before the next try; None
        where there is to be none."""
        error.idempotency_key = self.key
        self._tried += 1
        verdict = _verdict(error.reason, self._own is not None)
        if verdict is None or self._tried == MAX_TRIES:
            return None
        if self._only_limited and error.reason != "RATE_LIMITED":
            return None
        wait = _FIRST_PAUSE * (1 << self._tried - 1)
        wait = wait / 2 + _jitter(wait / 2)
        if error.retry_after:
            wait = error.retry_after + _jitter(error.retry_after / 10)
        # A wait beyond the deadline would only replace the reason by "deadline exceeded".
        late = self._deadline is not None and time.monotonic() + wait >= self._deadline
        if wait > _LONGEST_PAUSE or late:
            return None
        if verdict == _NEW_KEY and self._needs:
            self.key = new_uuid()
        return wait


def _jitter(most: float) -> float:
    return most * secrets.randbelow(1 << 20) / (1 << 20)


def new_uuid() -> str:
    """A UUID of version 7 (RFC 9562): the time, then 74 random bits. Keys that come one
    after the other stand side by side in the broker's index, which costs it much less
    than keys strewn all over."""
    n = (int(time.time() * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    n = n & ~(0xF << 76) | 0x7 << 76
    n = n & ~(0x3 << 62) | 0x2 << 62
    h = f"{n:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
