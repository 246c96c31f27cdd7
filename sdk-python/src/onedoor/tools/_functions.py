"""Tools as function definitions, and the way back from a call to a tool."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._calls import ArgumentsMalformed, Call, Told
from ._protocols import ToolLike
from ._strict import strict_schema, without_nulls

# What OpenAI and Anthropic both take.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

_MAX_DESCRIPTION = 1024
"""OpenAI takes no longer one, in characters."""

_SHOWN = 20
"""How many names or patterns are told at most."""


@dataclass(frozen=True)
class Invocation:
    """A call that may be made."""

    connector: str
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class _Function:
    tool: ToolLike
    description: str
    schema: dict[str, Any]
    strict: dict[str, Any] | None


class Functions:
    """The tools of a task by their function names."""

    def __init__(self, tools: Iterable[ToolLike], *, strict: bool) -> None:
        self._functions: dict[str, _Function] = {}
        for tool in tools:
            name = tool.function_name
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"tool {tool.connector} {tool.name}: {name!r} is no function name that models take"
                )
            if name in self._functions:
                raise ValueError(f"two tools have the function name {name!r}")
            schema = _object_schema(tool)
            form = strict_schema(schema) if strict else None
            self._functions[name] = _Function(tool, _describe(tool), schema, form)

    def __contains__(self, name: str) -> bool:
        """Says whether there is a function of this name."""
        return name in self._functions

    def openai(self) -> list[Any]:
        """Gives the definitions for chat completions."""
        return [{"type": "function", "function": _openai(name, f)} for name, f in self._functions.items()]

    def openai_responses(self) -> list[Any]:
        """Gives the definitions for responses."""
        return [{"type": "function", **_openai(name, f)} for name, f in self._functions.items()]

    def anthropic(self) -> list[Any]:
        """Gives the definitions for Anthropic's messages."""
        return [
            {"name": name, "description": f.description, "input_schema": f.schema}
            for name, f in self._functions.items()
        ]

    def plan(self, call: Call) -> Invocation | Told:
        """Gives the call to make, or what to tell the model in its place."""
        function = self._functions.get(call.name)
        if function is None:
            names = list(self._functions)
            known = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "") if names else "none"
            return Told(f"Refused: there is no function {call.name[:64]!r}. There are: {known}.", failed=True)
        try:
            arguments = call.arguments()
        except ArgumentsMalformed as error:
            text = f"Refused: the arguments cannot be used: {error}. Nothing was called."
            return Told(f"{text} Write them as one JSON object of the function's schema.", failed=True)
        if function.strict is not None:
            arguments = without_nulls(arguments, function.schema)
        return Invocation(function.tool.connector, function.tool.name, arguments)


def _openai(name: str, function: _Function) -> dict[str, Any]:
    strict = function.strict is not None
    parameters = function.strict if function.strict is not None else function.schema
    return {"name": name, "description": function.description, "parameters": parameters, "strict": strict}


def _object_schema(tool: ToolLike) -> dict[str, Any]:
    """Gives a schema that providers take: an object at the top, without alternatives there.

    What is left out narrows the arguments, and the broker holds them to it all the same.
    """
    schema = dict(tool.arguments_schema)
    if schema.get("type", "object") != "object":
        raise ValueError(f"tool {tool.connector} {tool.name}: its arguments are no object")
    for name in ("anyOf", "oneOf", "allOf", "not", "enum", "$schema", "$id"):
        schema.pop(name, None)
    # A broker takes no arguments but those that are named, whether the schema says so or not.
    return {"type": "object", "properties": {}, "additionalProperties": False, **schema}


def _describe(tool: ToolLike) -> str:
    """Says what the tool does, and on what it may be used."""
    granted = list(tool.granted_resources)
    shown = ", ".join(granted[:_SHOWN]) + (", …" if len(granted) > _SHOWN else "")
    note = f"Granted for: {shown}." if granted else ""
    description = tool.description.strip()
    room = _MAX_DESCRIPTION - len(note) - 2
    if len(description) > room:
        description = description[: max(room - 1, 0)] + "…"
    return "\n".join(part for part in (description, note) if part)[:_MAX_DESCRIPTION]
