"""The RPCs of the Broker service, and what their failures mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from onedoor._links import Link
from onedoor.errors import (
    BY_REASON,
    BrokerError,
    DeadlineExceeded,
    OnedoorError,
    OutcomeUnknown,
    TransportError,
)
from onedoor.v1 import broker_pb2 as pb

# The domain of the broker's google.rpc.ErrorInfo; a reason of any other domain (a
# proxy's, say) is not the broker's word.
_DOMAIN = "onedoor"

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
C = TypeVar("C")


@dataclass(frozen=True)
class Method(Generic[Q, A]):
    """One RPC. effect: it calls an upstream, or makes something."""

    name: str
    answer: type[A]
    effect: bool = False

    @property
    def path(self) -> str:
        """Its name on the wire."""
        return f"/onedoor.v1.Broker/{self.name}"

    def parse(self, data: bytes) -> A:
        """Reads an answer."""
        return self.answer.FromString(data)


INVOKE = Method[pb.InvokeRequest, pb.InvokeResponse]("Invoke", pb.InvokeResponse, effect=True)
INVOKE_STREAM = Method[pb.InvokeStreamRequest, pb.InvokeStreamResponse](
    "InvokeStream", pb.InvokeStreamResponse, effect=True
)
LIST_TOOLS = Method[pb.ListToolsRequest, pb.ListToolsResponse]("ListTools", pb.ListToolsResponse)
EXPLAIN = Method[pb.ExplainRequest, pb.ExplainResponse]("Explain", pb.ExplainResponse)
GET_TASK = Method[pb.GetTaskRequest, pb.GetTaskResponse]("GetTask", pb.GetTaskResponse)
DELEGATE_TASK = Method[pb.DelegateTaskRequest, pb.DelegateTaskResponse](
    "DelegateTask", pb.DelegateTaskResponse, effect=True
)
# No effect that a repeat could double.
END_DELEGATED_TASK = Method[pb.EndDelegatedTaskRequest, pb.EndDelegatedTaskResponse](
    "EndDelegatedTask", pb.EndDelegatedTaskResponse
)


def serialize(request: Message) -> bytes:
    """Writes a request."""
    return request.SerializeToString()


class Failure(Protocol):
    """What grpc.RpcError and grpc.aio.AioRpcError have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[Any] | None: ...


def judge(
    link: Link[C], mark: int, method: Method[Any, Any], failure: Failure, retire: Callable[[Link[C]], None]
) -> OnedoorError:
    """Turns gRPC's failure of a call into ours, and draws the conclusions that only this
    layer can. mark is what the link's bridge gave before the call."""
    error = _from_status(failure)
    if error.reason == "SVID_EXPIRED":
        retire(link)
    if error.reason:
        return error
    left = link.bridge.may_have_left(mark)
    if not left and error.code is grpc.StatusCode.UNAVAILABLE:
        refused, trouble = link.bridge.refused, link.bridge.trouble
        if refused is not None:
            # A new one: the same error raised twice would gather both tracebacks.
            return type(refused)(refused.message)
        return TransportError(trouble or error.message, code=error.code)
    if left and method.effect and error.code is not grpc.StatusCode.UNIMPLEMENTED:
        unknown = OutcomeUnknown(
            f"the call was handed to the broker, but its answer did not arrive: {error.message}",
            metadata=error.metadata,
        )
        unknown.__cause__ = error
        return unknown
    return error


def _from_status(failure: Failure) -> OnedoorError:
    code, message = failure.code(), failure.details() or ""
    reason, metadata, retry_after = "", {}, None
    for detail in _details(failure.trailing_metadata()):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    if reason:
        kind = BY_REASON.get(reason, BrokerError)
        return kind(message, code=code, reason=reason, metadata=metadata, retry_after=retry_after)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("the time was over before there was an answer")
    return TransportError(message or code.name, code=code, retry_after=retry_after)


def _details(trailers: Iterable[Any] | None) -> list[Any]:
    for key, value in trailers or ():
        if key == "grpc-status-details-bin":
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return []
    return []
