"""The wrappers for ASGI and WSGI, by themselves and within servers that people use."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import uvicorn
import werkzeug.serving
from assertion_kit import AUDIENCE, HEADER, Broker, certificate, tls_server
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from onedoor.assertions import ASGIMiddleware, WSGIMiddleware
from onedoor.assertions._asgi import verified_by_server as certificate_of_scope
from onedoor.assertions._peer import base64url
from onedoor.assertions._wsgi import verified_by_server as certificate_of_environ

PEM = certificate(x509.UniformResourceIdentifier("spiffe://a/b")).public_bytes(Encoding.PEM).decode()
DER = x509.load_pem_x509_certificate(PEM.encode()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    yield made
    made.close()


class Asked:
    """One request over ASGI, and what became of it."""

    def __init__(self, broker: Broker, *messages: Any, **changes: Any) -> None:
        self.reached = self.received = 0
        self.status = 0
        self.sent: list[Any] = []
        inbox = list(messages)
        token = changes.pop("token", "")
        verifier = broker.verifier(max_body=5)
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "https",
            "path": "/a",
            "query_string": b"",
            "headers": [(b"host", b"payroll.internal"), (HEADER.lower().encode(), token.encode())],
            **changes,
        }

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.reached += 1
            self.scope = scope
            self.first = await receive()

        async def receive() -> Any:
            self.received += 1
            return inbox.pop(0)

        async def send(message: Any) -> None:
            self.sent.append(message)
            self.status = message.get("status", self.status)

        asyncio.run(ASGIMiddleware(app, verifier)(scope, receive, send))


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_asgi_reads_no_body_before_the_token_held(broker: Broker) -> None:
    for token in ("", broker.token("POST", AUDIENCE + "/b", "x")):
        asked = Asked(broker, token=token)
        assert (asked.status, asked.received, asked.reached) == (401, 0, 0)


def test_asgi_bounds_the_body(broker: Broker) -> None:
    token = broker.token("POST", AUDIENCE + "/a", "123456")
    asked = Asked(broker, piece(b"123", True), piece(b"456", True), token=token)
    assert (asked.status, asked.received, asked.reached) == (413, 2, 0)
    asked = Asked(
        broker, piece(b"12", True), piece(b"345"), token=broker.token("POST", AUDIENCE + "/a", "12345")
    )
    assert (asked.status, asked.reached, asked.first) == (0, 1, piece(b"12345"))


def test_asgi_refuses_a_body_that_ends_early(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    token = broker.token("POST", AUDIENCE + "/a", "12")
    asked = Asked(broker, piece(b"1", True), {"type": "http.disconnect"}, token=token)
    assert (asked.status, asked.reached) == (401, 0)
    assert "BODY_UNREADABLE" in caplog.text


def test_asgi_leaves_a_stream_alone(broker: Broker) -> None:
    claims = broker.claims("POST", AUDIENCE + "/a")
    claims["tctx"] = {"body": "stream"}
    asked = Asked(broker, piece(b"more than five", True), token=broker.sign(claims))
    assert (asked.reached, asked.received, asked.first) == (1, 1, piece(b"more than five", True))


def test_asgi_lets_nothing_else_through(broker: Broker) -> None:
    asked = Asked(
        broker, {"type": "websocket.connect"}, type="websocket", token=broker.token("GET", AUDIENCE + "/a")
    )
    assert (asked.reached, asked.sent) == (0, [{"type": "websocket.close", "code": 1008}])
    with pytest.raises(ValueError, match="tomorrow"):
        Asked(broker, type="tomorrow")
    assert Asked(broker, {"type": "lifespan.startup"}, type="lifespan").reached == 1


def test_asgi_claims_of_others_are_not_believed(broker: Broker) -> None:
    asked = Asked(broker, **{"onedoor.claims": "made up", "token": ""})
    assert (asked.status, asked.reached) == (401, 0)
    asked = Asked(
        broker, piece(b"x"), token=broker.token("POST", AUDIENCE + "/a", "x"), **{"onedoor.claims": "made up"}
    )
    assert asked.scope["onedoor.claims"].subject == "usr_1"


@pytest.mark.parametrize(
    ("headers", "raw", "status"),
    [
        ([(b"host", b"payroll.internal")], None, 0),
        ([(b"host", b"payroll.internal")], b"/a", 0),
        ([(b"host", b"payroll.internal")], b"/%61", 401),
        ([(b"host", b"payroll.internal")], b"https://payroll.internal/a", 401),
        ([], b"/a", 401),
        ([(b"host", b"payroll.internal")] * 2, b"/a", 401),
    ],
)
def test_asgi_targets(broker: Broker, headers: Any, raw: bytes | None, status: int) -> None:
    carried = [*headers, (HEADER.lower().encode(), broker.token("POST", AUDIENCE + "/a", "x").encode())]
    asked = Asked(broker, piece(b"x"), headers=carried, raw_path=raw)
    assert (asked.status, asked.reached) == (status, 0 if status else 1)


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({}, None),
        ({"client_cert_chain": []}, None),
        ({"client_cert_chain": [PEM, "other"]}, DER),
        ({"client_cert_chain": [PEM], "client_cert_error": None}, DER),
        ({"client_cert_chain": [PEM], "client_cert_error": "expired"}, None),
        ({"client_cert_chain": ["no certificate"]}, None),
    ],
)
def test_asgi_certificates(tls: dict[str, Any], expected: bytes | None) -> None:
    assert certificate_of_scope({"extensions": {"tls": tls}}) == expected
    assert certificate_of_scope({}) is None


class Unread:
    def read(self, size: int = -1) -> bytes:
        raise AssertionError("read")


class Cut:
    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError("gone")


def ask_wsgi(broker: Broker, token: str, body: Any, **changes: Any) -> tuple[int, bytes | None]:
    """Gives the status, 0 for none, and what the application read."""
    read: list[bytes] = []
    statuses = [0]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["onedoor.claims"].subject == "usr_1"
        read.append(environ["wsgi.input"].read())
        return []

    environ = {
        "REQUEST_METHOD": "POST",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "payroll.internal",
        "PATH_INFO": "/a",
        "HTTP_X_ONEDOOR_JWT_ASSERTION": token,
        "wsgi.input": body,
        "onedoor.claims": "made up",
        **changes,
    }

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        statuses[0] = int(status[:3])

    WSGIMiddleware(app, broker.verifier(max_body=5))(environ, start)
    return statuses[0], read[0] if read else None


def test_wsgi_bodies(broker: Broker) -> None:
    def token(body: str, path: str = "/a") -> str:
        return broker.token("POST", AUDIENCE + path, body)

    ended = {"wsgi.input_terminated": True}
    assert ask_wsgi(broker, token("12", "/b"), Unread(), CONTENT_LENGTH="2")[0] == 401, (
        "the target comes first"
    )
    assert ask_wsgi(broker, token("123456"), Unread(), CONTENT_LENGTH="6")[0] == 413
    assert ask_wsgi(broker, token("12"), Unread(), CONTENT_LENGTH="two")[0] == 401
    assert ask_wsgi(broker, token("12"), Unread(), CONTENT_LENGTH="-1")[0] == 401
    assert ask_wsgi(broker, token("12"), Cut(), CONTENT_LENGTH="2")[0] == 401
    assert ask_wsgi(broker, token("12"), io.BytesIO(b"12"), CONTENT_LENGTH="3")[0] == 401
    assert ask_wsgi(broker, token("12"), io.BytesIO(b"12GET /"), CONTENT_LENGTH="2") == (0, b"12")
    assert ask_wsgi(broker, token("12345"), io.BytesIO(b"12345"), **ended) == (0, b"12345")
    assert ask_wsgi(broker, token("123456"), io.BytesIO(b"123456"), **ended)[0] == 413
    assert ask_wsgi(broker, token(""), Unread()) == (0, b""), (
        "without a length there is no body, nor for the application"
    )
    assert ask_wsgi(broker, token("12"), Unread())[0] == 401


def test_wsgi_targets(broker: Broker) -> None:
    def ask(path: str, **environ: Any) -> int:
        token = broker.token("POST", AUDIENCE + path, "")
        return ask_wsgi(broker, token, io.BytesIO(), CONTENT_LENGTH="0", **environ)[0]

    assert ask("/a%20b?x=%41", PATH_INFO="/a b", QUERY_STRING="x=%41") == 0
    assert ask("/m/a", SCRIPT_NAME="/m") == 0
    assert ask("/a%2Fb", PATH_INFO="/a/b") == 401, "how it was written is not known"
    assert ask("/a%2Fb", PATH_INFO="/a/b", RAW_URI="/a%2Fb") == 0
    assert ask("/a/b?q", PATH_INFO="/a/b", REQUEST_URI="/a/b?q") == 0
    assert ask("/a/b", PATH_INFO="/a/b", REQUEST_URI="/a%2Fb") == 401
    assert ask("/a", HTTP_HOST="crm.internal") == 401
    assert ask("/a", **{"wsgi.url_scheme": "http"}) == 401


class Socket:
    def __init__(self, der: bytes | None) -> None:
        self.der = der

    def getpeercert(self, binary_form: bool) -> bytes | None:
        assert binary_form
        return self.der


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SSL_CLIENT_CERT": PEM}, None),
        ({"SSL_CLIENT_CERT": PEM, "SSL_CLIENT_VERIFY": "GENEROUS"}, None),
        ({"SSL_CLIENT_CERT": PEM, "SSL_CLIENT_VERIFY": "SUCCESS"}, DER),
        ({"SSL_CLIENT_CERT": "x", "SSL_CLIENT_VERIFY": "SUCCESS"}, None),
        ({"gunicorn.socket": Socket(DER)}, DER),
        ({"gunicorn.socket": Socket(None), "SSL_CLIENT_CERT": PEM, "SSL_CLIENT_VERIFY": "SUCCESS"}, None),
        ({"gunicorn.socket": object()}, None),
    ],
)
def test_wsgi_certificates(environ: dict[str, Any], expected: bytes | None) -> None:
    assert certificate_of_environ(environ) == expected


def test_the_caller_learns_no_reason(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "onedoor.assertions")
    token = broker.token("POST", AUDIENCE + "/a", "x")
    asked = Asked(broker, piece(b"y"), token=token)
    assert [m.get("body") for m in asked.sent] == [None, b"assertion refused\n"]
    assert caplog.messages == [
        "assertion refused: DIGEST_WRONG: the body is not the one that the assertion was made for"
    ]
    assert token[:20] not in caplog.text


def request(
    port: int, tls: ssl.SSLContext | None, method: str, target: str, token: str, body: Any
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    if tls is not None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)
    try:
        connection.request(method, target, body, {HEADER: token} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def judge_server(broker: Broker, port: int, call: Callable[..., tuple[int, bytes]], scheme: str) -> None:
    base = f"{scheme}://127.0.0.1:{port}"
    target = "/payslips/a%2Fb?x=%41"
    written = broker.token("POST", base + target, "hello")
    assert call("POST", target, written, b"hello") == (200, b"usr_1 hello")
    assert call("POST", target, written, b"hello")[0] == 401, "replayed"
    pieces = broker.token("POST", base + target, "hello")
    assert call("POST", target, pieces, iter([b"hel", b"lo"])) == (200, b"usr_1 hello"), "in chunks"
    assert call("GET", target, broker.token("GET", base + target), None) == (200, b"usr_1 ")
    assert call("GET", "/payslips/a/b?x=%41", broker.token("GET", base + target), None)[0] == 401
    assert call("GET", target, "", None) == (401, b"assertion refused\n")


def test_within_uvicorn(broker: Broker) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": scope["onedoor.claims"].subject.encode() + b" " + body}
        )

    wrapped = ASGIMiddleware(app, broker.verifier())
    server = uvicorn.Server(
        uvicorn.Config(wrapped, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    )
    bound = threading.Event()
    startup = server.startup

    async def started(*args: Any, **named: Any) -> None:
        await startup(*args, **named)
        bound.set()

    server.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert bound.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        judge_server(broker, port, lambda *args: request(port, None, *args), "http")
    finally:
        server.should_exit = True
        thread.join()


def client_key(
    folder: Path, authority: ec.EllipticCurvePrivateKey, made: x509.Certificate
) -> tuple[Path, Path]:
    pem, secret = folder / "client.pem", folder / "client.key"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(authority.private_bytes(Encoding.PEM, form, serialization.NoEncryption()))
    return pem, secret


def test_within_werkzeug_by_mutual_tls(broker: Broker, tmp_path: Path) -> None:
    app = flask.Flask("payslips")

    @app.route("/payslips/<path:rest>", methods=["GET", "POST"])
    def payslips(rest: str) -> bytes:
        claims = flask.request.environ["onedoor.claims"]
        return bytes(claims.subject.encode() + b" " + flask.request.get_data())

    key = ec.generate_private_key(ec.SECP256R1())
    shown = certificate(x509.UniformResourceIdentifier("spiffe://home.test/onedoor"), key=key)
    serving, trusting = tls_server(tmp_path)
    pem, secret = client_key(tmp_path, key, shown)
    serving.verify_mode = ssl.CERT_OPTIONAL
    serving.load_verify_locations(pem)
    verifier = broker.verifier(broker_id="spiffe://home.test/onedoor")
    wrapped = WSGIMiddleware(app, verifier)
    server = werkzeug.serving.make_server("127.0.0.1", 0, wrapped, threaded=True, ssl_context=serving)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        base = f"https://127.0.0.1:{server.server_port}"
        token = broker.token("GET", base + "/payslips/a")
        stranger = request(server.server_port, trusting, "GET", "/payslips/a", token, None)
        assert stranger[0] == 401, "without a certificate"
        trusting.load_cert_chain(pem, secret)

        def call(*args: Any) -> tuple[int, bytes]:
            return request(server.server_port, trusting, *args)

        judge_server(broker, server.server_port, call, "https")
        claims = broker.claims("GET", base + "/payslips/a")
        thumbprint = hashlib.sha256(shown.public_bytes(Encoding.DER)).digest()
        bound = {**claims, "cnf": {"x5t#S256": base64url(thumbprint)}}
        other = {**claims, "cnf": {"x5t#S256": base64url(hashlib.sha256(DER).digest())}}
        assert call("GET", "/payslips/a", broker.sign(bound), None)[0] == 200
        assert call("GET", "/payslips/a", broker.sign(other), None)[0] == 401
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
