import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from onedoor.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuditEvent(_message.Message):
    __slots__ = ("chain_id", "seq", "time", "kind", "broker_id", "invocation_id", "spiffe_id", "task_id", "key_id", "user_id", "agent", "connector", "revision", "tool", "resources", "severity", "grant_id", "credential_id", "credential_version", "decision", "reason", "outcome", "upstream_status", "request_bytes", "response_bytes", "duration_us", "count", "hash", "prev_hash", "peer", "auth_method", "detail")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BROKER_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_VERSION_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DURATION_US_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PREV_HASH_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    AUTH_METHOD_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    seq: int
    time: _timestamp_pb2.Timestamp
    kind: str
    broker_id: str
    invocation_id: str
    spiffe_id: str
    task_id: str
    key_id: str
    user_id: str
    agent: str
    connector: str
    revision: int
    tool: str
    resources: _containers.RepeatedScalarFieldContainer[str]
    severity: _task_pb2.Severity
    grant_id: str
    credential_id: str
    credential_version: int
    decision: str
    reason: str
    outcome: str
    upstream_status: int
    request_bytes: int
    response_bytes: int
    duration_us: int
    count: int
    hash: bytes
    prev_hash: bytes
    peer: str
    auth_method: str
    detail: str
    def __init__(self, chain_id: _Optional[str] = ..., seq: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., broker_id: _Optional[str] = ..., invocation_id: _Optional[str] = ..., spiffe_id: _Optional[str] = ..., task_id: _Optional[str] = ..., key_id: _Optional[str] = ..., user_id: _Optional[str] = ..., agent: _Optional[str] = ..., connector: _Optional[str] = ..., revision: _Optional[int] = ..., tool: _Optional[str] = ..., resources: _Optional[_Iterable[str]] = ..., severity: _Optional[_Union[_task_pb2.Severity, str]] = ..., grant_id: _Optional[str] = ..., credential_id: _Optional[str] = ..., credential_version: _Optional[int] = ..., decision: _Optional[str] = ..., reason: _Optional[str] = ..., outcome: _Optional[str] = ..., upstream_status: _Optional[int] = ..., request_bytes: _Optional[int] = ..., response_bytes: _Optional[int] = ..., duration_us: _Optional[int] = ..., count: _Optional[int] = ..., hash: _Optional[bytes] = ..., prev_hash: _Optional[bytes] = ..., peer: _Optional[str] = ..., auth_method: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class AuditListRequest(_message.Message):
    __slots__ = ("workspace", "task_id", "invocation_id", "system", "page_size", "page_token")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    task_id: str
    invocation_id: str
    system: bool
    page_size: int
    page_token: str
    def __init__(self, workspace: _Optional[str] = ..., task_id: _Optional[str] = ..., invocation_id: _Optional[str] = ..., system: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class AuditListResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AuditEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[AuditEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
