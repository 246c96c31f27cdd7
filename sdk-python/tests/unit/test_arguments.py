"""Arguments, as they are given and as they are sent."""

from __future__ import annotations

import pytest
from conftest import KEY

from onedoor import errors


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
