"""The toolboxes."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from ._answers import reason_of, tell_answer, tell_refusal
from ._calls import Call, Told, is_call, read_call
from ._functions import Functions, Invocation
from ._protocols import AsyncClientLike, ClientLike

_log = logging.getLogger("onedoor.tools")


@dataclass(frozen=True)
class _Manner:
    """What both toolboxes are told."""

    max_text: int
    strict: bool
    raise_on: bool | Container[str]

    def __post_init__(self) -> None:
        if self.max_text < 1:
            raise ValueError(f"max_text {self.max_text}: not positive")
        if isinstance(self.raise_on, str):
            raise TypeError("raise_on: give a set of reasons, not one text")

    def refusal(self, error: Exception, call: Call) -> Told:
        """Gives what the model is told of a refusal; raises what the program is to see."""
        reason = reason_of(error)
        if reason is None or self.raise_on is True:
            raise error
        if not isinstance(self.raise_on, bool) and reason in self.raise_on:
            raise error
        _log.info("%s was refused: %s", call.name, reason)
        return tell_refusal(error, reason)


class Toolbox:
    """The tools of a task for a model, and the running of the calls that come back.

        box = Toolbox(client)
        answer = openai.chat.completions.create(model=…, messages=messages, tools=box.openai())
        messages += box.run_all(answer.choices[0].message.tool_calls or [])

    A refusal becomes a result that says the reason, so that the model can mend its call or do
    without; it does not end the program's loop. The tools are asked for once, at first use.

    max_text
        How many characters of an answer the model is given; the rest is cut off with a note.
    strict
        Gives OpenAI definitions in strict mode where a tool's schema can be written so.
    raise_on
        Reasons which are raised as they came instead, such as {"TASK_ENDED"};
        True for all. Exceptions that are no refusals are always raised.
    """

    def __init__(
        self,
        client: ClientLike,
        *,
        max_text: int = 50_000,
        strict: bool = False,
        raise_on: bool | Container[str] = False,
    ) -> None:
        self._client = client
        self._manner = _Manner(max_text, strict, raise_on)
        self._functions: Functions | None = None

    def refresh(self) -> None:
        """Asks for the tools again."""
        self._functions = Functions(self._client.tools(), strict=self._manner.strict)

    def _known(self) -> Functions:
        if self._functions is None:
            self.refresh()
        assert self._functions is not None
        return self._functions

    # The definitions are lists of Any, for each SDK has types of its own for them.

    def openai(self) -> list[Any]:
        """Gives the tools for OpenAI's chat completions, and for all that speak their form."""
        return self._known().openai()

    def openai_responses(self) -> list[Any]:
        """Gives the tools for OpenAI's responses."""
        return self._known().openai_responses()

    def anthropic(self) -> list[Any]:
        """Gives the tools for Anthropic's messages."""
        return self._known().anthropic()

    def knows(self, call: Any) -> bool:
        """Says whether something that a model put out calls one of these tools."""
        return is_call(call) and read_call(call).name in self._known()

    def run(self, call: Any) -> Any:
        """Makes a call, and gives the message, item or block that answers it.

        call is an SDK's object or a dict: a tool call of chat completions, an item function_call
        of responses, or a block tool_use of Anthropic's. Anything else is a TypeError.
        """
        asked = read_call(call)
        plan = self._known().plan(asked)
        return asked.result(plan if isinstance(plan, Told) else self._invoke(plan, asked))

    def run_all(self, items: Iterable[Any]) -> list[Any]:
        """Makes the calls among the items one after another, and passes over what is no call."""
        return [self.run(item) for item in items if is_call(item)]

    def _invoke(self, plan: Invocation, asked: Call) -> Told:
        try:
            answer = self._client.invoke(plan.connector, plan.tool, plan.arguments)
        except Exception as error:  # noqa: BLE001 - what is no refusal is raised again
            return self._manner.refusal(error, asked)
        return tell_answer(answer, self._manner.max_text)


class AsyncToolbox:
    """Does as Toolbox for an asynchronous client."""

    def __init__(
        self,
        client: AsyncClientLike,
        *,
        max_text: int = 50_000,
        strict: bool = False,
        raise_on: bool | Container[str] = False,
    ) -> None:
        self._client = client
        self._manner = _Manner(max_text, strict, raise_on)
        self._functions: Functions | None = None

    async def refresh(self) -> None:
        """Asks for the tools again."""
        self._functions = Functions(await self._client.tools(), strict=self._manner.strict)

    async def _known(self) -> Functions:
        if self._functions is None:
            await self.refresh()
        assert self._functions is not None
        return self._functions

    async def openai(self) -> list[Any]:
        """Gives the tools for OpenAI's chat completions, and for all that speak their form."""
        return (await self._known()).openai()

    async def openai_responses(self) -> list[Any]:
        """Gives the tools for OpenAI's responses."""
        return (await self._known()).openai_responses()

    async def anthropic(self) -> list[Any]:
        """Gives the tools for Anthropic's messages."""
        return (await self._known()).anthropic()

    async def knows(self, call: Any) -> bool:
        """Says whether something that a model put out calls one of these tools."""
        return is_call(call) and read_call(call).name in await self._known()

    async def run(self, call: Any) -> Any:
        """Makes a call, and gives what answers it, as Toolbox.run does."""
        asked = read_call(call)
        plan = (await self._known()).plan(asked)
        return asked.result(plan if isinstance(plan, Told) else await self._invoke(plan, asked))

    async def run_all(self, items: Iterable[Any]) -> list[Any]:
        """Makes the calls among the items one after another, and passes over what is no call."""
        return [await self.run(item) for item in items if is_call(item)]

    async def _invoke(self, plan: Invocation, asked: Call) -> Told:
        try:
            answer = await self._client.invoke(plan.connector, plan.tool, plan.arguments)
        except Exception as error:  # noqa: BLE001 - what is no refusal is raised again
            return self._manner.refusal(error, asked)
        return tell_answer(answer, self._manner.max_text)
