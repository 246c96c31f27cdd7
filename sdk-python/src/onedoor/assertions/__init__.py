"""Verifies, in an internal service, the signed JWT in which a Onedoor broker says on whose behalf it calls.

    verifier = Verifier(issuer="https://broker.example", audience="https://payroll.internal")
    app = ASGIMiddleware(app, verifier)  # or WSGIMiddleware
    ...
    claims = scope["onedoor.claims"]

One request is judged in this order, and the first fault refuses it:

    the header, exactly once -> ES256 and the exact typ -> a key of the JWKS -> signature
    -> iss, one aud, exp, iat, jti, life -> the TLS peer and cnf
    -> htm, htu, query, body -> jti not seen before

What costs little comes first, and a jti is remembered only when all else held, so that nobody
can use up another's assertion or fill the memory with forgeries.

An assertion is context, not authentication: it says for whom, and whoever copies it can show it
too. Authenticate the broker as well. docs/assertions.md explains every claim.

It needs PyJWT and cryptography (pip install "onedoor[assertions]"), and nothing else of onedoor.
"""

from ._asgi import ASGIMiddleware
from ._claims import Actor, Claims, Confirmation, Context, Requester
from ._judge import Headers
from ._options import Profile
from ._reasons import AssertionRefused, Reason
from ._replay import AsyncReplayCache, MemoryReplay, ReplayCache, ReplayFull
from ._verifier import Verifier
from ._wsgi import WSGIMiddleware

__all__ = [
    "ASGIMiddleware",
    "Actor",
    "AssertionRefused",
    "AsyncReplayCache",
    "Claims",
    "Confirmation",
    "Context",
    "Headers",
    "MemoryReplay",
    "Profile",
    "Reason",
    "ReplayCache",
    "ReplayFull",
    "Requester",
    "Verifier",
    "WSGIMiddleware",
]
