"""The issuer's keys over time, and what is no answer of it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from assertion_kit import HEADER, TARGET, Answer, Broker, jwk, sign, verdict, verify
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from onedoor.assertions import AssertionRefused, Reason, Verifier
from onedoor.assertions._fetch import KeysRefused, parse_keys


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.close()


def broken(_: str) -> Answer:
    return 500, {}, b""


def test_keys_over_time(broker: Broker) -> None:
    v = broker.verifier()
    assert verdict(v, broker.token()) is None
    assert verdict(v, broker.token()) is None
    assert broker.fetches == 1, "fresh keys are not asked for again"

    broker.answer = broken
    broker.clock.wait(300)
    assert verdict(v, broker.token()) is None, "the broker is away"
    assert broker.fetches == 2, "old keys are asked for again"
    assert verdict(v, broker.token()) is None
    assert broker.fetches == 2, "but not at once"
    broker.clock.wait(23 * 3600)
    assert verdict(v, broker.token()) is None, "away for long"
    broker.clock.wait(3600)
    assert verdict(v, broker.token()) is Reason.KEYS_UNAVAILABLE, "away for too long"

    broker.answer = None
    broker.clock.wait(10)
    assert verdict(v, broker.token()) is None, "back again"


def test_a_key_that_vanished_is_dropped(broker: Broker) -> None:
    v = broker.verifier()
    verify(v, broker.token())
    broker.publish("two")
    withdrawn = broker.withdraw("one")

    def old() -> Reason | None:
        return verdict(v, sign(withdrawn, "one", broker.claims()))

    assert old() is None, "nobody can know yet"
    broker.clock.wait(10)
    broker.active = "two"
    assert verdict(v, broker.token()) is None, "an unknown kid is asked for at once"
    assert old() is Reason.KEY_UNKNOWN, "one answer without it is enough"
    broker.withdraw("two")
    broker.clock.wait(300)
    assert old() is Reason.KEY_UNKNOWN
    broker.answer = broken
    assert old() is Reason.KEY_UNKNOWN, "no outage brings it back"


def test_unknown_kids_are_no_load_on_the_broker(broker: Broker) -> None:
    v = broker.verifier()
    stranger = ec.generate_private_key(ec.SECP256R1())

    def forged(kid: str) -> Reason | None:
        return verdict(v, sign(stranger, kid, broker.claims()))

    for i in range(100):
        assert forged(f"stranger {i}") is Reason.KEY_UNKNOWN
    assert broker.fetches == 1
    broker.clock.wait(10)
    assert forged("") is Reason.KEY_UNKNOWN
    assert broker.fetches == 1, "without a kid there is nothing to ask for"
    assert forged("stranger") is Reason.KEY_UNKNOWN
    assert broker.fetches == 2

    broker.clock.wait(-3600)
    assert verdict(v, broker.token()) is None
    assert broker.fetches == 3, "keys from the future are not fresh"


class Gate:
    """Holds an answer back until it is opened."""

    def __init__(self, broker: Broker) -> None:
        self.arrived, self.open, self._body = threading.Event(), threading.Event(), broker.jwks()

    def __call__(self, _: str) -> Answer:
        self.arrived.set()
        assert self.open.wait(30)
        return 200, {}, self._body


def test_one_fetch_serves_all(broker: Broker) -> None:
    v, gate = broker.verifier(), Gate(broker)
    broker.answer = gate
    tokens = [broker.token() for _ in range(20)]
    verdicts: list[Reason | None] = []
    threads = [threading.Thread(target=lambda t=t: verdicts.append(verdict(v, t))) for t in tokens]
    for thread in threads:
        thread.start()
    assert gate.arrived.wait(30)
    gate.open.set()
    for thread in threads:
        thread.join()
    assert verdicts == [None] * 20
    assert broker.fetches == 1


def test_one_fetch_serves_all_who_await_it(broker: Broker) -> None:
    v, gate = broker.verifier(), Gate(broker)
    broker.answer = gate

    async def one() -> object:
        return await v.verify_async("GET", TARGET, [(HEADER, broker.token())], b"")

    async def all_of_them() -> None:
        hurried = asyncio.ensure_future(one())
        while not gate.arrived.is_set():  # the loop goes on meanwhile
            await asyncio.sleep(0)
        hurried.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hurried
        others = [asyncio.ensure_future(one()) for _ in range(20)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*others)

    asyncio.run(all_of_them())
    assert broker.fetches == 1


def test_nobody_waits_for_a_broker_that_is_away(broker: Broker) -> None:
    v = broker.verifier()
    verify(v, broker.token())
    broker.answer = broken
    broker.clock.wait(300)
    verify(v, broker.token())
    gate = Gate(broker)
    broker.answer = gate
    broker.clock.wait(10)
    verify(v, broker.token())  # answered while the fetch hangs
    assert gate.arrived.wait(30)
    gate.open.set()


def test_a_fetch_that_ran_when_the_process_forked_is_forgotten(broker: Broker) -> None:
    v, gate = broker.verifier(), Gate(broker)
    broker.answer = gate
    first = threading.Thread(target=verdict, args=(v, broker.token()))
    first.start()
    assert gate.arrived.wait(30)
    assert v._judge.keys._running is not None
    child = os.fork()
    if child == 0:
        os._exit(0 if v._judge.keys._running is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gate.open.set()
    first.join()


def published(broker: Broker, *keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def says(body: bytes, status: int = 200) -> Callable[[str], Answer]:
    return lambda _: (status, {}, body)


def answers(broker: Broker) -> dict[str, tuple[Callable[[str], Answer], Reason | None]]:
    key = broker.keys["one"]
    public = jwk(key.public_key(), "one")
    good = published(broker, public)
    nameless = {name: value for name, value in public.items() if name != "kid"}
    larger = jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), "one")
    off_curve = {**public, "x": public["y"], "y": public["x"]}
    away, unknown = Reason.KEYS_UNAVAILABLE, Reason.KEY_UNKNOWN

    def elsewhere(path: str) -> Answer:
        return (200, {}, good) if path == "/elsewhere" else (302, {"Location": "/elsewhere"}, b"")

    return {
        "the key": (says(good), None),
        "an error": (broken, away),
        "an error that holds the key": (says(good, 503), away),
        "a redirect": (elsewhere, away),
        "no JSON": (says(b"<html>"), away),
        "no set": (says(b"{}"), away),
        "a page too long": (says(good + b" " * (256 << 10)), away),
        "one kid twice": (says(published(broker, public, public)), away),
        "a name twice": (says(good.replace(b'"kty"', b'"kid": "one", "kty"')), away),
        "no keys": (says(b'{"keys":[]}'), unknown),
        "for encryption": (says(published(broker, {**public, "use": "enc"})), unknown),
        "for another algorithm": (says(published(broker, {**public, "alg": "ES384"})), unknown),
        "of another curve": (says(published(broker, larger)), unknown),
        "of another curve that says P-256": (says(published(broker, {**larger, "crv": "P-256"})), unknown),
        "a point beside the curve": (says(published(broker, off_curve)), unknown),
        "a private key": (says(published(broker, jwk(key, "one"))), unknown),
        "without a kid": (says(published(broker, nameless)), unknown),
        "beside two without a kid": (says(published(broker, public, nameless, nameless)), None),
        "beside one of tomorrow": (says(published(broker, {"kty": "NEW"}, public)), None),
    }


def test_what_is_no_answer(broker: Broker, subtests: pytest.Subtests) -> None:
    for name, (answer, expected) in answers(broker).items():
        with subtests.test(name):
            broker.answer = answer
            assert verdict(broker.verifier(), broker.token()) is expected


def test_the_issuer_must_prove_itself(broker: Broker) -> None:
    v = Verifier("https://broker.example", "https://payroll.internal", jwks_url=broker.url, now=broker.clock)
    with pytest.raises(AssertionRefused, match="CERTIFICATE_VERIFY_FAILED") as refused:
        verify(v, broker.token())
    assert refused.value.reason is Reason.KEYS_UNAVAILABLE
    assert broker.fetches == 0


def test_keys_of_other_kinds() -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_numbers()
    assert (
        parse_keys(
            json.dumps({"keys": [{"kty": "RSA", "kid": "a", "n": str(other.n), "e": "AQAB"}, 7]}).encode()
        )
        == {}
    )
    with pytest.raises(KeysRefused):
        parse_keys(b'{"keys": {"kty": "EC"}}')
