"""Holding a request to the claims that were made for it."""

from __future__ import annotations

import base64
import hashlib
import re

from ._claims import Claims
from ._peer import base64url, equal
from ._reasons import AssertionRefused, Reason

STREAMED = "stream"
"""The value of tctx.body for a body that the broker relays as it comes."""

# An absolute http URL without user, query and fragment, all of it in the characters that go
# over a wire. A zone or a name in percent escapes is no host here.
_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=-]+)(?::([0-9]*))?(/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?",
    re.ASCII | re.IGNORECASE,
)

_PORTS = {"http": "80", "https": "443"}


def canonical(text: str) -> str | None:
    """Does of RFC 3986 section 6.2 what changes no meaning: case of scheme and host, default port, empty path.

    The path is otherwise compared byte by byte: a router may tell apart what normalisation would
    make one. None says that the text is no such URL.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return None
    scheme, host, port, path = found.groups()
    scheme = scheme.lower()
    return f"{scheme}://{host.lower()}:{port or _PORTS[scheme]}{path or '/'}"


def check_target(claims: Claims, method: str, url: str, origin: str) -> None:
    """Compares method, target and query. url is the request's; origin, where set, stands for its beginning."""
    if not claims.method or claims.method != method:
        raise AssertionRefused(Reason.METHOD_WRONG, f"htm is not {method[:40]!r}")
    uri, _, query = url.partition("?")
    if origin:
        uri = origin.rstrip("/") + path_of(uri)
    want = canonical(uri)
    if want is None:
        raise AssertionRefused(Reason.URI_WRONG, "the request's own target is no URI")
    if canonical(claims.uri) != want:
        raise AssertionRefused(Reason.URI_WRONG, "htu is not the request's target")
    _check_query(claims.context.query_sha256, query)


def path_of(uri: str) -> str:
    """Gives the path of an absolute URL, or of a target that begins with its path."""
    if uri.startswith("/"):
        return uri
    _, _, rest = uri.partition("://")
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def _check_query(claimed: str, query: str) -> None:
    """Demands a hash wherever there is a query, so that none can be added."""
    if not claimed and not query:
        return
    # As the bytes came: a server gives those beyond ASCII as ISO 8859-1.
    try:
        sent = query.encode("latin-1")
    except UnicodeEncodeError:
        raise AssertionRefused(Reason.QUERY_WRONG, "the query is not what goes over a wire") from None
    if not equal(claimed, base64url(hashlib.sha256(sent).digest())):
        raise AssertionRefused(Reason.QUERY_WRONG, "tctx.query_sha256 is not that of the request's query")


def binds_body(claims: Claims) -> bool:
    """Says whether the body must be read to judge it, and refuses claims that say neither or both."""
    digest, kind = claims.context.content_digest, claims.context.body
    if kind == STREAMED and not digest:
        return False
    if kind:
        raise AssertionRefused(Reason.DIGEST_WRONG, 'tctx.body is not "stream" without a digest')
    if not digest:
        raise AssertionRefused(Reason.DIGEST_MISSING, 'neither tctx.content_digest nor tctx.body "stream"')
    return True


def check_body(claims: Claims, body: bytes) -> None:
    """Compares the digest."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    if not equal(claims.context.content_digest, f"sha-256=:{digest}:"):
        raise AssertionRefused(Reason.DIGEST_WRONG, "the body is not the one that the assertion was made for")


# RFC 9110 section 9.2.2: to repeat one within seconds asks for nothing new, and proxies do it by
# themselves. Methods are compared as they are written: "get" is none of these.
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


def idempotent(method: str) -> bool:
    """Says whether an assertion for this method may be shown twice."""
    return method in _IDEMPOTENT
