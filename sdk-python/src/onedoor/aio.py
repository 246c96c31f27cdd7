"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from onedoor import _config, _requests, _rpc, answer
from onedoor._arguments import Arguments
from onedoor._links import Link, Links
from onedoor._pieces import Opened, Pieces, head_of
from onedoor._retry import Attempts
from onedoor._secret import hide
from onedoor._tls import Dialer
from onedoor._workload import Question, WorkloadSource
from onedoor.answer import Answer, Delegated, Explanation, Task, Tool
from onedoor.errors import ClientClosed, OnedoorError, OutcomeUnknown, SVIDExpired
from onedoor.identity import Source
from onedoor.sse import Event, Parser
from onedoor.v1 import broker_pb2 as pb

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
T = TypeVar("T")


class AsyncClient:
    """A broker's client for one event loop.

    It takes what `Client` takes, and its calls do what those of the same name do there.
    The constructor does not block: the identity is waited for by the first call, or on
    entry where the client is used as an asynchronous context manager. Cancelling a call
    cancels it at the broker; whether it had an effect is then unknown.
    """

    _addr = ""  # until the constructor has come so far

    def __init__(
        self,
        addr: str | None = None,
        broker_id: str | None = None,
        *,
        task_key: str | None = None,
        task_key_file: str | os.PathLike[str] | None = None,
        workload_socket: str | None = None,
        identity: Source | None = None,
        startup_timeout: float = 10.0,
        timeout: float | None = None,
    ) -> None:
        task_key = hide(task_key)  # error reporters show the variables of each frame
        self._options = o = _config.options(
            addr, broker_id, task_key, task_key_file, workload_socket, identity, startup_timeout, timeout
        )
        self._addr, self._key, self._timeout = o.addr, o.key, o.timeout
        self._own_source: WorkloadSource | None = None
        self._question: Question | None = None
        self._asked: asyncio.Task[WorkloadSource] | None = None
        self._starting = asyncio.Lock()
        self._links: Links[grpc.aio.Channel] | None = None
        self._closed = False
        self._closing: set[asyncio.Task[None]] = set()

    async def invoke(
        self,
        connector: str,
        tool: str,
        arguments: Arguments = None,
        /,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        **named: Any,
    ) -> Answer:
        """As `Client.invoke`."""
        request = _requests.invoke(connector, tool, arguments, named)
        attempts = Attempts(_requests.limit(timeout, self._timeout), idempotency_key, needs_key=True)

        async def attempt() -> Answer:
            request.idempotency_key = attempts.key
            return _requests.answer(await self._call(_rpc.INVOKE, request, attempts))

        return await _try(attempts, attempt)

    def stream(
        self,
        connector: str,
        tool: str,
        arguments: Arguments = None,
        /,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        **named: Any,
    ) -> Opening:
        """As `Client.stream`: ``async with client.stream(…) as stream``, or
        ``stream = await client.stream(…)``."""
        request = _requests.stream(connector, tool, arguments, named)
        attempts = Attempts(_requests.limit(timeout, self._timeout), idempotency_key, needs_key=True)

        async def attempt() -> AsyncStream:
            request.idempotency_key = attempts.key
            try:
                return await self._open_stream(request, attempts)
            except SVIDExpired:
                return await self._open_stream(request, attempts)

        return Opening(lambda: _try(attempts, attempt))

    async def tools(self, *, timeout: float | None = None) -> list[Tool]:
        """As `Client.tools`."""
        m = await self._ask(_rpc.LIST_TOOLS, pb.ListToolsRequest(), timeout)
        return [answer.tool(t) for t in m.tools]

    async def explain(
        self,
        connector: str,
        tool: str,
        arguments: Arguments = None,
        /,
        *,
        timeout: float | None = None,
        **named: Any,
    ) -> Explanation:
        """As `Client.explain`."""
        request = _requests.explain(connector, tool, arguments, named)
        return answer.explanation(await self._ask(_rpc.EXPLAIN, request, timeout))

    async def task(self, *, timeout: float | None = None) -> Task:
        """As `Client.task`."""
        return answer.task((await self._ask(_rpc.GET_TASK, pb.GetTaskRequest(), timeout)).task)

    async def delegate(
        self,
        *,
        agent: str,
        sandbox: str,
        grants: Iterable[str],
        ttl: float | timedelta | None = None,
        delegates: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Delegated:
        """As `Client.delegate`."""
        request = _requests.delegate(agent, sandbox, grants, ttl, delegates)
        attempts = Attempts(_requests.limit(timeout, self._timeout), only_limited=True)
        m = await _try(attempts, lambda: self._call(_rpc.DELEGATE_TASK, request, attempts))
        return answer.delegated(m)

    async def end_delegated(self, task_id: str, *, timeout: float | None = None) -> Task:
        """As `Client.end_delegated`."""
        request = pb.EndDelegatedTaskRequest(task_id=task_id)
        return answer.task((await self._ask(_rpc.END_DELEGATED_TASK, request, timeout)).task)

    async def close(self) -> None:
        """Ends every connection, and with them the calls that still run."""
        async with self._starting:
            self._closed = True
        for link in self._links.drop() if self._links is not None else ():
            self._close_aside(link)
        if self._closing:
            # Unlike gather, this cancels nothing: who closes may be cancelled in the midst.
            await asyncio.wait(set(self._closing))
        if self._asked is not None:
            await asyncio.wait([self._asked])
        if self._question is not None:
            await asyncio.to_thread(self._question.end)

    async def __aenter__(self) -> AsyncClient:
        try:
            await self._ready()
        except asyncio.CancelledError:
            # Nobody will come to close it: there is no exit without an entry.
            self._closed = True
            if self._question is not None:
                await asyncio.to_thread(self._question.end)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<onedoor.AsyncClient of {self._addr}>"

    async def _ready(self) -> Links[grpc.aio.Channel]:
        """Waits for the identity."""
        if self._links is not None:
            return self._links
        async with self._starting:
            if self._closed:
                raise ClientClosed("the client is closed")
            if self._links is None:
                o = self._options
                source = o.source or await self._obtain()
                dialer = Dialer(o.host, o.port, o.broker, source)
                self._links = Links(dialer, o.addr, _open, self._close_aside)
            return self._links

    async def _obtain(self) -> Source:
        """Asks the Workload API. A call that is cancelled meanwhile leaves the question to
        the next one, so that no more than one is ever on its way."""
        asked = self._asked
        if asked is None or asked.cancelled() or (asked.done() and asked.exception() is not None):
            o = self._options
            self._question = Question(o.socket, o.startup_timeout)
            self._asked = asked = asyncio.create_task(asyncio.to_thread(self._question.ask))
            asked.add_done_callback(lambda t: t.cancelled() or t.exception())  # perhaps nobody looks
        self._own_source = await asyncio.shield(asked)
        return self._own_source

    async def _ask(self, method: _rpc.Method[Q, A], request: Q, timeout: float | None) -> A:
        attempts = Attempts(_requests.limit(timeout, self._timeout))
        return await _try(attempts, lambda: self._call(method, request, attempts))

    async def _call(self, method: _rpc.Method[Q, A], request: Q, attempts: Attempts) -> A:
        try:
            return await self._call_once(method, request, attempts)
        except SVIDExpired:
            return await self._call_once(method, request, attempts)

    async def _call_once(self, method: _rpc.Method[Q, A], request: Q, attempts: Attempts) -> A:
        links = await self._ready()
        left = attempts.left()
        link = links.acquire()
        mark = link.bridge.mark()
        try:
            start = link.channel.unary_unary(method.path, _rpc.serialize, method.parse)
            return await start(request, timeout=left, metadata=_requests.metadata(self._key))
        except grpc.RpcError as e:
            error = _rpc.judge(link, mark, method, cast(_rpc.Failure, e), links.retire)
            raise error from error.__cause__
        except (grpc.aio.UsageError, asyncio.CancelledError) as e:
            self._ended(e, method.effect and link.bridge.may_have_left(mark))
        finally:
            links.release(link)

    def _ended(self, e: BaseException, left: bool) -> NoReturn:
        """Tells a call that was cancelled by closing the client from one whose task was
        cancelled: to asyncio both look alike."""
        task = asyncio.current_task()
        # Python 3.10 cannot tell: there a cancellation is passed on.
        cancelling = getattr(task, "cancelling", lambda: 1)()
        if isinstance(e, asyncio.CancelledError) and (not self._closed or cancelling):
            raise e
        if left:
            raise OutcomeUnknown("the call was handed to the broker, but the client was closed") from None
        raise ClientClosed("the client is closed") from None

    async def _open_stream(self, request: pb.InvokeStreamRequest, attempts: Attempts) -> AsyncStream:
        links = await self._ready()
        left = attempts.left()
        link = links.acquire()
        mark = link.bridge.mark()
        method = _rpc.INVOKE_STREAM
        try:
            start = link.channel.unary_stream(method.path, _rpc.serialize, method.parse)
            call = start(request, timeout=left, metadata=_requests.metadata(self._key))
        except BaseException as e:
            links.release(link)
            if isinstance(e, grpc.aio.UsageError):
                self._ended(e, False)
            raise
        call.add_done_callback(lambda _: links.release(link))

        def judge(e: BaseException) -> OnedoorError:
            if not isinstance(e, grpc.RpcError):
                self._ended(e, link.bridge.may_have_left(mark))
            return _rpc.judge(link, mark, method, cast(_rpc.Failure, e), links.retire)

        stream = AsyncStream(call, judge, request.idempotency_key)
        await stream._begin()
        return stream

    def _close_aside(self, link: Link[grpc.aio.Channel]) -> None:
        task = asyncio.get_running_loop().create_task(_close(link))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Opening:
    """A stream that is about to be opened: to be awaited, or entered by ``async with``."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, AsyncStream]]) -> None:
        self._start = start
        self._stream: AsyncStream | None = None

    def __await__(self) -> Generator[Any, None, AsyncStream]:
        return self._start().__await__()

    async def __aenter__(self) -> AsyncStream:
        self._stream = await self._start()
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()


class AsyncStream(Opened):
    """As `onedoor.Stream`: iterate over the pieces of its body, once, by ``async for``."""

    def __init__(self, call: Any, judge: Callable[[BaseException], OnedoorError], key: str) -> None:
        self._call, self._judge, self._key, self._pieces = call, judge, key, Pieces()

    async def _begin(self) -> None:
        try:
            self.head = head_of(await self._next())
        except BaseException:
            self._call.cancel()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Gives the pieces, and closes the stream however the loop ends."""
        try:
            while (piece := self._pieces.take(await self._next())) is not None:
                if piece:
                    yield piece
        except OnedoorError as e:
            raise self._named(e) from e.__cause__
        finally:
            self.close()

    async def events(self) -> AsyncIterator[Event]:
        """Gives the body's server-sent events."""
        parser = Parser()
        async for piece in self:
            for event in parser.feed(piece):
                yield event

    async def read(self) -> bytes:
        """Gives all that is left of the body."""
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """Ends the stream. It may be called more than once."""
        self._call.cancel()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _next(self) -> pb.InvokeStreamResponse | None:
        try:
            event = await self._call.read()
        except (grpc.RpcError, asyncio.CancelledError) as e:
            error = self._judge(e)
            raise error from error.__cause__
        return None if event is grpc.aio.EOF else cast(pb.InvokeStreamResponse, event)


def _open(target: str, options: list[tuple[str, object]]) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target, options)


async def _close(link: Link[grpc.aio.Channel]) -> None:
    try:
        await link.channel.close()
    finally:
        await asyncio.to_thread(link.bridge.close)


async def _try(attempts: Attempts, attempt: Callable[[], Awaitable[T]]) -> T:
    """Makes a call, and makes it again while attempts allow it."""
    while True:
        try:
            return await attempt()
        except OnedoorError as e:
            wait = attempts.pause(e)
            if wait is None:
                raise
        await asyncio.sleep(wait)
