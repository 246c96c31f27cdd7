"""A client without a broker, for the tests beside this file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Tool:
    connector: str = "contacts"
    name: str = "contact.get"
    description: str = "Read one contact."
    severity: str = "READ"
    arguments_schema: dict[str, Any] = field(default_factory=dict)
    resources: tuple[str, ...] = ("contact:{id}",)
    granted_resources: tuple[str, ...] = ("contact:1", "contact:2")
    idempotent: bool = True
    function_name: str = "contacts__contact_get"


GET = Tool(
    arguments_schema={
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer", "minimum": 1}, "note": {"type": "string", "maxLength": 10}},
    }
)
LIST = Tool(name="contact.list", function_name="contacts__contact_list", description="", granted_resources=())


@dataclass(frozen=True)
class Answer:
    status: int = 200
    content_type: str = "application/json"
    body: bytes = b'{"name": "Ada"}'
    invocation_id: str = "inv_1"


class Reason(str, Enum):
    RESOURCE_NOT_GRANTED = "RESOURCE_NOT_GRANTED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    TASK_ENDED = "TASK_ENDED"


class OnedoorError(Exception):
    def __init__(
        self, reason: str, message: str = "not granted: contact:3", invocation_id: str = "inv_2"
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason, self.message, self.invocation_id = reason, message, invocation_id


class Client:
    """Answers with what it is given, or raises it; keeps the calls."""

    def __init__(self, *answers: Answer | Exception, tools: tuple[Tool, ...] = (GET, LIST)) -> None:
        self.answers, self.calls, self.listed, self._tools = list(answers), list[Any](), 0, tools

    def tools(self) -> list[Tool]:
        self.listed += 1
        return list(self._tools)

    def invoke(self, connector: str, tool: str, arguments: dict[str, Any], /) -> Answer:
        self.calls.append((connector, tool, arguments))
        answer = self.answers.pop(0) if self.answers else Answer()
        if isinstance(answer, Exception):
            raise answer
        return answer


class AsyncClient:
    """Does as Client, awaited."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self) -> list[Tool]:
        return self._client.tools()

    async def invoke(self, connector: str, tool: str, arguments: dict[str, Any], /) -> Answer:
        return self._client.invoke(connector, tool, arguments)


def chat(name: str, arguments: str, id: str = "call_1") -> dict[str, Any]:
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


def tool_use(name: str, given: Any, id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}
