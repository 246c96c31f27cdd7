"""Why a request is refused."""

from __future__ import annotations

from enum import Enum


class Reason(str, Enum):
    """Why a request was refused: the same names as those of the Go package client/assertion.

    tests/conformance/assertions/vectors.json has a case for those that do not depend on the
    verifier's surroundings.
    """

    HEADER_MISSING = "HEADER_MISSING"
    """The request carries no assertion."""
    HEADER_REPEATED = "HEADER_REPEATED"
    """The header is there more than once: which of them another component would take cannot be known."""
    MALFORMED = "MALFORMED"
    """The token is no JWT that a broker makes."""
    ALGORITHM_REFUSED = "ALGORITHM_REFUSED"
    """alg is anything but ES256."""
    TYPE_WRONG = "TYPE_WRONG"
    """typ is not the profile's."""
    KEY_UNKNOWN = "KEY_UNKNOWN"
    """The issuer does not publish the key named by kid, or none is named."""
    KEYS_UNAVAILABLE = "KEYS_UNAVAILABLE"
    """The issuer's keys could not be fetched and none that are young enough are at hand. It may pass."""
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    """Header or payload are not what was signed."""
    ISSUER_WRONG = "ISSUER_WRONG"
    """iss is another."""
    AUDIENCE_WRONG = "AUDIENCE_WRONG"
    """aud is not this service alone."""
    CLAIM_MISSING = "CLAIM_MISSING"
    """A claim which brokers always set is not there, or cnf where require_confirmation asks for it."""
    EXPIRED = "EXPIRED"
    """exp has passed."""
    NOT_YET_VALID = "NOT_YET_VALID"
    """iat or nbf lies in the future."""
    LIFE_TOO_LONG = "LIFE_TOO_LONG"
    """exp is not within 300 s after iat."""
    PEER_WRONG = "PEER_WRONG"
    """The TLS peer is not the broker, or not the one to whose certificate the assertion is bound."""
    METHOD_WRONG = "METHOD_WRONG"
    """htm is not the request's method."""
    URI_WRONG = "URI_WRONG"
    """htu is not the request's target."""
    QUERY_WRONG = "QUERY_WRONG"
    """tctx.query_sha256 is not that of the request's query."""
    DIGEST_MISSING = "DIGEST_MISSING"
    """The assertion binds no body and does not say "stream"."""
    DIGEST_WRONG = "DIGEST_WRONG"
    """The body is not the one that the broker sent."""
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    """The body exceeds max_body."""
    BODY_UNREADABLE = "BODY_UNREADABLE"
    """The body ended early, or its length is no number."""
    REPLAYED = "REPLAYED"
    """The assertion was used before."""
    REPLAY_UNKNOWN = "REPLAY_UNKNOWN"
    """The replay cache could not answer, or is full."""

    def __str__(self) -> str:
        return self.value


class AssertionRefused(Exception):
    """A request was refused. Its text holds neither the token nor a part of it.

    What went wrong below, for instance a network's error, is the exception's __cause__.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"assertion refused: {reason.value}: {detail}")
        self.reason = reason
        """One of Reason. It may be shown to a stranger; the exception's text is for the log."""
        self.detail = detail

    @property
    def http_status(self) -> int:
        """What the middleware answers: 401, 413 for a body too large, 503 where it cannot tell."""
        if self.reason in (Reason.KEYS_UNAVAILABLE, Reason.REPLAY_UNKNOWN):
            return 503
        return 413 if self.reason is Reason.BODY_TOO_LARGE else 401
