"""The verifier: its arguments, targets, peers, replays, and what its refusals say."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from assertion_kit import AUDIENCE, HEADER, ISSUER, TARGET, Broker, certificate, hashed, sign, verdict, verify
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from onedoor.assertions import AssertionRefused, MemoryReplay, Profile, Reason, ReplayFull, Verifier
from onedoor.assertions._claims import parse_claims
from onedoor.assertions._peer import base64url


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    yield made
    made.close()


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": "http://broker.example"}, "issuer"),
        ({"audience": ""}, "audience"),
        ({"jwks_url": "http://broker.example/keys"}, "jwks_url"),
        ({"jwks_url": "file:///etc/keys"}, "jwks_url"),
        ({"profile": "txn-token"}, "profile"),
        ({"leeway": 3600}, "leeway"),
        ({"leeway": -1}, "leeway"),
        ({"leeway": float("nan")}, "leeway"),
        ({"keys_stale": 60}, "keys_stale"),
        ({"refresh_interval": -1}, "refresh_interval"),
        ({"max_body": -1}, "max_body"),
        ({"broker_id": "broker"}, "broker_id"),
        ({"require_confirmation": True, "tls_elsewhere": True}, "require_confirmation"),
        ({"require_confirmation": True, "profile": Profile.TXN_TOKEN}, "require_confirmation"),
        ({"broker_id": "spiffe://a/b", "tls_elsewhere": True}, "broker_id"),
        ({"origin": "payroll.internal"}, "origin"),
        ({"origin": "https://payroll.internal?a"}, "origin"),
        ({"ssl_context": unverified()}, "ssl_context"),
        ({"issuer": "", "audience": ""}, "issuer '': .*; audience"),
    ],
)
def test_faulty_arguments(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Verifier(**{"issuer": ISSUER, "audience": AUDIENCE, **values})


@pytest.mark.parametrize(
    ("origin", "claimed", "sent", "expected"),
    [
        ("", TARGET, TARGET, None),
        ("", TARGET + "/a%2Fb/%7e", TARGET + "/a%2Fb/%7e", None),
        ("", TARGET + "?x=1&x=%20", TARGET + "?x=1&x=%20", None),
        ("https://PAYROLL.internal", "HTTPS://payroll.INTERNAL/a", "http://10.0.0.1/a", None),
        ("https://payroll.internal", "https://payroll.internal:443/a", "http://10.0.0.1/a", None),
        ("https://payroll.internal/", "https://payroll.internal/a", "/a", None),
        ("https://payroll.internal/", "https://payroll.internal", "http://10.0.0.1", None),
        ("https://payroll.internal:8443", "https://payroll.internal/a", "/a", Reason.URI_WRONG),
        ("https://payroll.internal", "http://10.0.0.1/a", "http://10.0.0.1/a", Reason.URI_WRONG),
        ("", "https://me@payroll.internal/a", "https://me@payroll.internal/a", Reason.URI_WRONG),
        ("https://k.internal", "https://\u212a.internal/a", "/a", Reason.URI_WRONG),
        ("https://k.internal", "https://%E2%84%AA.internal/a", "/a", Reason.URI_WRONG),
        ("", TARGET + "/a/b", TARGET + "/a%2Fb", Reason.URI_WRONG),
        ("", TARGET + "#b", TARGET, Reason.URI_WRONG),
        ("", TARGET + "#b", TARGET + "#b", Reason.URI_WRONG),
        ("", TARGET + "\n", TARGET, Reason.URI_WRONG),
        ("", "https:///a", "https:///a", Reason.URI_WRONG),
        ("", TARGET + "/%zz", TARGET + "/%zz", Reason.URI_WRONG),
        ("", TARGET, TARGET + "?\u20ac", Reason.QUERY_WRONG),
    ],
)
def test_targets(broker: Broker, origin: str, claimed: str, sent: str, expected: Reason | None) -> None:
    v = broker.verifier(origin=origin)
    assert verdict(v, broker.token("GET", claimed), "GET", sent) is expected


BROKER_ID = "spiffe://home.test/onedoor"
ONE = x509.UniformResourceIdentifier(BROKER_ID)
PROVED = certificate(ONE).public_bytes(Encoding.DER)
DOUBLE = certificate(ONE, x509.UniformResourceIdentifier("spiffe://home.test/b")).public_bytes(Encoding.DER)
NAMED = certificate(x509.DNSName(BROKER_ID)).public_bytes(Encoding.DER)
BY_ID, CONFIRMED = {"broker_id": BROKER_ID}, {"require_confirmation": True}


@pytest.mark.parametrize(
    ("values", "bound", "peer", "expected"),
    [
        (BY_ID, True, PROVED, None),
        (BY_ID, False, PROVED, None),
        (BY_ID, False, DOUBLE, Reason.PEER_WRONG),
        (BY_ID, False, NAMED, Reason.PEER_WRONG),
        (BY_ID, False, b"no certificate", Reason.PEER_WRONG),
        (BY_ID, False, None, Reason.PEER_WRONG),
        ({}, True, None, Reason.PEER_WRONG),
        ({}, True, DOUBLE, Reason.PEER_WRONG),
        ({}, True, PROVED, None),
        (CONFIRMED, True, PROVED, None),
        (CONFIRMED, True, None, Reason.PEER_WRONG),
        (CONFIRMED, False, PROVED, Reason.CLAIM_MISSING),
        (CONFIRMED, False, None, Reason.CLAIM_MISSING),
        ({"tls_elsewhere": True}, True, None, None),
    ],
)
def test_peers(
    broker: Broker, values: dict[str, Any], bound: bool, peer: bytes | None, expected: Reason | None
) -> None:
    claims = broker.claims()
    if bound:
        claims["cnf"] = {"x5t#S256": base64url(hashlib.sha256(PROVED).digest())}
    v = broker.verifier(**values)
    try:
        v.verify("GET", TARGET, [(HEADER, broker.sign(claims))], b"", peer_certificate=peer)
        found = None
    except AssertionRefused as refused:
        found = refused.reason
    assert found is expected


@pytest.mark.parametrize("method", ["POST", "PATCH", "get", "PURGE"])
def test_used_once(broker: Broker, method: str) -> None:
    v = broker.verifier()
    token = broker.token(method, TARGET, "{}")
    verify(v, token, method, TARGET, "{}")
    broker.clock.wait(89)  # the last moment at which it is not expired
    assert verdict(v, token, method, TARGET, "{}") is Reason.REPLAYED


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_used_twice(broker: Broker, method: str) -> None:
    v = broker.verifier()
    token = broker.token(method)
    verify(v, token, method)
    verify(v, token, method)


def test_a_refused_request_uses_nothing_up(broker: Broker) -> None:
    v = broker.verifier()
    token = broker.token("POST", TARGET, "{}")
    assert verdict(v, token, "POST", TARGET, "{ }") is Reason.DIGEST_WRONG
    assert verdict(v, token, "POST", TARGET, "{}") is None


class Failing:
    def claim(self, id: str, now: float, until: float) -> bool:
        raise OSError("redis is away")


class Vague:
    def claim(self, id: str, now: float, until: float) -> bool:
        return "OK"  # type: ignore[return-value]


class Awaited:
    def __init__(self) -> None:
        self.kept = MemoryReplay()

    async def claim(self, id: str, now: float, until: float) -> bool:
        await asyncio.sleep(0)
        return self.kept.claim(id, now, until)


def test_a_cache_that_does_not_answer(broker: Broker) -> None:
    v = broker.verifier(replay=Failing())
    with pytest.raises(AssertionRefused, match="redis is away") as refused:
        verify(v, broker.token("POST"), "POST")
    assert refused.value.reason is Reason.REPLAY_UNKNOWN
    assert refused.value.http_status == 503
    with pytest.raises(AssertionRefused, match="REPLAY_UNKNOWN"):
        asyncio.run(v.verify_async("POST", TARGET, {HEADER: broker.token("POST")}, b""))
    assert verdict(broker.verifier(replay=Vague()), broker.token("POST"), "POST") is Reason.REPLAYED


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_cache_that_is_awaited(broker: Broker) -> None:
    v = broker.verifier(replay=Awaited())
    token = broker.token("POST")
    assert verdict(v, token, "POST") is Reason.REPLAY_UNKNOWN, "verify cannot wait for it"
    asyncio.run(v.verify_async("POST", TARGET, {HEADER: token}, b""))
    with pytest.raises(AssertionRefused, match="REPLAYED"):
        asyncio.run(v.verify_async("POST", TARGET, {HEADER: token}, b""))


def test_memory_replay() -> None:
    now = 1_800_000_000
    cache = MemoryReplay(2)
    for name, id, at, expected in [
        ("first", "a", 0, True),
        ("again", "a", 0, False),
        ("again, later", "a", 89, False),
        ("another", "b", 30, True),
        ("full", "c", 40, None),
        ("full, but known", "a", 40, False),
        ("one has run out", "c", 100, True),
        ("full again", "d", 111, None),
    ]:
        if expected is None:
            with pytest.raises(ReplayFull):
                cache.claim(id, now + at, now + at + 90)
        else:
            assert cache.claim(id, now + at, now + at + 90) is expected, name


def test_a_full_memory_refuses(broker: Broker) -> None:
    v = broker.verifier(replay=MemoryReplay(2))
    assert [verdict(v, broker.token("POST"), "POST") for _ in range(3)] == [None, None, Reason.REPLAY_UNKNOWN]


def test_one_of_many_claims_it() -> None:
    cache, said = MemoryReplay(10), []
    threads = [threading.Thread(target=lambda: said.append(cache.claim("a", 1, 2))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False] * 49 + [True]


def test_a_token_by_another_way(broker: Broker) -> None:
    v = broker.verifier()
    token = broker.token("GET")
    assert v.verify_token([token]).subject == "usr_1"
    with pytest.raises(AssertionRefused, match="REPLAYED"):
        asyncio.run(v.verify_token_async([token]))
    with pytest.raises(AssertionRefused, match="HEADER_MISSING"):
        v.verify_token([])
    assert asyncio.run(v.verify_token_async([broker.token("GET")])).actor is not None


def test_another_header(broker: Broker) -> None:
    v = broker.verifier(header="X-User")
    token = broker.token()
    assert verdict(v, token) is Reason.HEADER_MISSING
    assert v.verify("GET", TARGET, {"x-user": token}, b"").id
    assert v.header == "X-User"


def deep(levels: int) -> dict[str, Any]:
    return {"sub": "a", "act": deep(levels - 1)} if levels else {"sub": "a"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("sub", 7, Reason.MALFORMED),
        ("sub", "\ud800", Reason.MALFORMED),
        ("iat", True, Reason.MALFORMED),
        ("exp", 10**30, Reason.MALFORMED),
        ("tctx", "text", Reason.MALFORMED),
        ("act", ["mailer"], Reason.MALFORMED),
        ("cnf", "text", Reason.MALFORMED),
        ("aud", {"a": 1}, Reason.AUDIENCE_WRONG),
        ("act", None, None),
        ("nbf", None, None),
        ("act", deep(200), None),
    ],
)
def test_claims_of_other_kinds(broker: Broker, name: str, value: object, expected: Reason | None) -> None:
    token = broker.sign({**broker.claims(), name: value})
    assert verdict(broker.verifier(), token) is expected


def test_a_payload_too_deep_is_refused(broker: Broker) -> None:
    with pytest.raises(AssertionRefused, match="MALFORMED"):
        parse_claims(b'{"act":' * 100_000 + b"{}" + b"}" * 100_000)


def test_nothing_of_the_token_is_told(broker: Broker) -> None:
    v, token = broker.verifier(), broker.token()
    head, payload, signature = token.split(".")
    for broken in (
        f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{head}.{payload}.{signature} ",
        f"{payload}.{head}.a",
    ):
        with pytest.raises(AssertionRefused) as refused:
            verify(v, broken)
        assert token[:20] not in str(refused.value)
        assert signature[:20] not in str(refused.value)
        assert refused.value.__cause__ is None
    assert verdict(v, broker.sign({**broker.claims(), "pad": "a" * (16 << 10)})) is Reason.MALFORMED


def test_characters_that_others_pass_over_are_refused(broker: Broker) -> None:
    head, payload, signature = broker.token().split(".")
    for token in (
        f"{head}.{payload[:9]}\n{payload[9:]}.{signature}",
        f"{head}=.{payload}.{signature}",
        f"\u00e9{head}.{payload}.",
    ):
        assert verdict(broker.verifier(), token) is Reason.MALFORMED


def test_a_detached_payload_is_refused(broker: Broker) -> None:
    key, headers = broker.keys["one"], {"typ": "onedoor-assertion+jwt", "kid": "one", "b64": False}
    token = jwt.PyJWS().encode(b"{}", key, algorithm="ES256", headers=headers)
    assert verdict(broker.verifier(), token) in (Reason.SIGNATURE_INVALID, Reason.MALFORMED)


@pytest.mark.parametrize("more", [{"crit": []}, {"crit": ["b64"], "b64": True}, {"b64": True}])
def test_no_extension_is_known(broker: Broker, more: dict[str, Any]) -> None:
    headers = {"alg": "ES256", "typ": "onedoor-assertion+jwt", "kid": "one", **more}
    parts = [base64url(json.dumps(part).encode()) for part in (headers, broker.claims())]
    signed = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(
        ".".join(parts).encode(), broker.keys["one"]
    )
    assert verdict(broker.verifier(), ".".join([*parts, base64url(signed)])) is Reason.SIGNATURE_INVALID


def test_claims_are_typed(broker: Broker) -> None:
    claims = broker.claims("POST", TARGET + "?a=1", "{}")
    claims["rctx"] = {"spiffe_id": "spiffe://home.test/sandbox", "key_id": "key_1"}
    claims["act"]["act"] = {"sub": "planner"}
    found = verify(broker.verifier(), broker.sign(claims), "POST", TARGET + "?a=1", "{}")
    assert (found.issuer, found.audience, found.method, found.uri) == (ISSUER, AUDIENCE, "POST", TARGET)
    assert found.context.tool == "payslips.add"
    assert found.context.query_sha256 == hashed("a=1")
    assert found.requester.key_id == "key_1"
    assert (
        found.actor is not None and found.actor.actor is not None and found.actor.actor.subject == "planner"
    )
    assert found.confirmation is None
    with pytest.raises(AttributeError):
        found.subject = "usr_admin"  # type: ignore[misc]


def test_another_key_of_the_same_kid(broker: Broker) -> None:
    assert verdict(
        broker.verifier(), sign(ec.generate_private_key(ec.SECP256R1()), "one", broker.claims())
    ) is (Reason.SIGNATURE_INVALID)


def test_the_import_brings_no_grpc() -> None:
    program = (
        "import sys, onedoor.assertions\n"
        "heavy = {'grpc', 'google', 'spiffe', 'openai', 'anthropic'} & {m.partition('.')[0] for m in sys.modules}\n"
        "print(sorted(heavy))"
    )
    source = str(Path(__file__).parents[2] / "src")
    out = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": source},
    )
    assert out.stdout == "[]\n"
