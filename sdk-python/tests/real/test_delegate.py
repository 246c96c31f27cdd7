"""A sub-agent of the task's, whose own SVID is that of the second sandbox."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from conftest import make

from onedoor import errors

THERE = "spiffe://site.test/sandbox/two"


def test_a_sub_agent(client, kind):
    child = client.delegate(
        agent="reader",
        sandbox=THERE,
        grants=["things: things.get READ thing:1 calls=1"],
        ttl=timedelta(minutes=1),
    )
    assert child.task_key not in repr(child)
    assert child.task.agent == "reader"
    assert child.task.parent_id == client.task().id
    reader = make(kind, task_key=child.task_key, workload_socket=os.environ["ONEDOOR_TEST_SOCKET2"])
    try:
        assert reader.task().id == child.task_id
        assert reader.invoke("things", "things.get", id="1").ok
        with pytest.raises(errors.LimitReached):
            reader.invoke("things", "things.get", id="1")
        with pytest.raises(errors.ResourceNotGranted):
            reader.invoke("things", "things.get", id="odd")
        with pytest.raises(errors.CallerNotAllowed):
            reader.delegate(agent="reader", sandbox=THERE, grants=["things: things.get READ thing:1"])
    finally:
        reader.close()


def test_its_key_is_worth_nothing_here(client, kind):
    child = client.delegate(agent="reader", sandbox=THERE, grants=["things: things.get READ thing:1"], ttl=60)
    other = make(kind, task_key=child.task_key)
    try:
        with pytest.raises(errors.TaskKeyInvalid):
            other.invoke("things", "things.get", id="1")
    finally:
        other.close()


def test_its_end(client, kind):
    child = client.delegate(agent="reader", sandbox=THERE, grants=["things: things.get READ thing:1"], ttl=60)
    for _ in range(2):
        ended = client.end_delegated(child.task_id)
        assert (ended.id, ended.state) == (child.task_id, "ENDED")
    reader = make(kind, task_key=child.task_key, workload_socket=os.environ["ONEDOOR_TEST_SOCKET2"])
    try:
        with pytest.raises(errors.TaskEnded):
            reader.task()
    finally:
        reader.close()
    with pytest.raises(errors.TaskUnknown):
        client.end_delegated(client.task().id)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"grants": ["things: things.get READ thing:2"]}, errors.DelegationWidens),
        ({"grants": ["things: things.drop READ thing:1"]}, errors.DelegationWidens),
        ({"sandbox": "spiffe://site.test/sandbox/three"}, errors.DelegationWidens),
        ({"ttl": timedelta(days=1)}, errors.DelegationWidens),
        ({"grants": ["things things.get"]}, errors.ArgumentInvalid),
        ({"grants": []}, errors.ArgumentInvalid),
    ],
)
def test_what_would_widen(client, wrong, error):
    asked = {"agent": "reader", "sandbox": THERE, "grants": ["things: things.get READ thing:1"], **wrong}
    with pytest.raises(error) as e:
        client.delegate(**asked)
    assert e.value.metadata.get("field")
