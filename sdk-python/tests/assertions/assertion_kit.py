"""A broker that signs assertions and publishes its keys, for the tests beside this file."""

from __future__ import annotations

import base64
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from onedoor.assertions import AssertionRefused, Claims, Reason, Verifier

ISSUER = "https://broker.example"
AUDIENCE = "https://payroll.internal"
TARGET = "https://payroll.internal/payslips"
HEADER = "X-Onedoor-Jwt-Assertion"

Answer = tuple[int, dict[str, str], bytes]


class Clock:
    """Is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000

    def __call__(self) -> float:
        return float(self.seconds)

    def wait(self, seconds: int) -> None:
        self.seconds += seconds


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def content_digest(body: str) -> str:
    return "sha-256=:" + base64.b64encode(sha256(body)).decode() + ":"


def hashed(text: str) -> str:
    return base64.urlsafe_b64encode(sha256(text)).decode().rstrip("=")


def jwk(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey, kid: str, **more: str) -> dict[str, Any]:
    values: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
    return {**values, "kid": kid, "use": "sig", "alg": "ES256", **more}


def certificate(*names: x509.GeneralName, key: ec.EllipticCurvePrivateKey | None = None) -> x509.Certificate:
    """Signs itself, for a day."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def tls_server(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Gives a context for a server on 127.0.0.1, and one for those who trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate(x509.IPAddress(ipaddress.ip_address("127.0.0.1")), key=key)
    pem, secret = folder / "server.pem", folder / "server.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server, ssl.create_default_context(cafile=str(pem))


class Broker:
    """Signs assertions with the key named by active, and publishes all its keys."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.active = "one"
        self.fetches = 0
        self.answer: Callable[[str], Answer] | None = None
        self._serial = 0
        self.publish("one")
        serving, self.trust = tls_server(folder)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = serving.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, kid: str) -> ec.EllipticCurvePrivateKey:
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
        return self.keys[kid]

    def withdraw(self, kid: str) -> ec.EllipticCurvePrivateKey:
        return self.keys.pop(kid)

    def jwks(self) -> bytes:
        keys = [jwk(key.public_key(), kid) for kid, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    def verifier(self, **changes: Any) -> Verifier:
        values = {"jwks_url": self.url, "ssl_context": self.trust, "now": self.clock, **changes}
        return Verifier(ISSUER, AUDIENCE, **values)

    def claims(self, method: str = "GET", url: str = TARGET, body: str = "") -> dict[str, Any]:
        self._serial += 1
        uri, _, query = url.partition("?")
        tctx = {"task": "t", "tool": "payslips.add", "content_digest": content_digest(body)}
        if query:
            tctx["query_sha256"] = hashed(query)
        now = self.clock.seconds
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "usr_1",
            "txn": "inv_1",
            "jti": f"jti_{self._serial}",
            "iat": now,
            "exp": now + 60,
            "req_wl": "spiffe://home.test/sandbox",
            "scope": "payroll.payslips.add",
            "htm": method,
            "htu": uri,
            "tctx": tctx,
            "act": {"sub": "mailer", "sub_profile": "ai_agent"},
        }

    def sign(self, claims: dict[str, Any]) -> str:
        return sign(self.keys[self.active], self.active, claims)

    def token(self, method: str = "GET", url: str = TARGET, body: str = "") -> str:
        return self.sign(self.claims(method, url, body))


def sign(key: ec.EllipticCurvePrivateKey, kid: str, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, key, algorithm="ES256", headers={"typ": "onedoor-assertion+jwt", "kid": kid})


def verify(verifier: Verifier, token: str, method: str = "GET", url: str = TARGET, body: str = "") -> Claims:
    return verifier.verify(method, url, [(HEADER, token)], body.encode())


def verdict(
    verifier: Verifier, token: str, method: str = "GET", url: str = TARGET, body: str = ""
) -> Reason | None:
    """Gives the reason of a refusal, None for none."""
    try:
        verify(verifier, token, method, url, body)
    except AssertionRefused as refused:
        return refused.reason
    return None


def _handler(broker: Broker) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            broker.fetches += 1
            status, headers, body = broker.answer(self.path) if broker.answer else (200, {}, broker.jwks())
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler
