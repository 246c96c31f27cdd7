"""What can go wrong, as exceptions.

Each reason of the broker (proto/onedoor/v1/reason.proto) is a class below `BrokerError`;
what goes wrong on this side is a class of its own. All are `OnedoorError`.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc


class OnedoorError(Exception):
    """A call that did not succeed.

    It holds no secret: it may be logged and shown.
    """

    reason: str = ""
    """The broker's reason, for instance ``GRANT_MISSING``; empty where there is none."""
    _code = grpc.StatusCode.UNKNOWN  # where none is given

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        idempotency_key: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened, in words."""
        self.code = code or self._code
        """The gRPC status code."""
        self.metadata: dict[str, str] = dict(metadata or {})
        """What the broker sent beside the reason, for instance ``field``, or
        ``first_invocation_id`` where an idempotency key was used before."""
        self.invocation_id = self.metadata.get("invocation_id", "")
        """Finds the call in the audit trail; empty where it was refused before it got one."""
        self.retry_after = retry_after
        """How many seconds the broker asks to wait; None where it does not."""
        self.idempotency_key = idempotency_key
        """The key that the last attempt of an invoke or stream carried. Calling again with
        it never makes a call twice."""
        if reason is not None:
            self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"

    def __reduce__(self) -> tuple[object, ...]:
        # Without this an error with keywords could not cross a process pool.
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(kind: type[OnedoorError], message: str, state: dict[str, object]) -> OnedoorError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class NotConfigured(OnedoorError, ValueError):
    """An option is missing or malformed; the message names it."""

    _code = grpc.StatusCode.INVALID_ARGUMENT


class NoIdentity(OnedoorError):
    """This workload has no X.509-SVID: the Workload API gave none in time, or the files
    hold none."""

    _code = grpc.StatusCode.UNAVAILABLE


class BrokerUntrusted(OnedoorError):
    """Whoever answers at the address did not prove to be the broker. Nothing was sent."""

    _code = grpc.StatusCode.UNAUTHENTICATED


class ClientClosed(OnedoorError):
    """The client was closed, or it was made before a fork and is used after it."""

    _code = grpc.StatusCode.CANCELLED


class TransportError(OnedoorError):
    """The failure is none of the broker's: no connection, say. `code` tells which."""


class DeadlineExceeded(TransportError, TimeoutError):
    """The time was over, and nothing can have happened (else it is `OutcomeUnknown`)."""

    _code = grpc.StatusCode.DEADLINE_EXCEEDED


class BrokerError(OnedoorError):
    """The broker refused or failed. A reason that a newer broker adds is a plain
    BrokerError with that reason."""


class SVIDMissing(BrokerError):
    """No X.509-SVID (or, where allowed, JWT-SVID) came with the call. Unauthenticated."""

    reason = "SVID_MISSING"


class SVIDInvalid(BrokerError):
    """The SVID does not verify against the configured trust domains. Unauthenticated."""

    reason = "SVID_INVALID"


class SVIDExpired(BrokerError):
    """The SVID of this connection has expired: open a new one. Nothing happened. Unauthenticated."""

    reason = "SVID_EXPIRED"


class TaskKeyInvalid(BrokerError):
    """The task key is missing, malformed, unknown, or bound to another SPIFFE ID. Unauthenticated."""

    reason = "TASK_KEY_INVALID"


class TaskEnded(BrokerError):
    """The task has ended, expired or been revoked. Unauthenticated."""

    reason = "TASK_ENDED"


class GrantMissing(BrokerError):
    """No grant of the task names this connector and tool. PermissionDenied."""

    reason = "GRANT_MISSING"


class GrantExpired(BrokerError):
    """The grant that would allow the call has reached its end. PermissionDenied."""

    reason = "GRANT_EXPIRED"


class SeverityExceeded(BrokerError):
    """The tool's severity is above what the grant approves. PermissionDenied."""

    reason = "SEVERITY_EXCEEDED"


class ResourceNotGranted(BrokerError):
    """The grant does not cover every resource that the call acts on. PermissionDenied."""

    reason = "RESOURCE_NOT_GRANTED"


class DelegationWidens(BrokerError):
    """A child task would be allowed more than its parent. PermissionDenied."""

    reason = "DELEGATION_WIDENS"


class ApprovalRequired(BrokerError):
    """The task waits for a person's approval. PermissionDenied."""

    reason = "APPROVAL_REQUIRED"


class CallerNotAllowed(BrokerError):
    """This SPIFFE ID may not use this RPC, workspace or task. PermissionDenied."""

    reason = "CALLER_NOT_ALLOWED"


class EgressDenied(BrokerError):
    """The connector's origin leads to an address that it may not reach. PermissionDenied."""

    reason = "EGRESS_DENIED"


class ArgumentInvalid(BrokerError):
    """A field of the request is malformed; the metadata names it. InvalidArgument."""

    reason = "ARGUMENT_INVALID"


class ConnectorUnknown(BrokerError):
    """No such connector (told only to callers that hold a grant there). NotFound."""

    reason = "CONNECTOR_UNKNOWN"


class ToolUnknown(BrokerError):
    """No such tool (told only to callers that hold a grant there). NotFound."""

    reason = "TOOL_UNKNOWN"


class TaskUnknown(BrokerError):
    """No such task in this workspace. NotFound."""

    reason = "TASK_UNKNOWN"


class CredentialUnknown(BrokerError):
    """No such credential in this workspace. NotFound."""

    reason = "CREDENTIAL_UNKNOWN"


class CredentialMissing(BrokerError):
    """No credential is stored for this connector, slot and owner. FailedPrecondition."""

    reason = "CREDENTIAL_MISSING"


class CredentialNeedsReconnect(BrokerError):
    """The connection to the upstream account is dead and must be renewed. FailedPrecondition."""

    reason = "CREDENTIAL_NEEDS_RECONNECT"


class ConnectorChanged(BrokerError):
    """The connector revision on which the task runs was withdrawn. FailedPrecondition."""

    reason = "CONNECTOR_CHANGED"


class LimitReached(BrokerError):
    """A limit of the grant (calls, rows, bytes, …) is used up. FailedPrecondition."""

    reason = "LIMIT_REACHED"


class Conflict(BrokerError):
    """The idempotency key was used before; the metadata names the first invocation. Aborted."""

    reason = "CONFLICT"


class RateLimited(BrokerError):
    """Too many calls at once or in too short a time; RetryInfo says when. ResourceExhausted."""

    reason = "RATE_LIMITED"


class ResponseTooLarge(BrokerError):
    """The answer was larger than the tool allows. The call happened. OutOfRange."""

    reason = "RESPONSE_TOO_LARGE"


class AnswerDropped(BrokerError):
    """The broker held as many bytes as it may, so the answer was given up. The call happened.
    ResourceExhausted."""

    reason = "ANSWER_DROPPED"


class UpstreamTimeout(BrokerError):
    """The upstream did not answer in time, and repeating the call is safe. DeadlineExceeded."""

    reason = "UPSTREAM_TIMEOUT"


class UpstreamUnavailable(BrokerError):
    """The upstream could not be reached: nothing was sent. Unavailable."""

    reason = "UPSTREAM_UNAVAILABLE"


class StoreUnavailable(BrokerError):
    """The store cannot be reached: nothing was sent. Unavailable."""

    reason = "STORE_UNAVAILABLE"


class AuditUnavailable(BrokerError):
    """The call could not be recorded, so it was not made. Unavailable."""

    reason = "AUDIT_UNAVAILABLE"


class IssuerUnavailable(BrokerError):
    """The issuer of an ID token could not be asked for its keys: nothing was done. Unavailable."""

    reason = "ISSUER_UNAVAILABLE"


class OutcomeUnknown(BrokerError):
    """The call was sent, but its answer was lost: do not repeat it blindly. Unknown."""

    reason = "OUTCOME_UNKNOWN"


class Internal(BrokerError):
    """A fault of the broker; the invocation id finds it in the broker's log. Internal."""

    reason = "INTERNAL"


class StreamCut(OutcomeUnknown):
    """A streamed answer ended before it was complete. The call was made."""


BY_REASON: Mapping[str, type[BrokerError]] = {
    kind.reason: kind
    for kind in (
        SVIDMissing,
        SVIDInvalid,
        SVIDExpired,
        TaskKeyInvalid,
        TaskEnded,
        GrantMissing,
        GrantExpired,
        SeverityExceeded,
        ResourceNotGranted,
        DelegationWidens,
        ApprovalRequired,
        CallerNotAllowed,
        EgressDenied,
        ArgumentInvalid,
        ConnectorUnknown,
        ToolUnknown,
        TaskUnknown,
        CredentialUnknown,
        CredentialMissing,
        CredentialNeedsReconnect,
        ConnectorChanged,
        LimitReached,
        Conflict,
        RateLimited,
        ResponseTooLarge,
        AnswerDropped,
        UpstreamTimeout,
        UpstreamUnavailable,
        StoreUnavailable,
        AuditUnavailable,
        IssuerUnavailable,
        OutcomeUnknown,
        Internal,
    )
}
"""The class of each reason."""
