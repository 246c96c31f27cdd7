"""Arguments as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import grpc

from onedoor.errors import ArgumentInvalid

# The largest JSON text of arguments, in bytes, that a broker takes.
MAX_ARGUMENTS = 4 << 20

Arguments = Mapping[str, Any] | str | bytes | None
"""A mapping, or one JSON object as text, which is sent as it is."""


def arguments_json(arguments: Arguments, named: Mapping[str, Any]) -> bytes:
    """Gives arguments, and those that were given by name, as JSON text.

    Whether they fit the tool is for the broker to say. What is too large for any is
    refused here, since gRPC would cut it off halfway, and it would look as if the call
    might have been made.
    """
    if isinstance(arguments, str | bytes):
        if named:
            raise TypeError("arguments are given as JSON text and by name: " + ", ".join(named))
        text = arguments.encode() if isinstance(arguments, str) else arguments
    elif arguments is None or isinstance(arguments, Mapping):
        given = dict(arguments or {})
        if twice := given.keys() & named.keys():
            raise TypeError("arguments are given twice: " + ", ".join(sorted(twice)))
        given.update(named)
        if not all(isinstance(name, str) for name in given):
            raise TypeError("the names of arguments must be strings")
        text = _encode(given) if given else b""
    else:
        raise TypeError(f"arguments must be a mapping or JSON text, not {type(arguments).__name__}")
    if len(text) > MAX_ARGUMENTS:
        raise ArgumentInvalid(
            f"arguments_json: {len(text)} bytes of JSON, at most {MAX_ARGUMENTS}; nothing was sent",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            metadata={"field": "arguments_json"},
        )
    return text


def _encode(given: dict[str, Any]) -> bytes:
    try:
        return json.dumps(given, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as e:
        raise type(e)(f"arguments: {e}") from None
