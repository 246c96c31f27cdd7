"""What the broker tells: answers, tools, tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.message import Message
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from onedoor._charset import decoded
from onedoor.v1 import broker_pb2, task_pb2


@dataclass(frozen=True)
class Head:
    """What an answer says about itself. A status of 4xx or 5xx is an answer as well."""

    invocation_id: str
    """Finds the call in the audit trail."""
    status: int
    """The upstream's HTTP status."""
    headers: Mapping[str, str]
    """Those that the connector lets through, names in lower case."""
    content_type: str
    """The body's media type as the upstream said it."""

    @property
    def ok(self) -> bool:
        """Whether the upstream says that it did what was asked (2xx)."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Answer(Head):
    """An upstream's whole answer."""

    body: bytes
    """The body, byte for byte."""

    @property
    def text(self) -> str:
        """The body as text, in the charset that its media type names, or else UTF-8. What
        does not decode is replaced; a charset that cannot be used counts as none."""
        header = Message()
        header["content-type"] = self.content_type or "text/plain"
        return decoded(self.body, header.get_content_charset())

    def json(self) -> Any:
        """The body, parsed as JSON; ValueError where it is none."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Tool:
    """One operation of a connector, as this task may use it."""

    connector: str
    name: str
    description: str
    severity: str
    """READ, WRITE, DESTRUCTIVE or ADMIN."""
    arguments_schema: dict[str, Any]
    """JSON Schema (draft 2020-12) of the arguments."""
    resources: tuple[str, ...]
    """What a call acts on, for instance ``contact:{id}``."""
    granted_resources: tuple[str, ...]
    """The patterns of what this task may act on, for instance ``contact:42``."""
    idempotent: bool
    """Repeating a call has no further effect."""
    function_name: str
    """The name for model tool calling: CONNECTOR__TOOL with dots as underscores."""


@dataclass(frozen=True)
class Explanation:
    """Whether a call would be allowed now. It is true where it would."""

    allowed: bool
    grant_id: str
    reason: str
    """Why not, for instance ``RESOURCE_NOT_GRANTED``; empty when allowed."""
    explanation: str
    """What is missing, in words."""
    severity: str
    resources: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class Limits:
    """What a grant may consume; 0 means: not limited."""

    calls: int
    bytes: int
    rows: int
    tokens: int
    micro_usd: int
    """Money in millionths of a US dollar."""


@dataclass(frozen=True)
class Grant:
    """What a task may do: all of its parts must match a call."""

    id: str
    connector: str
    revision: int
    tools: tuple[str, ...]
    max_severity: str
    resources: tuple[str, ...]
    limits: Limits
    expires_at: datetime | None
    """When the grant ends; None means with the task."""


@dataclass(frozen=True)
class Task:
    """One bounded run for one user."""

    id: str
    workspace: str
    agent: str
    user_id: str
    user_subject: str
    user_issuer: str
    sandbox: str
    """The one SPIFFE ID with which the key works."""
    state: str
    """PENDING, ACTIVE, ENDED, REVOKED or EXPIRED."""
    grants: tuple[Grant, ...]
    created_at: datetime | None
    expires_at: datetime | None
    """When its key stops working."""
    ended_at: datetime | None
    created_by: str
    key_id: str
    """The key's id, for the audit trail; not the key."""
    parent_id: str
    """The task that delegated to this one; empty for a root."""
    root_id: str
    delegates: tuple[str, ...]
    """SPIFFE IDs, or prefixes ending in "/", to which it may delegate."""


@dataclass(frozen=True)
class Delegated:
    """A task that was made for a sub-agent, and its key, which is shown this once."""

    task_id: str
    task_key: str = field(repr=False)
    """The sub-agent's only secret. It is not part of the repr."""
    key_id: str
    expires_at: datetime | None
    task: Task


def tool(m: broker_pb2.Tool) -> Tool:
    return Tool(
        connector=m.connector,
        name=m.name,
        description=m.description,
        severity=severity(m.severity),
        arguments_schema=json.loads(m.arguments_schema or "{}"),
        resources=tuple(m.resources),
        granted_resources=tuple(m.granted_resources),
        idempotent=m.idempotent,
        function_name=m.function_name,
    )


def explanation(m: broker_pb2.ExplainResponse) -> Explanation:
    return Explanation(
        allowed=m.allowed,
        grant_id=m.grant_id,
        reason=m.reason,
        explanation=m.explanation,
        severity=severity(m.severity),
        resources=tuple(m.resources),
    )


def task(m: task_pb2.Task) -> Task:
    return Task(
        id=m.id,
        workspace=m.workspace,
        agent=m.agent,
        user_id=m.user_id,
        user_subject=m.user_subject,
        user_issuer=m.user_issuer,
        sandbox=m.sandbox,
        state=_name(task_pb2.TaskState, m.state, "TASK_STATE_"),
        grants=tuple(_grant(g) for g in m.grants),
        created_at=_time(m, "created_at"),
        expires_at=_time(m, "expires_at"),
        ended_at=_time(m, "ended_at"),
        created_by=m.created_by,
        key_id=m.key_id,
        parent_id=m.parent_id,
        root_id=m.root_id,
        delegates=tuple(m.delegates),
    )


def delegated(m: broker_pb2.DelegateTaskResponse) -> Delegated:
    return Delegated(
        task_id=m.task_id,
        task_key=m.task_key,
        key_id=m.key_id,
        expires_at=_time(m, "expires_at"),
        task=task(m.task),
    )


def severity(number: int) -> str:
    """The name of a severity; one that a newer broker adds is its number."""
    return _name(task_pb2.Severity, number, "SEVERITY_")


def _grant(m: task_pb2.Grant) -> Grant:
    return Grant(
        id=m.id,
        connector=m.connector,
        revision=m.revision,
        tools=tuple(m.tools),
        max_severity=severity(m.max_severity),
        resources=tuple(m.resources),
        limits=Limits(m.limits.calls, m.limits.bytes, m.limits.rows, m.limits.tokens, m.limits.micro_usd),
        expires_at=_time(m, "expires_at"),
    )


def _name(enum: Any, number: int, prefix: str) -> str:
    if number not in enum.values():
        return str(number)
    return "" if number == 0 else str(enum.Name(number)).removeprefix(prefix)


def _time(m: Any, field: str) -> datetime | None:
    if not m.HasField(field):
        return None
    value: Timestamp = getattr(m, field)
    return value.ToDatetime(tzinfo=timezone.utc)
