"""Opening a token: its form, its header, its signature."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from ._claims import NotJSON, parse_json
from ._reasons import AssertionRefused, Reason

MAX_TOKEN = 16 << 10
"""Bounds a token, in characters. Brokers' are below 2 KiB."""

# PyJWT passes over characters that are not of the alphabet; whoever reads the header beside
# it must see the same token.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)

_JWS = jwt.PyJWS(algorithms=["ES256"])


@dataclass(frozen=True)
class Token:
    """A token whose form and header are right, and whose signature nobody has looked at."""

    text: str
    kid: str
    critical: bool

    def payload(self, key: EllipticCurvePublicKey) -> bytes:
        """Gives what was signed. crit is refused, for nothing that it could name is known here."""
        if self.critical:
            raise AssertionRefused(Reason.SIGNATURE_INVALID, "crit names what is not known")
        try:
            payload = _JWS.decode(self.text, key, algorithms=["ES256"])
        except jwt.PyJWTError:
            # The cause's text is not kept: it could quote the token.
            raise AssertionRefused(Reason.SIGNATURE_INVALID, "the signature does not fit") from None
        if not isinstance(payload, bytes):
            raise AssertionRefused(Reason.SIGNATURE_INVALID, "the signature does not fit")
        return payload


def open_token(values: list[str], *, header: str, typ: str) -> Token:
    """Takes the one value of the header apart.

    alg is pinned before anything else of the token's header is believed: it is the sender who
    writes it (RFC 8725 section 3.1).
    """
    if not values:
        raise AssertionRefused(Reason.HEADER_MISSING, "no " + header)
    if len(values) > 1:
        raise AssertionRefused(Reason.HEADER_REPEATED, "more than one " + header)
    text = values[0]
    if len(text) > MAX_TOKEN:
        raise AssertionRefused(Reason.MALFORMED, "the token is too long")
    if not _COMPACT.fullmatch(text):
        raise AssertionRefused(Reason.MALFORMED, "not a compact JWS")
    head = text.partition(".")[0]
    try:
        values_of = parse_json(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (NotJSON, ValueError):
        raise AssertionRefused(Reason.MALFORMED, "not a compact JWS") from None
    if values_of.get("alg") != "ES256":
        raise AssertionRefused(Reason.ALGORITHM_REFUSED, "alg is not ES256")
    if values_of.get("typ") != typ:
        raise AssertionRefused(Reason.TYPE_WRONG, "typ is not " + typ)
    kid = values_of.get("kid")
    if not isinstance(kid, str) or not kid:
        raise AssertionRefused(Reason.KEY_UNKNOWN, "no kid")
    return Token(text, kid, "crit" in values_of or "b64" in values_of)
