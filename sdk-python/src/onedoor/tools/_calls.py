"""A call as a model's provider writes it, and its result in the same form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NoReturn


class Form(Enum):
    """Whose form a call has."""

    CHAT = "openai chat completions"
    RESPONSES = "openai responses"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True)
class Told:
    """What the model is told of a call."""

    text: str
    failed: bool


class ArgumentsMalformed(ValueError):
    """The arguments are no JSON object that could be sent as it is."""


@dataclass(frozen=True)
class Call:
    """One function call of a model."""

    form: Form
    id: str
    name: str
    given: Any
    """The arguments: JSON text, or an object where the SDK has parsed it."""

    def arguments(self) -> dict[str, Any]:
        """Reads the arguments, exactly: what would be sent in another way than it was written is refused."""
        given = self.given
        if given is None or given == "":  # some models write nothing for no arguments
            return {}
        if isinstance(given, str):
            given = _parse(given)
        if not isinstance(given, Mapping):
            raise ArgumentsMalformed("they are not an object")
        arguments = dict(given)
        try:
            json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except (ValueError, TypeError, RecursionError):
            raise ArgumentsMalformed("they hold what JSON cannot") from None
        return arguments

    def result(self, told: Told) -> dict[str, Any]:
        """Gives the message, item or block that answers the call."""
        if self.form is Form.CHAT:
            return {"role": "tool", "tool_call_id": self.id, "content": told.text}
        if self.form is Form.RESPONSES:
            return {"type": "function_call_output", "call_id": self.id, "output": told.text}
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self.id, "content": told.text}
        return {**block, "is_error": True} if told.failed else block


def is_call(item: Any) -> bool:
    """Says whether something that a model put out asks for a function."""
    kind = _member(item, "type")
    return kind in ("function_call", "tool_use") or (
        kind == "function" and _member(item, "function") is not None
    )


def read_call(item: Any) -> Call:
    """Takes a call as an SDK's object or as a dict.

    A TypeError says that it is none: of chat completions a tool call, of responses an item
    function_call, of Anthropic's messages a block tool_use.
    """
    kind = _member(item, "type")
    if kind == "function" and _member(item, "function") is not None:
        function = _member(item, "function")
        return Call(Form.CHAT, _text(item, "id"), _text(function, "name"), _member(function, "arguments"))
    if kind == "function_call":
        return Call(Form.RESPONSES, _text(item, "call_id"), _text(item, "name"), _member(item, "arguments"))
    if kind == "tool_use":
        return Call(Form.ANTHROPIC, _text(item, "id"), _text(item, "name"), _member(item, "input"))
    raise TypeError(f"not a function call of a model: type {kind!r}")


def _member(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _text(item: Any, name: str) -> str:
    found = _member(item, name)
    if not isinstance(found, str):
        raise TypeError(f"not a function call of a model: {name} is not text")
    return found


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_exact)
    except ArgumentsMalformed:
        raise
    except (ValueError, RecursionError) as error:
        raise ArgumentsMalformed(f"they are not JSON ({error})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ArgumentsMalformed("a name is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ArgumentsMalformed(f"{name} is no number")


def _exact(text: str) -> float:
    """Reads a number, and refuses one that would become another."""
    number = float(text)
    try:
        exact = math.isfinite(number) and Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        exact = False
    if not exact:
        raise ArgumentsMalformed(f"the number {text[:40]} has more digits than can be sent")
    return number
