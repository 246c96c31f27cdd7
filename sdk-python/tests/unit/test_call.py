"""Calls, what they carry, how they fail and when they are made again."""

from __future__ import annotations

import asyncio
import pickle
import re
import sys
import threading
import time

import grpc
import pytest
from conftest import KEY, cut_at_the_broker
from fakebroker import Refusal, default
from pki import BROKER

import onedoor
from onedoor import errors
from onedoor.v1 import broker_pb2 as pb
from onedoor.v1 import reason_pb2

OWN_KEY = "11111111-2222-4333-8444-555555555555"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("args", "named", "sent"),
    [
        pytest.param((), {}, "", id="none"),
        pytest.param(({},), {}, "", id="an empty mapping"),
        pytest.param((), {"id": 42}, '{"id":42}', id="by name"),
        pytest.param(({"id": 42},), {}, '{"id":42}', id="a mapping"),
        pytest.param(({"timeout": 1},), {"id": 42}, '{"timeout":1,"id":42}', id="both"),
        pytest.param((), {"connector": "x", "tool": "y"}, '{"connector":"x","tool":"y"}', id="our own names"),
        pytest.param((), {"n": 9007199254740993, "s": "é"}, '{"n":9007199254740993,"s":"é"}', id="exact"),
        pytest.param(('{ "n": 1.10 }',), {}, '{ "n": 1.10 }', id="JSON text as it is"),
        pytest.param((b'{"a":1,"a":2}',), {}, '{"a":1,"a":2}', id="judged elsewhere"),
    ],
)
def test_arguments(new_rig, args, named, sent):
    rig = new_rig()
    rig.client.invoke("crm", "contacts.get", *args, **named)
    rig.client.stream("crm", "contacts.get", *args, **named).read()
    rig.client.explain("crm", "contacts.get", *args, **named)
    for call in rig.calls:
        assert call.request.arguments_json.decode() == sent
        assert (call.request.connector, call.request.tool) == ("crm", "contacts.get")
        assert call.metadata["authorization"] == "Bearer " + KEY


@pytest.mark.parametrize(
    ("args", "named", "kind_of_error", "message"),
    [
        pytest.param(('{"a":1}',), {"b": 2}, TypeError, "as JSON text and by name: b", id="text and names"),
        pytest.param(({"a": 1},), {"a": 2}, TypeError, "given twice: a", id="twice"),
        pytest.param(({1: 2},), {}, TypeError, "must be strings", id="names that are none"),
        pytest.param(([1],), {}, TypeError, "must be a mapping or JSON text, not list", id="a list"),
        pytest.param((), {"a": float("nan")}, ValueError, "arguments: ", id="no JSON"),
        pytest.param((), {"a": object()}, TypeError, "arguments: ", id="no JSON either"),
    ],
)
def test_wrong_arguments(new_rig, args, named, kind_of_error, message):
    rig = new_rig()
    with pytest.raises(kind_of_error, match=message):
        rig.client.invoke("crm", "contacts.get", *args, **named)
    assert not rig.calls


def test_too_many_arguments(new_rig):
    """What no broker takes is refused before it is sent: halfway it would look as if the
    call might have been made."""
    rig = new_rig()
    most = 4 << 20
    rig.client.invoke("crm", "contacts.get", '{"a":"' + "x" * (most - 8) + '"}')
    for method in ("invoke", "stream", "explain"):
        with pytest.raises(errors.ArgumentInvalid, match="nothing was sent") as e:
            getattr(rig.client, method)("crm", "contacts.get", '{"a":"' + "x" * (most - 7) + '"}')
        assert e.value.metadata["field"] == "arguments_json"
    assert len(rig.calls) == 1


def test_answer(new_rig):
    body = '{"größe": 9007199254740993}'
    rig = new_rig(
        lambda n, call: pb.InvokeResponse(
            invocation_id="i1",
            status=404,
            headers={"etag": "x"},
            content_type="application/json",
            body=body.encode(),
        )
    )
    answer = rig.client.invoke("crm", "contacts.get")
    assert (answer.invocation_id, answer.status, answer.headers) == ("i1", 404, {"etag": "x"})
    assert (answer.content_type, answer.body, answer.text) == ("application/json", body.encode(), body)
    assert answer.json() == {"größe": 9007199254740993}
    assert not answer.ok


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("", "é".encode(), "é"),
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("text/plain; charset=nonsense", "é".encode(), "é"),
        ("text/plain; charset=idna", "é".encode(), "é"),
        ("text/plain; charset=punycode", b"Mnchen-3ya", "Mnchen-3ya"),
        ("text/plain; charset=unicode_escape", b"\\x41", "\\x41"),
        ("text/plain; charset=utf-7", b"+AEE-", "+AEE-"),
        ("text/plain; charset=utf-16", "é".encode("utf-16"), "é"),
        ("text/plain; charset=undefined", "é".encode(), "é"),
        ("text/plain; charset=\0", "é".encode(), "é"),
        ("application/octet-stream", b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_text(content_type, body, text):
    assert onedoor.Answer("", 200, {}, content_type, body).text == text


def test_large_answer(new_rig):
    rig = new_rig(lambda n, call: pb.InvokeResponse(body=bytes(64 << 20)))
    assert len(rig.client.invoke("crm", "files.get").body) == 64 << 20


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


def test_error(new_rig):
    def answer(n, call):
        raise Refusal(
            Code.INVALID_ARGUMENT, "ARGUMENT_INVALID", "id: too long", invocation_id="i7", field="id"
        )

    rig = new_rig(answer)
    with pytest.raises(errors.ArgumentInvalid) as caught:
        rig.client.invoke("crm", "contacts.get", idempotency_key=OWN_KEY)
    for e in (caught.value, pickle.loads(pickle.dumps(caught.value))):  # noqa: S301
        assert str(e) == "ARGUMENT_INVALID: id: too long"
        assert (e.reason, e.code, e.invocation_id) == ("ARGUMENT_INVALID", Code.INVALID_ARGUMENT, "i7")
        assert (e.metadata["field"], e.idempotency_key, e.retry_after) == ("id", OWN_KEY, None)


def test_a_reason_of_another_domain_is_not_the_brokers():
    """A proxy's word must not have a call repeated."""
    from google.protobuf.any_pb2 import Any
    from google.rpc import error_details_pb2, status_pb2

    from onedoor import _rpc

    packed = Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason="STORE_UNAVAILABLE", domain="elsewhere"))
    trailers = (("grpc-status-details-bin", status_pb2.Status(details=[packed]).SerializeToString()),)

    class Failure:
        def code(self):
            return Code.UNAVAILABLE

        def details(self):
            return "x"

        def trailing_metadata(self):
            return trailers

    assert _rpc._from_status(Failure()).reason == ""


def test_reasons_are_those_of_the_proto():
    theirs = {name.removeprefix("REASON_") for name, number in reason_pb2.Reason.items() if number}
    assert set(errors.BY_REASON) == theirs
    for reason, kind in errors.BY_REASON.items():
        assert kind.__name__.upper() == reason.replace("_", "")
        assert kind.__doc__


def hang(n, call):
    ended = threading.Event()
    call.context.add_callback(ended.set)
    ended.wait(30)
    return default(call)


def test_an_invoke_that_was_handed_over(new_rig):
    rig = new_rig(hang)
    e = cut_at_the_broker(rig, lambda timeout: rig.client.invoke("crm", "contacts.create", timeout=timeout))
    assert isinstance(e, errors.OutcomeUnknown)
    assert isinstance(e.__cause__, TimeoutError)
    assert e.idempotency_key == rig.calls[0].request.idempotency_key
    assert len(rig.calls) == 1


def test_a_delegation_that_was_handed_over(new_rig):
    rig = new_rig(hang)
    e = cut_at_the_broker(
        rig, lambda timeout: rig.client.delegate(agent="a", sandbox=BROKER, grants=["g"], timeout=timeout)
    )
    assert isinstance(e, errors.OutcomeUnknown)


def test_a_connection_that_breaks(new_rig):
    rig = new_rig()

    def answer(n, call):
        threading.Thread(target=rig.broker.close).start()
        return hang(n, call)

    rig.broker.answer = answer
    with pytest.raises(errors.OutcomeUnknown):
        rig.client.invoke("crm", "contacts.create")
    assert len(rig.calls) == 1


def test_a_status_that_is_not_the_brokers(new_rig):
    def answer(n, call):
        raise Refusal(Code.UNAVAILABLE, message="proxy")

    rig = new_rig(answer)
    with pytest.raises(errors.OutcomeUnknown):
        rig.client.invoke("crm", "contacts.create")
    assert len(rig.calls) == 1


def test_an_old_broker_did_nothing(new_rig):
    def answer(n, call):
        raise Refusal(Code.UNIMPLEMENTED)

    with pytest.raises(onedoor.TransportError) as e:
        new_rig(answer).client.invoke("crm", "contacts.create")
    assert e.value.code is Code.UNIMPLEMENTED


def test_what_has_no_effect_is_no_riddle(new_rig):
    with pytest.raises(onedoor.DeadlineExceeded):
        new_rig(hang).client.task(timeout=0.3)
    with pytest.raises(TimeoutError):
        new_rig(hang, timeout=0.3).client.tools()


def test_nobody_listens(new_rig):
    rig = new_rig()
    rig.broker.close()
    with pytest.raises(onedoor.TransportError, match="no connection to the broker") as e:
        rig.client.invoke("crm", "contacts.create")
    assert e.value.code is Code.UNAVAILABLE


def test_the_broker_comes_back(new_rig, home):
    from fakebroker import Broker

    rig = new_rig()
    rig.client.task()
    rig.broker.close()
    with pytest.raises(onedoor.TransportError):
        rig.client.task()
    again = Broker(home, home.issue(BROKER), port=rig.broker.port)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                rig.client.task()
                break
            except onedoor.TransportError:
                assert time.monotonic() < deadline
    finally:
        again.close()


def test_closing_ends_running_calls(new_rig):
    arrived = threading.Event()

    def answer(n, call):
        arrived.set()
        return hang(n, call)

    rig = new_rig(answer)
    caught = []

    def run():
        try:
            rig.client.invoke("crm", "contacts.create")
        except BaseException as e:
            caught.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    assert arrived.wait(10)
    if isinstance(rig.client, onedoor.Client):
        rig.client.close()
    else:
        rig.client._run(rig.client._client.close())
    thread.join(10)
    if sys.version_info >= (3, 11) or isinstance(rig.client, onedoor.Client):
        assert isinstance(caught[0], errors.OutcomeUnknown)
    else:  # there asyncio does not tell whose cancellation it is
        assert "CancelledError" in type(caught[0]).__name__
    with pytest.raises(onedoor.ClientClosed):
        rig.client.invoke("crm", "contacts.create")
    assert len(rig.calls) == 1


def test_cancelling_a_task(home):
    """Asyncio's own word is passed on, and the broker hears of it."""
    from fakebroker import Broker
    from pki import SANDBOX, Held

    arrived, ended = threading.Event(), threading.Event()

    def answer(n, call):
        call.context.add_callback(ended.set)
        arrived.set()
        ended.wait(30)
        return default(call)

    async def run():
        source = Held(home.identity(home.issue(SANDBOX)))
        async with onedoor.AsyncClient(broker.addr, BROKER, identity=source) as client:
            task = asyncio.create_task(client.invoke("crm", "contacts.create"))
            assert await asyncio.to_thread(arrived.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(ended.wait, 20)

    broker = Broker(home, home.issue(BROKER), answer)
    asyncio.run(run())
    broker.close()
    assert len(broker.calls) == 1


def test_closing_is_not_undone_by_a_cancellation(home):
    """What was begun goes on, and who closes again waits for it."""
    from fakebroker import Broker
    from pki import SANDBOX, Held

    def threads():
        return [t for t in threading.enumerate() if t.name.startswith("onedoor-")]

    async def run():
        source = Held(home.identity(home.issue(SANDBOX)))
        client = onedoor.AsyncClient(broker.addr, BROKER, identity=source)
        await client.tools()
        assert threads()
        closing = asyncio.create_task(client.close())
        while not client._closed:
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await client.close()
        assert not threads()

    broker = Broker(home, home.issue(BROKER))
    asyncio.run(run())
    broker.close()
