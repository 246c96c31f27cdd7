"""What a task may see and do beside its calls: tools, explain, delegation."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from fakebroker import Refusal, default
from google.protobuf.timestamp_pb2 import Timestamp

import onedoor
from onedoor import errors
from onedoor.v1 import broker_pb2 as pb
from onedoor.v1 import task_pb2

Code = grpc.StatusCode


def test_tools(new_rig):
    tool = pb.Tool(
        connector="crm", name="contacts.get", description="Reads.", severity=1,
        arguments_schema='{"type":"object"}', resources=["contact:{id}"], granted_resources=["contact:42"],
        idempotent=True, function_name="crm__contacts_get",
    )  # fmt: skip
    rig = new_rig(lambda n, call: pb.ListToolsResponse(tools=[tool, pb.Tool(severity=99)]))
    first, second = rig.client.tools()
    assert first == onedoor.Tool(
        "crm", "contacts.get", "Reads.", "READ", {"type": "object"}, ("contact:{id}",), ("contact:42",), True,
        "crm__contacts_get",
    )  # fmt: skip
    assert second.severity == "99"


def test_task_and_explain(new_rig):
    at = Timestamp(seconds=1795905302)
    task = task_pb2.Task(
        id="t1", state=2, agent="a", expires_at=at,
        grants=[task_pb2.Grant(connector="crm", max_severity=2, limits=task_pb2.Limits(calls=7))],
    )  # fmt: skip
    reason = pb.ExplainResponse(reason="GRANT_MISSING", explanation="no")
    rig = new_rig(lambda n, call: pb.GetTaskResponse(task=task) if call.method == "GetTask" else reason)
    got = rig.client.task()
    assert (got.id, got.state, got.agent, got.ended_at) == ("t1", "ACTIVE", "a", None)
    assert got.expires_at.isoformat() == "2026-11-28T22:35:02+00:00"
    assert (got.grants[0].max_severity, got.grants[0].limits.calls, got.grants[0].expires_at) == (
        "WRITE",
        7,
        None,
    )
    why = rig.client.explain("crm", "contacts.delete")
    assert not why
    assert (why.allowed, why.reason, why.explanation) == (False, "GRANT_MISSING", "no")


def test_delegate(new_rig):
    answer = pb.DelegateTaskResponse(
        task_key="od1t_child", task_id="t2", key_id="k2", task=task_pb2.Task(id="t2")
    )
    rig = new_rig(lambda n, call: answer)
    made = rig.client.delegate(
        agent="sub", sandbox="spiffe://home.test/sub", grants=["crm: contacts.get READ contact:42"],
        ttl=timedelta(minutes=1.5), delegates=["spiffe://home.test/subsub"],
    )  # fmt: skip
    assert (made.task_id, made.task_key, made.key_id, made.expires_at) == ("t2", "od1t_child", "k2", None)
    assert made.task.id == "t2"
    assert "od1t_child" not in repr(made)
    sent = rig.calls[0].request
    assert (sent.agent, sent.sandbox, sent.ttl.seconds) == ("sub", "spiffe://home.test/sub", 90)
    assert list(sent.delegates) == ["spiffe://home.test/subsub"]
    rig.client.delegate(agent="sub", sandbox="s", grants=["g"])
    assert not rig.calls[1].request.HasField("ttl")
    with pytest.raises(TypeError, match="lists"):
        rig.client.delegate(agent="sub", sandbox="s", grants="g")


@pytest.mark.parametrize(("reason", "calls"), [("RATE_LIMITED", 2), ("STORE_UNAVAILABLE", 1)])
def test_delegation_is_repeated_only_where_surely_nothing_was_made(new_rig, reason, calls):
    def answer(n, call):
        if n == 1:
            raise Refusal(Code.UNAVAILABLE, reason)
        return default(call)

    rig = new_rig(answer)
    try:
        rig.client.delegate(agent="sub", sandbox="s", grants=["g"])
    except errors.StoreUnavailable:
        pass
    assert len(rig.calls) == calls


def test_end_delegated(new_rig):
    answer = pb.EndDelegatedTaskResponse(task=task_pb2.Task(id="t2", state=3))
    rig = new_rig(lambda n, call: answer)
    ended = rig.client.end_delegated("t2")
    assert (ended.id, ended.state) == ("t2", "ENDED")
    assert (rig.calls[0].method, rig.calls[0].request.task_id) == ("EndDelegatedTask", "t2")


@pytest.mark.parametrize("reason", ["RATE_LIMITED", "STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE"])
def test_an_end_is_repeated_since_it_ends_nothing_twice(new_rig, reason):
    def answer(n, call):
        if n == 1:
            raise Refusal(Code.UNAVAILABLE, reason)
        return default(call)

    rig = new_rig(answer)
    rig.client.end_delegated("t2")
    assert len(rig.calls) == 2


def test_an_end_of_what_is_not_below(new_rig):
    def answer(n, call):
        raise Refusal(Code.NOT_FOUND, "TASK_UNKNOWN")

    rig = new_rig(answer)
    with pytest.raises(errors.TaskUnknown):
        rig.client.end_delegated("t2")
    assert len(rig.calls) == 1
