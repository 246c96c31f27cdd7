"""A wrapper around a WSGI application."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ._asgi import CLAIMS, PATH_CHARACTERS, der
from ._claims import Claims
from ._reasons import AssertionRefused, Reason
from ._verifier import Verifier, judge_of

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_log = logging.getLogger("onedoor.assertions")


class WSGIMiddleware:
    """Lets through to an application only requests with a valid assertion.

    The application finds the Claims in environ["onedoor.claims"]. All others are answered 401,
    413 for a body too large, or 503 where it cannot be told; the reason stands in the log alone
    (logger onedoor.assertions).

    The body is read up to the verifier's max_body and given to the application again.
    certificate gives the DER of the client certificate if the server has verified one; by default
    that of the TLS socket which gunicorn and Werkzeug show, or SSL_CLIENT_CERT where
    SSL_CLIENT_VERIFY says SUCCESS (mod_wsgi, uWSGI).
    """

    def __init__(
        self,
        app: Application,
        verifier: Verifier,
        *,
        certificate: Callable[[Environ], bytes | None] | None = None,
    ) -> None:
        self._app, self._judge = app, judge_of(verifier)
        self._certificate = certificate or verified_by_server

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Implements WSGI."""
        try:
            claims = self._verify(environ)
        except AssertionRefused as refusal:
            _log.warning("%s", refusal)
            return _refuse(start_response, refusal.http_status)
        environ[CLAIMS] = claims
        return self._app(environ, start_response)

    def _verify(self, environ: Environ) -> Claims:
        judge, method = self._judge, environ["REQUEST_METHOD"]
        # A server joins what came twice by commas, which no token holds.
        carried = environ.get("HTTP_" + judge.header.upper().replace("-", "_"))
        claims = judge.open([] if carried is None else [carried], self._certificate(environ))
        if judge.check_target(claims, method, url_of(environ)):
            body = _read(environ, judge.max_body)
            judge.check_body(claims, body)
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
            environ["wsgi.input_terminated"] = True
        judge.finish(claims, method)
        return claims


def url_of(environ: Environ) -> str:
    """Gives the URL as it came, by RAW_URI or REQUEST_URI.

    Where a server gives neither, the path is known only decoded, and is encoded as is usual.
    """
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        path, _, query = raw.partition("?")
    else:
        decoded = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
        path, query = quote(decoded, safe=PATH_CHARACTERS) or "/", environ.get("QUERY_STRING", "")
    return f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}{path}" + (
        "?" + query if query else ""
    )


def verified_by_server(environ: Environ) -> bytes | None:
    """Gives the client certificate that the server has verified; None for one that it merely asked for."""
    for name in ("gunicorn.socket", "werkzeug.socket"):
        # Python's TLS gives in this form only what it has verified.
        show = getattr(environ.get(name), "getpeercert", None)
        if show is not None:
            found = show(binary_form=True)
            return found if isinstance(found, bytes) else None
    if environ.get("SSL_CLIENT_VERIFY") == "SUCCESS":
        return der(environ.get("SSL_CLIENT_CERT", ""))
    return None


def _read(environ: Environ, most: int) -> bytes:
    said = environ.get("CONTENT_LENGTH") or ""
    if not said and not environ.get("wsgi.input_terminated"):
        return b""  # without a length nothing may be read (PEP 3333)
    if said and not (said.isascii() and said.isdigit() and len(said) < 20):
        raise AssertionRefused(Reason.BODY_UNREADABLE, "Content-Length is no number")
    length = int(said) if said else most + 1
    if said and length > most:
        raise AssertionRefused(Reason.BODY_TOO_LARGE, "the body is larger than this service reads")
    body = bytearray()
    while len(body) < length:
        try:
            piece = environ["wsgi.input"].read(min(length - len(body), 1 << 16))
        except OSError as error:
            raise AssertionRefused(Reason.BODY_UNREADABLE, "the body ended early") from error
        if not piece:
            break
        body += piece
    if said and len(body) < length:
        raise AssertionRefused(Reason.BODY_UNREADABLE, "the body ended early")
    if len(body) > most:
        raise AssertionRefused(Reason.BODY_TOO_LARGE, "the body is larger than this service reads")
    return bytes(body)


def _refuse(start_response: StartResponse, status: int) -> Iterable[bytes]:
    text = b"assertion refused\n"
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [text]
