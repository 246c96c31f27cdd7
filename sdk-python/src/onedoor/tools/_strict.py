"""Schemas for models that are held to them (OpenAI's strict mode).

There every object lists all its members as required and takes no others; what was optional may
be null instead, which is taken out again before the call.
"""

from __future__ import annotations

from typing import Any

# What bounds a value and may be left out: the broker holds the arguments to all of it.
_DROPPED = frozenset(
    (
        *(
            "$schema",
            "$id",
            "$comment",
            "title",
            "default",
            "examples",
            "deprecated",
            "readOnly",
            "writeOnly",
        ),
        *("minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties", "format"),
    )
)
_KEPT = frozenset(
    (
        *("type", "description", "enum", "const", "pattern", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"),
    )
)
_HANDLED = frozenset(("properties", "required", "additionalProperties", "items"))


def strict_schema(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Gives the schema in strict form; None where it says what that form cannot."""
    if not _DROPPED | _KEPT | _HANDLED >= schema.keys():
        return None
    kind = schema.get("type")
    if not isinstance(kind, str):
        return None
    found = {name: value for name, value in schema.items() if name in _KEPT}
    if kind == "array":
        items = schema.get("items")
        inner = strict_schema(items) if isinstance(items, dict) else None
        return None if inner is None else {**found, "items": inner}
    if kind == "object":
        members = _members(schema)
        return None if members is None else {**found, **members}
    return found


def _members(schema: dict[str, Any]) -> dict[str, Any] | None:
    properties = schema.get("properties", {})
    # An object of any members could be written in strict form by none.
    if schema.get("additionalProperties", False) is not False or not isinstance(properties, dict):
        return None
    required = schema.get("required", [])
    found: dict[str, Any] = {}
    for name, value in properties.items():
        inner = strict_schema(value) if isinstance(value, dict) else None
        if inner is None:
            return None
        found[name] = inner if name in required else {"anyOf": [inner, {"type": "null"}]}
    return {"properties": found, "required": list(found), "additionalProperties": False}


def without_nulls(arguments: Any, schema: dict[str, Any]) -> Any:
    """Takes out what is null in place of an optional member; schema is the one before strict_schema."""
    if isinstance(arguments, list) and schema.get("type") == "array":
        return [without_nulls(one, schema["items"]) for one in arguments]
    if not isinstance(arguments, dict) or schema.get("type") != "object":
        return arguments
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return {
        name: without_nulls(value, properties.get(name, {}))
        for name, value in arguments.items()
        if value is not None or name in required or name not in properties
    }
