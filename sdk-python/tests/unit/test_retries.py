"""Which calls are made again, when, and with which key."""

from __future__ import annotations

import re
import time

import grpc
import pytest
from fakebroker import Refusal, default

from onedoor import errors
from onedoor.v1 import broker_pb2 as pb

OWN_KEY = "11111111-2222-4333-8444-555555555555"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "reason", "own", "expected"),
    [
        (Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", False, "same"),
        (Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", True, "same"),
        (Code.UNAVAILABLE, "STORE_UNAVAILABLE", False, "fresh"),
        (Code.UNAVAILABLE, "STORE_UNAVAILABLE", True, "same"),
        (Code.UNAVAILABLE, "AUDIT_UNAVAILABLE", False, "fresh"),
        (Code.UNAVAILABLE, "AUDIT_UNAVAILABLE", True, "same"),
        (Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", False, "fresh"),
        (Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", True, "once"),
        (Code.UNKNOWN, "OUTCOME_UNKNOWN", False, "once"),
        (Code.ABORTED, "CONFLICT", False, "once"),
        (Code.DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", False, "once"),
        (Code.OUT_OF_RANGE, "RESPONSE_TOO_LARGE", False, "once"),
        (Code.RESOURCE_EXHAUSTED, "ANSWER_DROPPED", False, "once"),
        (Code.PERMISSION_DENIED, "GRANT_MISSING", False, "once"),
        (Code.INTERNAL, "INTERNAL", False, "once"),
        (Code.UNAVAILABLE, "A_REASON_OF_TOMORROW", False, "once"),
    ],
)
@pytest.mark.parametrize("method", ["invoke", "stream"])
def test_retries(new_rig, method, code, reason, own, expected):
    def answer(n, call):
        if n == 1:
            raise Refusal(code, reason)
        return default(call)

    rig = new_rig(answer)
    call = getattr(rig.client, method)
    own_key = {"idempotency_key": OWN_KEY} if own else {}
    if expected == "once":
        with pytest.raises(errors.BrokerError) as e:
            call("crm", "contacts.get", **own_key)
        assert e.value.reason == reason
        assert type(e.value) is errors.BY_REASON.get(reason, errors.BrokerError)
    else:
        call("crm", "contacts.get", **own_key)
    keys = [c.request.idempotency_key for c in rig.calls]
    assert len(keys) == (1 if expected == "once" else 2)
    assert (len(set(keys)) == 1) == (expected != "fresh")
    assert all(k == OWN_KEY if own else UUID7.fullmatch(k) for k in keys)


def test_retries_are_bounded_by_number(new_rig):
    def answer(n, call):
        raise Refusal(Code.UNAVAILABLE, "STORE_UNAVAILABLE")

    rig = new_rig(answer)
    with pytest.raises(errors.StoreUnavailable):
        rig.client.tools()
    assert len(rig.calls) == 4


@pytest.mark.parametrize(("retry", "timeout"), [(8, 5), (3600, None)])
def test_retries_are_bounded_by_time(new_rig, retry, timeout):
    """The caller gets the reason, not the deadline, and at once."""

    def answer(n, call):
        raise Refusal(Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry=retry)

    rig = new_rig(answer)
    with pytest.raises(errors.RateLimited) as e:
        rig.client.task(timeout=timeout)
    assert e.value.retry_after == retry
    assert len(rig.calls) == 1


def test_the_brokers_pause_is_kept(new_rig):
    def answer(n, call):
        if n == 1:
            raise Refusal(Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry=0.3)
        return pb.ExplainResponse(allowed=True)

    rig = new_rig(answer)
    start = time.monotonic()
    assert rig.client.explain("crm", "contacts.get")
    assert time.monotonic() - start >= 0.3
