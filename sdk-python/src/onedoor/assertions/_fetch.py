"""Fetching the issuer's JWK Set (RFC 7517 section 5)."""

from __future__ import annotations

import ssl
import time
import urllib.request
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from ._claims import NotJSON, parse_json

MAX_JWKS = 256 << 10
"""Bounds an answer, in bytes. A key is some 200."""

Keys = dict[str, EllipticCurvePublicKey]
"""Public keys by their kid."""


class KeysRefused(Exception):
    """What the issuer's address answered is no set of keys."""


class JWKSSource:
    """Asks for a JWK Set.

    The opener knows https alone and follows no redirect: the keys come from where the
    configuration says, or from nowhere. A proxy of the environment's is used as everywhere
    in Python; TLS goes through it.
    """

    def __init__(self, url: str, context: ssl.SSLContext, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._opener = urllib.request.OpenerDirector()
        for handler in (urllib.request.ProxyHandler(), urllib.request.HTTPSHandler(context=context)):
            self._opener.add_handler(handler)

    def fetch(self) -> Keys:
        """Gives the keys of the answer; any exception says that there was none."""
        until = time.monotonic() + self._timeout
        accept = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "onedoor"}
        request = urllib.request.Request(self._url, headers=accept)
        answer = self._opener.open(request, timeout=self._timeout)
        if answer is None:
            raise KeysRefused(f"{self._url}: not an https URL")
        with answer:
            if answer.status != 200:
                raise KeysRefused(f"{self._url} answered {answer.status}")
            text = bytearray()
            # The socket's timeout is one for each read: who sends slowly must not hold on for ever.
            while piece := answer.read1(1 << 16):
                text += piece
                if len(text) > MAX_JWKS:
                    raise KeysRefused(f"{self._url}: more than {MAX_JWKS} bytes")
                if time.monotonic() > until:
                    raise KeysRefused(f"{self._url}: no whole answer within {self._timeout} s")
        return parse_keys(bytes(text))


def parse_keys(text: bytes) -> Keys:
    """Gives the keys that can verify an assertion.

    Keys of other kinds are passed over, as RFC 7517 section 5 says; a set that is ambiguous or
    no set is refused whole. A set without any is an answer: the issuer has withdrawn them all.
    """
    try:
        listed = parse_json(text).get("keys")
    except NotJSON as error:
        raise KeysRefused("the JWK Set does not parse") from error
    if not isinstance(listed, list):
        raise KeysRefused("not a JWK Set")
    keys: Keys = {}
    for values in listed:
        found = _usable(values)
        if found is None:
            continue
        if values["kid"] in keys:
            raise KeysRefused(f"the JWK Set names two keys {values['kid']!r}")
        keys[values["kid"]] = found
    return keys


def _usable(values: Any) -> EllipticCurvePublicKey | None:
    if not isinstance(values, dict) or not isinstance(values.get("kid"), str) or not values["kid"]:
        return None
    if values.get("kty") != "EC" or values.get("crv") != "P-256":
        return None
    if values.get("use", "sig") != "sig" or values.get("alg", "ES256") != "ES256":
        return None
    try:
        key = jwt.PyJWK.from_dict(values, algorithm="ES256").key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    # A private key on view is nobody's any more: its type is another, so it drops out.
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        return None
    return key
