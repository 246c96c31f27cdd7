"""The golden vectors, by every way in which a request comes: called, awaited, over ASGI, over WSGI."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from assertion_kit import Broker
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from onedoor.assertions import (
    ASGIMiddleware,
    AssertionRefused,
    Claims,
    Profile,
    Reason,
    Verifier,
    WSGIMiddleware,
)

VECTORS = json.loads(
    (Path(__file__).parents[3] / "tests" / "conformance" / "assertions" / "vectors.json").read_text("utf-8")
)
CASES = VECTORS["cases"]

Verdict = tuple[str | None, Claims | None, bytes]
"""The reason, or the claims and the body that the application read."""

Judge = Callable[[Verifier, dict[str, Any]], Verdict]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    made.answer = lambda _: (200, {}, json.dumps(VECTORS["jwks"]).encode())
    yield made
    made.close()


def test_there_are_many() -> None:
    assert len(CASES) > 100


def peer_of(request: dict[str, Any]) -> bytes | None:
    pem = request.get("peer_certificate")
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER) if pem else None


def called(verifier: Verifier, request: dict[str, Any]) -> Verdict:
    method, url, headers, body = (
        request["method"],
        request["url"],
        request["headers"],
        request["body"].encode(),
    )
    try:
        return None, verifier.verify(method, url, headers, body, peer_certificate=peer_of(request)), body
    except AssertionRefused as refused:
        return refused.reason.value, None, b""


def awaited(verifier: Verifier, request: dict[str, Any]) -> Verdict:
    method, url, headers, body = (
        request["method"],
        request["url"],
        request["headers"],
        request["body"].encode(),
    )
    try:
        claims = asyncio.run(
            verifier.verify_async(method, url, headers, body, peer_certificate=peer_of(request))
        )
    except AssertionRefused as refused:
        return refused.reason.value, None, b""
    return None, claims, body


def reason_in(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.messages[-1].split(": ")[1]


def over_asgi(caplog: pytest.LogCaptureFixture) -> Judge:
    def judge(verifier: Verifier, request: dict[str, Any]) -> Verdict:
        url = urlsplit(request["url"])
        headers = [(b"host", url.netloc.encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in request["headers"]]
        pem = request.get("peer_certificate")
        scope = {
            "type": "http",
            "method": request["method"],
            "scheme": url.scheme,
            "path": unquote(url.path),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "headers": headers,
            "extensions": {"tls": {"client_cert_chain": [pem] if pem else [], "client_cert_error": None}},
        }
        middle = len(request["body"]) // 2
        pieces = [request["body"][:middle].encode(), request["body"][middle:].encode()]
        inbox = [{"type": "http.request", "body": pieces[0], "more_body": True}]
        inbox += [{"type": "http.request", "body": pieces[1], "more_body": False}]
        seen: list[tuple[Claims, bytes]] = []
        sent: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message["more_body"]
            seen.append((scope["onedoor.claims"], body))

        async def receive() -> Any:
            return inbox.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(ASGIMiddleware(app, verifier)(scope, receive, send))
        if seen:
            return None, seen[0][0], seen[0][1]
        assert sent[0]["status"] == 401
        assert sent[1]["body"] == b"assertion refused\n"
        return reason_in(caplog), None, b""

    return judge


def over_wsgi(caplog: pytest.LogCaptureFixture) -> Judge:
    def judge(verifier: Verifier, request: dict[str, Any]) -> Verdict:
        url = urlsplit(request["url"])
        body, pem = request["body"].encode(), request.get("peer_certificate")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request["method"],
            "wsgi.url_scheme": url.scheme,
            "HTTP_HOST": url.netloc,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(url.path),
            "QUERY_STRING": url.query,
            "RAW_URI": url.path + ("?" + url.query if url.query else ""),
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
        }
        if pem:
            environ |= {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_CERT": pem}
        for name, value in request["headers"]:
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = environ[key] + "," + value if key in environ else value
        seen: list[tuple[Claims, bytes]] = []
        statuses: list[str] = []

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            read = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            seen.append((environ["onedoor.claims"], read))
            return []

        answer = WSGIMiddleware(app, verifier)(environ, lambda status, headers: statuses.append(status))
        if seen:
            return None, seen[0][0], seen[0][1]
        assert statuses == ["401 Unauthorized"]
        assert list(answer) == [b"assertion refused\n"]
        return reason_in(caplog), None, b""

    return judge


@pytest.mark.parametrize("way", ["called", "awaited", "asgi", "wsgi"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vector(broker: Broker, caplog: pytest.LogCaptureFixture, way: str, case: dict[str, Any]) -> None:
    judge: Judge = {
        "called": called,
        "awaited": awaited,
        "asgi": over_asgi(caplog),
        "wsgi": over_wsgi(caplog),
    }[way]
    txn = case["profile"] == "txn-token"
    verifier = Verifier(
        VECTORS["issuer"],
        VECTORS["trust_domain"] if txn else VECTORS["audience"],
        profile=Profile.TXN_TOKEN if txn else Profile.REQUEST_BOUND,
        jwks_url=broker.url,
        ssl_context=broker.trust,
        leeway=VECTORS["leeway"],
        broker_id=case.get("broker_id", ""),
        require_confirmation=case.get("require_cnf", False),
        now=lambda: VECTORS["now"],
    )
    for _ in range(case["times"] - 1):
        assert judge(verifier, case["request"])[0] is None, "all but the last time"
    reason, claims, body = judge(verifier, case["request"])
    expected = case.get("reason")
    if way == "wsgi" and expected == Reason.HEADER_REPEATED.value:
        expected = Reason.MALFORMED.value  # WSGI has joined the two
    assert reason == expected
    assert (claims is not None) == case["valid"]
    if claims is not None:
        assert claims.subject == "usr_7f3a"
        assert body == case["request"]["body"].encode(), "the application can read the body"
