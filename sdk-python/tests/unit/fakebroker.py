"""A broker that answers as a test tells it to, over real TLS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from pki import SVID, Authority

from onedoor.v1 import broker_pb2 as pb


@dataclass
class Call:
    """One call as it arrived."""

    method: str
    request: Any
    metadata: dict[str, str]
    peer: str
    context: grpc.ServicerContext = field(repr=False)


class Refusal(Exception):
    """Answers with a status instead; without a reason it is not the broker's."""

    def __init__(
        self, code: grpc.StatusCode, reason: str = "", message: str = "no", retry: float = 0, **metadata: str
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.retry, self.metadata = (
            code,
            reason,
            message,
            retry,
            metadata,
        )

    def end(self, context: grpc.ServicerContext) -> None:
        details = []
        if self.reason:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain="onedoor", metadata=self.metadata)
            details.append(info)
        if self.retry:
            delay = Duration(nanos=int(self.retry % 1 * 1e9), seconds=int(self.retry))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        packed = []
        for d in details:
            p = Packed()
            p.Pack(d)
            packed.append(p)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        if packed:
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.code, self.message)


Answer = Callable[[int, Call], Any]


class Broker:
    """Serves what `answer` (number of the call from 1, call) gives: a message, for streams an
    iterable of messages, or a Refusal that it raises."""

    def __init__(self, authority: Authority, svid: SVID, answer: Answer | None = None, port: int = 0) -> None:
        self.answer = answer or (lambda n, call: default(call))
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(32)
        self._server = grpc.server(self._pool, options=[("grpc.max_receive_message_length", 16 << 20)])
        handlers = {}
        for m in pb.DESCRIPTOR.services_by_name["Broker"].methods:
            make = self._stream if m.server_streaming else self._unary
            handlers[m.name] = make(m.name, m.input_type._concrete_class)
        generic = grpc.method_handlers_generic_handler("onedoor.v1.Broker", handlers)
        self._server.add_generic_rpc_handlers((generic,))
        credentials = grpc.ssl_server_credentials([(svid.key_pem, svid.cert_pem)], authority.pem, True)
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self.addr = f"127.0.0.1:{self.port}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(0).wait()
        self._pool.shutdown(wait=False)

    def _note(self, method: str, request: Any, context: grpc.ServicerContext) -> tuple[int, Call]:
        metadata = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
        with self._lock:
            call = Call(method, request, metadata, context.peer(), context)
            self.calls.append(call)
            return len(self.calls), call

    def _unary(self, name: str, request: Any) -> grpc.RpcMethodHandler:
        def handle(r: Any, context: grpc.ServicerContext) -> Any:
            try:
                return self.answer(*self._note(name, r, context))
            except Refusal as e:
                e.end(context)

        return grpc.unary_unary_rpc_method_handler(handle, request.FromString, _write)

    def _stream(self, name: str, request: Any) -> grpc.RpcMethodHandler:
        def handle(r: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                yield from self.answer(*self._note(name, r, context))
            except Refusal as e:
                e.end(context)

        return grpc.unary_stream_rpc_method_handler(handle, request.FromString, _write)


def _write(message: Any) -> bytes:
    return message.SerializeToString()


def default(call: Call) -> Any:
    """The dullest answer."""
    if call.method == "InvokeStream":
        return [head(), end(0)]
    if call.method == "Invoke":
        return pb.InvokeResponse(invocation_id="i1", status=200)
    return getattr(pb, call.method + "Response")()


def hang(n: int, call: Call) -> Any:
    """Answers when the caller has gone, or after 30 s."""
    ended = threading.Event()
    call.context.add_callback(ended.set)
    ended.wait(30)
    return default(call)


def head() -> pb.InvokeStreamResponse:
    return pb.InvokeStreamResponse(
        head=pb.InvokeStreamHead(invocation_id="i1", status=200, content_type="text/plain")
    )


def data(piece: bytes) -> pb.InvokeStreamResponse:
    return pb.InvokeStreamResponse(data=piece)


def end(length: int) -> pb.InvokeStreamResponse:
    return pb.InvokeStreamResponse(end=pb.InvokeStreamEnd(body_bytes=length))
