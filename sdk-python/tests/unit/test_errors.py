"""How calls fail, and what is said of it."""

from __future__ import annotations

import pickle
import threading
import time

import grpc
import pytest
from conftest import cut_at_the_broker
from fakebroker import Refusal, hang
from pki import BROKER

import onedoor
from onedoor import errors
from onedoor.v1 import reason_pb2

OWN_KEY = "11111111-2222-4333-8444-555555555555"
Code = grpc.StatusCode


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
