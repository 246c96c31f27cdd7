"""Requests and answers as both clients make and read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from onedoor._arguments import Arguments, arguments_json
from onedoor._secret import Hidden
from onedoor.answer import Answer
from onedoor.v1 import broker_pb2 as pb


def invoke(connector: str, tool: str, arguments: Arguments, named: Mapping[str, Any]) -> pb.InvokeRequest:
    text = arguments_json(arguments, named)
    return pb.InvokeRequest(connector=connector, tool=tool, arguments_json=text)


def stream(
    connector: str, tool: str, arguments: Arguments, named: Mapping[str, Any]
) -> pb.InvokeStreamRequest:
    text = arguments_json(arguments, named)
    return pb.InvokeStreamRequest(connector=connector, tool=tool, arguments_json=text)


def explain(connector: str, tool: str, arguments: Arguments, named: Mapping[str, Any]) -> pb.ExplainRequest:
    text = arguments_json(arguments, named)
    return pb.ExplainRequest(connector=connector, tool=tool, arguments_json=text)


def delegate(
    agent: str,
    sandbox: str,
    grants: Iterable[str],
    ttl: float | timedelta | None,
    delegates: Iterable[str],
) -> pb.DelegateTaskRequest:
    if isinstance(grants, str) or isinstance(delegates, str):
        raise TypeError("grants and delegates are lists of strings, not one string")
    request = pb.DelegateTaskRequest(agent=agent, sandbox=sandbox, grants=grants, delegates=delegates)
    if ttl is not None:
        span = ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
        duration = Duration()
        duration.FromTimedelta(span)
        request.ttl.CopyFrom(duration)
    return request


def answer(m: pb.InvokeResponse) -> Answer:
    return Answer(m.invocation_id, m.status, dict(m.headers), m.content_type, m.body)


def metadata(key: Hidden | None) -> tuple[tuple[str, str], ...]:
    """The task key as a call carries it."""
    if key is None:
        return ()
    return (("authorization", Hidden("Bearer " + key)),)


def limit(timeout: float | None, default: float | None) -> float | None:
    """How long a call may take in all, in seconds."""
    if timeout is None:
        return default
    if not timeout > 0:
        raise ValueError("timeout must be above 0, or None for the client's own")
    return timeout
