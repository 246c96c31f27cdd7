import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from onedoor.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InvokeRequest(_message.Message):
    __slots__ = ("connector", "tool", "arguments_json", "idempotency_key")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    connector: str
    tool: str
    arguments_json: bytes
    idempotency_key: str
    def __init__(self, connector: _Optional[str] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class InvokeResponse(_message.Message):
    __slots__ = ("invocation_id", "status", "headers", "content_type", "body")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    invocation_id: str
    status: int
    headers: _containers.ScalarMap[str, str]
    content_type: str
    body: bytes
    def __init__(self, invocation_id: _Optional[str] = ..., status: _Optional[int] = ..., headers: _Optional[_Mapping[str, str]] = ..., content_type: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class InvokeStreamRequest(_message.Message):
    __slots__ = ("connector", "tool", "arguments_json", "idempotency_key")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    connector: str
    tool: str
    arguments_json: bytes
    idempotency_key: str
    def __init__(self, connector: _Optional[str] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class InvokeStreamResponse(_message.Message):
    __slots__ = ("head", "data", "end")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    head: InvokeStreamHead
    data: bytes
    end: InvokeStreamEnd
    def __init__(self, head: _Optional[_Union[InvokeStreamHead, _Mapping]] = ..., data: _Optional[bytes] = ..., end: _Optional[_Union[InvokeStreamEnd, _Mapping]] = ...) -> None: ...

class InvokeStreamHead(_message.Message):
    __slots__ = ("invocation_id", "status", "headers", "content_type")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    invocation_id: str
    status: int
    headers: _containers.ScalarMap[str, str]
    content_type: str
    def __init__(self, invocation_id: _Optional[str] = ..., status: _Optional[int] = ..., headers: _Optional[_Mapping[str, str]] = ..., content_type: _Optional[str] = ...) -> None: ...

class InvokeStreamEnd(_message.Message):
    __slots__ = ("body_bytes",)
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    body_bytes: int
    def __init__(self, body_bytes: _Optional[int] = ...) -> None: ...

class RelayRequest(_message.Message):
    __slots__ = ("connector", "method", "path", "query", "body", "content_type", "idempotency_key")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    connector: str
    method: str
    path: str
    query: str
    body: bytes
    content_type: str
    idempotency_key: str
    def __init__(self, connector: _Optional[str] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., query: _Optional[str] = ..., body: _Optional[bytes] = ..., content_type: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class RelayResponse(_message.Message):
    __slots__ = ("head", "data", "end")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    head: InvokeStreamHead
    data: bytes
    end: InvokeStreamEnd
    def __init__(self, head: _Optional[_Union[InvokeStreamHead, _Mapping]] = ..., data: _Optional[bytes] = ..., end: _Optional[_Union[InvokeStreamEnd, _Mapping]] = ...) -> None: ...

class ListToolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListToolsResponse(_message.Message):
    __slots__ = ("tools",)
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    def __init__(self, tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("connector", "name", "description", "severity", "arguments_schema", "resources", "granted_resources", "idempotent", "function_name")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    GRANTED_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    connector: str
    name: str
    description: str
    severity: _task_pb2.Severity
    arguments_schema: str
    resources: _containers.RepeatedScalarFieldContainer[str]
    granted_resources: _containers.RepeatedScalarFieldContainer[str]
    idempotent: bool
    function_name: str
    def __init__(self, connector: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., severity: _Optional[_Union[_task_pb2.Severity, str]] = ..., arguments_schema: _Optional[str] = ..., resources: _Optional[_Iterable[str]] = ..., granted_resources: _Optional[_Iterable[str]] = ..., idempotent: _Optional[bool] = ..., function_name: _Optional[str] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("connector", "tool", "arguments_json")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    connector: str
    tool: str
    arguments_json: bytes
    def __init__(self, connector: _Optional[str] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[bytes] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("allowed", "grant_id", "reason", "explanation", "severity", "resources")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    grant_id: str
    reason: str
    explanation: str
    severity: _task_pb2.Severity
    resources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed: _Optional[bool] = ..., grant_id: _Optional[str] = ..., reason: _Optional[str] = ..., explanation: _Optional[str] = ..., severity: _Optional[_Union[_task_pb2.Severity, str]] = ..., resources: _Optional[_Iterable[str]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class DelegateTaskRequest(_message.Message):
    __slots__ = ("agent", "sandbox", "grants", "ttl", "delegates")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    agent: str
    sandbox: str
    grants: _containers.RepeatedScalarFieldContainer[str]
    ttl: _duration_pb2.Duration
    delegates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent: _Optional[str] = ..., sandbox: _Optional[str] = ..., grants: _Optional[_Iterable[str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., delegates: _Optional[_Iterable[str]] = ...) -> None: ...

class DelegateTaskResponse(_message.Message):
    __slots__ = ("task_key", "task_id", "key_id", "expires_at", "task")
    TASK_KEY_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    task_key: str
    task_id: str
    key_id: str
    expires_at: _timestamp_pb2.Timestamp
    task: _task_pb2.Task
    def __init__(self, task_key: _Optional[str] = ..., task_id: _Optional[str] = ..., key_id: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class EndDelegatedTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class EndDelegatedTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...
