"""The client for programs that block."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import Message

from onedoor import _config, _requests, _rpc, answer
from onedoor._arguments import Arguments
from onedoor._links import Link, Links
from onedoor._pieces import Opened, Pieces, head_of
from onedoor._retry import Attempts
from onedoor._secret import hide
from onedoor._tls import Dialer
from onedoor._workload import WorkloadSource
from onedoor.answer import Answer, Delegated, Explanation, Task, Tool
from onedoor.errors import ClientClosed, OnedoorError, SVIDExpired
from onedoor.identity import Source
from onedoor.sse import Event, Parser
from onedoor.v1 import broker_pb2 as pb

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
T = TypeVar("T")


class Client:
    """A broker's client. It may be used by any number of threads.

    What is not given is taken from the environment: ONEDOOR_ADDR, ONEDOOR_BROKER_ID,
    ONEDOOR_TASK_KEY or ONEDOOR_TASK_KEY_FILE, SPIFFE_ENDPOINT_SOCKET.

    addr is the broker's gRPC address, host:port. broker_id is the one SPIFFE ID that is
    accepted as the broker. identity replaces the Workload API at workload_socket, for
    instance by `PEMFiles`; the client does not close it. startup_timeout, in seconds,
    bounds how long the constructor waits for an identity. timeout, in seconds, is for each
    call that names none, all its attempts together; None means no limit on this side.

    The constructor raises NotConfigured and NoIdentity. The broker is first spoken to by
    the first call. Close the client after use, or use it as a context manager.
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
        o = _config.options(
            addr, broker_id, task_key, task_key_file, workload_socket, identity, startup_timeout, timeout
        )
        self._addr, self._key, self._timeout = o.addr, o.key, o.timeout
        source = o.source or WorkloadSource(o.socket, o.startup_timeout)
        self._own_source = source if o.source is None else None
        self._closing: list[threading.Thread] = []
        self._links: Links[grpc.Channel] = Links(
            Dialer(o.host, o.port, o.broker, source), o.addr, _open, self._close_aside
        )

    def invoke(
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
        """Calls one tool and waits for the whole answer.

        Arguments are given by name; as a mapping, where their names are no identifiers or
        are ``timeout`` or ``idempotency_key``; or as one JSON object in a str or bytes,
        which is sent as it is.

        timeout, in seconds, is for all attempts together. idempotency_key is a UUID that
        makes the call unique within its task, instead of a random one.

        The call is tried again, four times in all with growing pauses, after RATE_LIMITED,
        STORE_UNAVAILABLE and AUDIT_UNAVAILABLE, and after UPSTREAM_UNAVAILABLE unless the
        key is the caller's own (the failed call has used it up). All of these say that
        nothing was sent. Where the answer was lost the error is OutcomeUnknown, and the
        call is never repeated here; calling again with its idempotency_key is safe.
        """
        request = _requests.invoke(connector, tool, arguments, named)
        attempts = Attempts(_requests.limit(timeout, self._timeout), idempotency_key, needs_key=True)

        def attempt() -> Answer:
            request.idempotency_key = attempts.key
            return _requests.answer(self._call(_rpc.INVOKE, request, attempts))

        return _try(attempts, attempt)

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
    ) -> Stream:
        """Calls one tool and returns when the head of its answer has arrived.

        Arguments are as for `invoke`. The call is tried again as there, until its head has
        arrived. timeout, in seconds, includes the reading. Read the stream to its end or
        close it; as a context manager it closes itself.
        """
        request = _requests.stream(connector, tool, arguments, named)
        attempts = Attempts(_requests.limit(timeout, self._timeout), idempotency_key, needs_key=True)

        def attempt() -> Stream:
            request.idempotency_key = attempts.key
            return self._open_stream(request, attempts)

        return _try(attempts, attempt)

    def tools(self, *, timeout: float | None = None) -> list[Tool]:
        """Lists exactly the tools that the task was granted."""
        m = self._ask(_rpc.LIST_TOOLS, pb.ListToolsRequest(), timeout)
        return [answer.tool(t) for t in m.tools]

    def explain(
        self,
        connector: str,
        tool: str,
        arguments: Arguments = None,
        /,
        *,
        timeout: float | None = None,
        **named: Any,
    ) -> Explanation:
        """Says whether a call would be allowed now, and if not, why. It calls nothing and
        reserves nothing. Arguments are as for `invoke`."""
        return answer.explanation(
            self._ask(_rpc.EXPLAIN, _requests.explain(connector, tool, arguments, named), timeout)
        )

    def task(self, *, timeout: float | None = None) -> Task:
        """Gives the task to which the client's key belongs."""
        return answer.task(self._ask(_rpc.GET_TASK, pb.GetTaskRequest(), timeout).task)

    def delegate(
        self,
        *,
        agent: str,
        sandbox: str,
        grants: Iterable[str],
        ttl: float | timedelta | None = None,
        delegates: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Delegated:
        """Makes a task, and its key, for a sub-agent, out of this client's own.

        sandbox is the exact SPIFFE ID under which the sub-agent works; one of the task's
        delegates must name it. Each grant must lie within one of the task's own. ttl (in
        seconds, or a timedelta) is how long the sub-agent's task may live; None means to
        the end of this one. delegates are those to whom it may delegate in turn.

        A lost answer is OutcomeUnknown: a task may have been made whose key nobody knows.
        """
        request = _requests.delegate(agent, sandbox, grants, ttl, delegates)
        attempts = Attempts(_requests.limit(timeout, self._timeout), only_limited=True)
        m = _try(attempts, lambda: self._call(_rpc.DELEGATE_TASK, request, attempts))
        return answer.delegated(m)

    def end_delegated(self, task_id: str, *, timeout: float | None = None) -> Task:
        """Ends a task that this client's own delegated, or that stands further below it, and
        with it all that stands below that; gives it as it stands then.

        Within a second no broker takes its key any more, and calls that run are cut. Ending
        one that has ended already changes nothing, so to end it again is always safe, and
        this is tried again like a question. The client's own task, one that does not stand
        below it and one that there is not are all TaskUnknown.
        """
        request = pb.EndDelegatedTaskRequest(task_id=task_id)
        return answer.task(self._ask(_rpc.END_DELEGATED_TASK, request, timeout).task)

    def close(self) -> None:
        """Ends every connection, and with them the calls that still run."""
        for link in self._links.drop():
            _close(link)
        for thread in self._closing:
            thread.join()
        if self._own_source is not None:
            self._own_source.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<onedoor.Client of {self._addr}>"

    def _ask(self, method: _rpc.Method[Q, A], request: Q, timeout: float | None) -> A:
        """Makes a call that has no effect, or none that a repeat could double."""
        attempts = Attempts(_requests.limit(timeout, self._timeout))
        return _try(attempts, lambda: self._call(method, request, attempts))

    def _call(self, method: _rpc.Method[Q, A], request: Q, attempts: Attempts) -> A:
        """Makes one attempt. SVID_EXPIRED, which says that nothing happened, is tried once
        more over a fresh connection."""
        try:
            return self._call_once(method, request, attempts)
        except SVIDExpired:
            return self._call_once(method, request, attempts)

    def _call_once(self, method: _rpc.Method[Q, A], request: Q, attempts: Attempts) -> A:
        left = attempts.left()
        link = self._links.acquire()
        mark = link.bridge.mark()
        try:
            call = link.channel.unary_unary(method.path, _rpc.serialize, method.parse)
            return call(request, timeout=left, metadata=self._metadata())
        except grpc.RpcError as e:
            error = _rpc.judge(link, mark, method, cast(_rpc.Failure, e), self._links.retire)
            raise error from error.__cause__
        except ValueError as e:  # grpcio's word for a channel that was closed meanwhile
            raise ClientClosed(f"the client is closed: {e}") from None
        finally:
            self._links.release(link)

    def _open_stream(self, request: pb.InvokeStreamRequest, attempts: Attempts) -> Stream:
        try:
            return self._open_stream_once(request, attempts)
        except SVIDExpired:
            return self._open_stream_once(request, attempts)

    def _open_stream_once(self, request: pb.InvokeStreamRequest, attempts: Attempts) -> Stream:
        left = attempts.left()
        link = self._links.acquire()
        mark = link.bridge.mark()
        method = _rpc.INVOKE_STREAM
        try:
            start = link.channel.unary_stream(method.path, _rpc.serialize, method.parse)
            call = start(request, timeout=left, metadata=self._metadata())
        except ValueError as e:
            self._links.release(link)
            raise ClientClosed(f"the client is closed: {e}") from None
        except BaseException:
            self._links.release(link)
            raise
        if not call.add_callback(lambda: self._links.release(link)):
            self._links.release(link)

        def judge(failure: _rpc.Failure) -> OnedoorError:
            return _rpc.judge(link, mark, method, failure, self._links.retire)

        return Stream(call, judge, request.idempotency_key)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return _requests.metadata(self._key)

    def _close_aside(self, link: Link[grpc.Channel]) -> None:
        # This may come from within gRPC's own end of a call, which must not wait for itself.
        thread = threading.Thread(target=_close, args=(link,), name="onedoor-close", daemon=True)
        self._closing = [t for t in self._closing if t.is_alive()]
        thread.start()
        self._closing.append(thread)


class Stream(Opened):
    """An upstream's answer as it arrives: iterate over the pieces of its body, once.

    An answer that was cut short ends in an error, so whoever sees none has seen all of it.
    A stream is for one thread; only `close` may come from another.
    """

    def __init__(self, call: Any, judge: Callable[[_rpc.Failure], OnedoorError], key: str) -> None:
        self._call, self._judge, self._key, self._pieces = call, judge, key, Pieces()
        try:
            self.head = head_of(self._next())
        except BaseException:
            call.cancel()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Gives the pieces, and closes the stream however the loop ends."""
        try:
            while (piece := self._pieces.take(self._next())) is not None:
                if piece:
                    yield piece
        except OnedoorError as e:
            raise self._named(e) from e.__cause__
        finally:
            self.close()

    def events(self) -> Iterator[Event]:
        """Gives the body's server-sent events."""
        parser = Parser()
        for piece in self:
            yield from parser.feed(piece)

    def read(self) -> bytes:
        """Gives all that is left of the body."""
        return b"".join(self)

    def close(self) -> None:
        """Ends the stream. It may be called at any time, and more than once."""
        self._call.cancel()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> pb.InvokeStreamResponse | None:
        try:
            return cast(pb.InvokeStreamResponse, next(self._call))
        except StopIteration:
            return None
        except grpc.RpcError as e:
            error = self._judge(cast(_rpc.Failure, e))
            raise error from error.__cause__


def _open(target: str, options: list[tuple[str, object]]) -> grpc.Channel:
    return grpc.insecure_channel(target, options)


def _close(link: Link[grpc.Channel]) -> None:
    link.channel.close()
    link.bridge.close()


def _try(attempts: Attempts, attempt: Callable[[], T]) -> T:
    """Makes a call, and makes it again while attempts allow it."""
    while True:
        try:
            return attempt()
        except OnedoorError as e:
            wait = attempts.pause(e)
            if wait is None:
                raise
        time.sleep(wait)
