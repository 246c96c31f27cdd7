"""What a toolbox needs of a client. onedoor.Client and onedoor.AsyncClient have it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol


class ToolLike(Protocol):
    """A tool that the task was granted."""

    @property
    def connector(self) -> str:
        """The connector's name."""
        ...

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def description(self) -> str:
        """What it does."""
        ...

    @property
    def arguments_schema(self) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of the arguments."""
        ...

    @property
    def granted_resources(self) -> Sequence[str]:
        """The resource patterns granted to this task."""
        ...

    @property
    def function_name(self) -> str:
        """The name under which models know it: CONNECTOR__TOOL with dots as underscores, at most 64 characters."""
        ...


class AnswerLike(Protocol):
    """An upstream's answer. A status of 4xx or 5xx is an answer as well."""

    @property
    def status(self) -> int:
        """The upstream's HTTP status."""
        ...

    @property
    def content_type(self) -> str:
        """The body's media type; empty if there is none."""
        ...

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...


class ClientLike(Protocol):
    """Lists tools and calls them. What it refuses has reason, message and invocation_id, as OnedoorError has."""

    def tools(self) -> Iterable[ToolLike]:
        """Gives the tools that the task was granted."""
        ...

    def invoke(self, connector: str, tool: str, arguments: dict[str, Any], /) -> AnswerLike:
        """Makes a call."""
        ...


class AsyncClientLike(Protocol):
    """Does as ClientLike, awaited."""

    def tools(self) -> Awaitable[Iterable[ToolLike]]:
        """Gives the tools that the task was granted."""
        ...

    def invoke(self, connector: str, tool: str, arguments: dict[str, Any], /) -> Awaitable[AnswerLike]:
        """Makes a call."""
        ...
