"""Definitions, and what becomes of calls that are right, wrong, refused or answered oddly."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools_kit import GET, LIST, Answer, AsyncClient, Client, OnedoorError, Reason, Tool, chat, tool_use

import onedoor
from onedoor.tools import AsyncToolbox, Toolbox

NAME = GET.function_name
ASK = chat(NAME, '{"id": 1}')


def test_definitions() -> None:
    client = Client()
    box = Toolbox(client)
    parameters = {**GET.arguments_schema, "additionalProperties": False}
    description = "Read one contact.\nGranted for: contact:1, contact:2."
    function = {"name": NAME, "description": description, "parameters": parameters, "strict": False}
    assert box.openai()[0] == {"type": "function", "function": function}
    assert box.openai_responses()[0] == {"type": "function", **function}
    assert box.anthropic()[0] == {"name": NAME, "description": description, "input_schema": parameters}
    assert box.anthropic()[1]["input_schema"] == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert client.listed == 1, "asked for once"
    box.refresh()
    assert client.listed == 2


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"type": "object", "properties": {}, "additionalProperties": False}),
        (
            {"properties": {"a": {}}},
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        ),
        (
            {
                "$schema": "x",
                "type": "object",
                "properties": {},
                "oneOf": [],
                "anyOf": [],
                "allOf": [],
                "$defs": {},
            },
            {"type": "object", "properties": {}, "additionalProperties": False, "$defs": {}},
        ),
    ],
)
def test_schemas_that_providers_take(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    tool = Tool(arguments_schema=schema)
    assert Toolbox(Client(tools=(tool,))).anthropic()[0]["input_schema"] == expected
    assert tool.arguments_schema == schema, "the tool's own is left as it is"


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ((Tool(arguments_schema={"type": "array"}),), "no object"),
        ((Tool(function_name="contacts.get"),), "no function name"),
        ((Tool(function_name="a" * 65),), "no function name"),
        ((GET, GET), "two tools"),
    ],
)
def test_tools_that_cannot_be_offered(tools: tuple[Tool, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Toolbox(Client(tools=tools)).openai()


def test_long_descriptions_leave_room_for_what_is_granted() -> None:
    tool = Tool(description="a" * 5000, granted_resources=tuple(f"contact:{i}" for i in range(1000)))
    description = Toolbox(Client(tools=(tool,))).openai()[0]["function"]["description"]
    assert len(description) <= 1024
    assert description.startswith("aaa")
    assert description.endswith("contact:19, ….")


def test_results_in_every_form() -> None:
    text = '{"name": "Ada"}'
    item = {"type": "function_call", "call_id": "call_2", "name": NAME, "arguments": '{"id": 1}'}
    client = Client()
    box = Toolbox(client)
    assert box.run(ASK) == {"role": "tool", "tool_call_id": "call_1", "content": text}
    assert box.run(item) == {"type": "function_call_output", "call_id": "call_2", "output": text}
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}
    assert box.run(tool_use(NAME, {"id": 1})) == block
    assert client.calls == [("contacts", "contact.get", {"id": 1})] * 3


def test_no_call() -> None:
    box = Toolbox(Client())
    for item in (
        {"type": "text"},
        {"type": "function", "function": None},
        None,
        {"type": "tool_use", "id": 1},
    ):
        with pytest.raises(TypeError, match="not a function call"):
            box.run(item)


def test_run_all_passes_over_what_is_no_call() -> None:
    box = Toolbox(Client())
    items = [
        {"type": "text", "text": "Let me see."},
        tool_use(NAME, {"id": 1}),
        tool_use("mine", {}, "toolu_2"),
    ]
    results = box.run_all(items)
    assert [r["tool_use_id"] for r in results] == ["toolu_1", "toolu_2"]
    assert [box.knows(item) for item in items] == [False, True, False]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            chat("contacts__contact_delete", "{}"),
            "there is no function 'contacts__contact_delete'. There are: contacts__",
        ),
        (chat("x" * 1000, "{}"), "there is no function '" + "x" * 64 + "'."),
        (chat(NAME, '{"id": 1'), "they are not JSON"),
        (chat(NAME, "[1]"), "they are not an object"),
        (chat(NAME, "null"), "they are not an object"),
        (chat(NAME, '{"id": 1, "id": 2}'), "a name is there twice"),
        (chat(NAME, '{"id": NaN}'), "NaN is no number"),
        (chat(NAME, '{"id": 1e999}'), "more digits than can be sent"),
        (chat(NAME, '{"id": 12345678901234567890.5}'), "more digits than can be sent"),
        (chat(NAME, '{"id": 0e99999999999999999999}'), "more digits than can be sent"),
        (chat(NAME, '{"id": 1e-99999999999999999999}'), "more digits than can be sent"),
        (chat(NAME, '{"note": "\\ud800"}'), "they hold what JSON cannot"),
        (chat(NAME, "[" * 100_000), "they are not JSON"),
        (tool_use(NAME, "id"), "they are not JSON"),
        (tool_use(NAME, [1]), "they are not an object"),
        (tool_use(NAME, {"id": float("nan")}), "they hold what JSON cannot"),
        (tool_use(NAME, {"id": {1, 2}}), "they hold what JSON cannot"),
    ],
)
def test_calls_that_are_not_made(call: dict[str, Any], says: str) -> None:
    client = Client()
    result = Toolbox(client).run(call)
    assert result["content"].startswith("Refused: ")
    assert says in result["content"]
    assert len(result["content"]) < 500
    assert result.get("is_error", "role" in result)
    assert client.calls == []


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", {}),
        ("{}", {}),
        ('{"id": 9007199254740993}', {"id": 9007199254740993}),
        ('{"id": 0.1}', {"id": 0.1}),
        ('{"id": 1.50}', {"id": 1.5}),
        ('{"id": -2.5e-3}', {"id": -0.0025}),
        ('{"note": null}', {"note": None}),
    ],
)
def test_arguments_go_as_they_came(arguments: str, sent: dict[str, Any]) -> None:
    client = Client()
    Toolbox(client).run(chat(NAME, arguments))
    assert client.calls == [("contacts", "contact.get", sent)]


@pytest.mark.parametrize(
    ("answer", "text", "failed"),
    [
        (Answer(), '{"name": "Ada"}', False),
        (Answer(404, "text/plain", b"gone"), "[status 404]\ngone", True),
        (Answer(302, "", b""), "[status 302]\n[status 302, no content]", True),
        (Answer(204, "", b""), "[status 204, no content]", False),
        (Answer(200, "image/png", b"\x89PNG"), "[4 bytes of image/png, which is not text]", False),
        (Answer(200, "", b"\xff\xfe"), "[2 bytes of an unknown type, which is not text]", False),
        (Answer(200, "", b"plain"), "plain", False),
        (Answer(200, "", b"a\0b"), "[3 bytes of an unknown type, which is not text]", False),
        (Answer(200, "application/problem+json; charset=utf-8", b"{}"), "{}", False),
        (Answer(200, "text/plain; charset=iso-8859-1", b"\xe9"), "é", False),
        (Answer(200, "text/plain; charset=made-up", "é".encode()), "é", False),
        (Answer(200, "text/plain; charset=punycode", b"Mnchen-3ya"), "Mnchen-3ya", False),
        (Answer(200, "text/plain", b"\xff"), "\ufffd", False),
        (Answer(200, "text/plain", b"0123456789"), "0123456789", False),
        (
            Answer(200, "text/plain", b"0123456789a"),
            "0123456789\n[cut: the first 10 of 11 characters]",
            False,
        ),
    ],
)
def test_answers(answer: Answer, text: str, failed: bool) -> None:
    box = Toolbox(Client(answer, answer), max_text=16 if b"Ada" in answer.body else 10)
    assert box.run(ASK)["content"] == text
    result = box.run(tool_use(NAME, {"id": 1}))
    assert (result["content"], result.get("is_error", False)) == (text, failed)


def test_refusals_are_told() -> None:
    error = OnedoorError(Reason.RESOURCE_NOT_GRANTED)
    box = Toolbox(Client(error, error, OnedoorError("OUTCOME_UNKNOWN", "the connection broke", "")))
    text = "Refused: RESOURCE_NOT_GRANTED: not granted: contact:3\nInvocation: inv_2"
    assert box.run(ASK)["content"] == text
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text, "is_error": True}
    assert box.run(tool_use(NAME, {"id": 3})) == block
    assert "Do not call it again before you have looked." in box.run(ASK)["content"]


def test_refusals_are_raised_where_asked() -> None:
    box = Toolbox(
        Client(OnedoorError(Reason.TASK_ENDED), OnedoorError("RESOURCE_NOT_GRANTED")),
        raise_on={"TASK_ENDED"},
    )
    with pytest.raises(OnedoorError):
        box.run(ASK)
    assert "RESOURCE_NOT_GRANTED" in box.run(ASK)["content"]
    with pytest.raises(OnedoorError):
        Toolbox(Client(OnedoorError("RESOURCE_NOT_GRANTED")), raise_on=True).run(ASK)


def test_faulty_settings() -> None:
    with pytest.raises(TypeError, match="raise_on"):
        Toolbox(Client(), raise_on="TASK_ENDED")
    with pytest.raises(ValueError, match="max_text"):
        Toolbox(Client(), max_text=0)


def test_other_exceptions_are_not_told_to_a_model() -> None:
    for error in (KeyError("secret"), UnicodeDecodeError("utf-8", b"", 0, 1, "secret")):
        with pytest.raises(type(error)):
            Toolbox(Client(error)).run(ASK)


def test_what_is_no_refusal_is_not_told_to_a_model() -> None:
    """It is for the program to see that it does not speak to its broker, or to none."""
    for error in (
        onedoor.BrokerUntrusted("it is spiffe://home.test/other"),
        onedoor.TransportError("nobody listens"),
        onedoor.ClientClosed("the client is closed"),
        onedoor.NoIdentity("no SVID"),
    ):
        with pytest.raises(type(error)):
            Toolbox(Client(error)).run(ASK)
    told = Toolbox(Client(onedoor.OutcomeUnknown("lost"))).run(ASK)
    assert "OUTCOME_UNKNOWN" in told["content"]


STRICT = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "note": {"type": "string", "maxLength": 10},
        "tags": {"type": "array", "items": {"type": "object", "properties": {"of": {"type": "string"}}}},
    },
}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def test_strict_definitions() -> None:
    client = Client(tools=(Tool(arguments_schema=STRICT), LIST))
    box = Toolbox(client, strict=True)
    tag = {
        "type": "object",
        "properties": {"of": nullable({"type": "string"})},
        "required": ["of"],
        "additionalProperties": False,
    }
    function = box.openai()[0]["function"]
    assert function["strict"] is True
    assert function["parameters"] == {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "minimum": 1},
            "note": nullable({"type": "string"}),
            "tags": nullable({"type": "array", "items": tag}),
        },
        "required": ["id", "note", "tags"],
        "additionalProperties": False,
    }
    assert "strict" not in box.anthropic()[0]
    box.run(chat(NAME, '{"id": 1, "note": null, "tags": [{"of": null}, {"of": "a"}]}'))
    assert client.calls == [("contacts", "contact.get", {"id": 1, "tags": [{}, {"of": "a"}]})]


@pytest.mark.parametrize(
    "argument",
    [
        {},
        {"oneOf": [{"type": "string"}]},
        {"type": ["string", "null"]},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array"},
        {"type": "array", "items": {}},
        {"$ref": "#/$defs/a"},
    ],
)
def test_what_strict_cannot_say_is_not_strict(argument: dict[str, Any]) -> None:
    tool = Tool(arguments_schema={"type": "object", "properties": {"a": argument}})
    client = Client(tools=(tool,))
    box = Toolbox(client, strict=True)
    function = box.openai()[0]["function"]
    assert function["strict"] is False
    assert function["parameters"]["properties"] == {"a": argument}
    box.run(chat(NAME, '{"a": null}'))
    assert client.calls[0][2] == {"a": None}, "what the model means by it is its own affair"


def test_awaited() -> None:
    client = Client(Answer(), OnedoorError("RESOURCE_NOT_GRANTED"), OnedoorError("TASK_ENDED"), KeyError("x"))
    box = AsyncToolbox(AsyncClient(client), raise_on={"TASK_ENDED"})

    async def ask() -> None:
        plain = Toolbox(client)
        assert await box.openai() == plain.openai()
        assert await box.openai_responses() == plain.openai_responses()
        assert await box.anthropic() == plain.anthropic()
        results = await box.run_all([{"type": "text"}, ASK, tool_use(NAME, {}), chat("mine", "{}")])
        assert [next(iter(r.values())) for r in results] == ["tool", "tool_result", "tool"]
        assert results[1]["is_error"] is True
        assert await box.knows(ASK)
        assert not await box.knows(chat("mine", "{}"))
        with pytest.raises(OnedoorError):
            await box.run(ASK)
        with pytest.raises(KeyError):
            await box.run(ASK)

    asyncio.run(ask())
    assert client.listed == 2


def test_the_import_brings_no_sdk() -> None:
    program = (
        "import sys, onedoor.tools\n"
        "heavy = {'grpc', 'google', 'spiffe', 'openai', 'anthropic', 'jwt'} & {m.partition('.')[0] for m in sys.modules}\n"
        "print(sorted(heavy))"
    )
    source = str(Path(__file__).parents[2] / "src")
    run = [sys.executable, "-c", program]
    out = subprocess.run(run, capture_output=True, text=True, check=True, env={"PYTHONPATH": source})
    assert out.stdout == "[]\n"


def test_definitions_are_json() -> None:
    assert json.loads(json.dumps(Toolbox(Client()).openai()))
