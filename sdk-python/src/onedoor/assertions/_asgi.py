"""A wrapper around an ASGI application."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from ._reasons import AssertionRefused, Reason
from ._verifier import Verifier, judge_of

CLAIMS = "onedoor.claims"
"""Where the application finds the Claims: scope["onedoor.claims"], environ["onedoor.claims"]."""

# What a path may hold undecoded (RFC 3986 section 3.3).
PATH_CHARACTERS = "/-._~!$&'()*+,;=:@"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("onedoor.assertions")


class ASGIMiddleware:
    """Lets through to an application only requests with a valid assertion.

    The application finds the Claims in scope["onedoor.claims"]. All others are answered 401, 413
    for a body too large, or 503 where it cannot be told; the reason stands in the log alone
    (logger onedoor.assertions). A WebSocket is refused: an assertion is made for one request.

    The body is read up to the verifier's max_body and given to the application whole.
    certificate gives the DER of the client certificate if the server has verified one; by default
    that of ASGI's TLS extension, which few servers have.
    """

    def __init__(
        self,
        app: Application,
        verifier: Verifier,
        *,
        certificate: Callable[[Scope], bytes | None] | None = None,
    ) -> None:
        self._app, self._judge = app, judge_of(verifier)
        self._certificate = certificate or verified_by_server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Implements ASGI."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind == "websocket":
            _log.warning("assertion refused: an assertion is for one request, not for a WebSocket")
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if kind != "http":
            raise ValueError(f"an ASGI scope of type {kind!r} is not let through")
        try:
            claims, receive = await self._verify(scope, receive)
        except AssertionRefused as refusal:
            _log.warning("%s", refusal)
            await _refuse(send, refusal.http_status)
            return
        await self._app({**scope, CLAIMS: claims}, receive, send)

    async def _verify(self, scope: Scope, receive: Receive) -> tuple[object, Receive]:
        judge, method = self._judge, scope["method"]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        claims = await judge.open_async(judge.values(headers), self._certificate(scope))
        if judge.check_target(claims, method, url_of(scope, headers)):
            body = await _read(receive, judge.max_body)
            judge.check_body(claims, body)
            receive = _again(body, receive)
        await judge.finish_async(claims, method)
        return claims, receive


def url_of(scope: Scope, headers: Iterable[tuple[str, str]]) -> str:
    """Gives the URL as it came. A path that the server gave only decoded is encoded as is usual."""
    hosts = [value for name, value in headers if name == "host"]
    host = hosts[0] if len(hosts) == 1 else ""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"], safe=PATH_CHARACTERS)
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host}{path}" + ("?" + query if query else "")


def verified_by_server(scope: Scope) -> bytes | None:
    """Gives the client certificate of ASGI's TLS extension, unless its verification failed."""
    tls = scope.get("extensions", {}).get("tls", {})
    chain = list(tls.get("client_cert_chain") or ())
    if not chain or tls.get("client_cert_error") is not None:
        return None
    return der(chain[0])


def der(pem: str) -> bytes | None:
    """Gives the DER of a certificate in PEM; None if it is not."""
    _, begun, rest = pem.partition("-----BEGIN CERTIFICATE-----")
    inner, ended, _ = rest.partition("-----END CERTIFICATE-----")
    try:
        return base64.b64decode("".join(inner.split()), validate=True) if begun and ended else None
    except ValueError:
        return None


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise AssertionRefused(Reason.BODY_UNREADABLE, "the body ended early")
        body += message.get("body", b"")
        if len(body) > most:
            raise AssertionRefused(Reason.BODY_TOO_LARGE, "the body is larger than this service reads")
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body once more, and then what comes behind it."""
    given = False

    async def once_more() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once_more


async def _refuse(send: Send, status: int) -> None:
    text = b"assertion refused\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
