import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_READ: _ClassVar[Severity]
    SEVERITY_WRITE: _ClassVar[Severity]
    SEVERITY_DESTRUCTIVE: _ClassVar[Severity]
    SEVERITY_ADMIN: _ClassVar[Severity]

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_PENDING: _ClassVar[TaskState]
    TASK_STATE_ACTIVE: _ClassVar[TaskState]
    TASK_STATE_ENDED: _ClassVar[TaskState]
    TASK_STATE_REVOKED: _ClassVar[TaskState]
    TASK_STATE_EXPIRED: _ClassVar[TaskState]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_READ: Severity
SEVERITY_WRITE: Severity
SEVERITY_DESTRUCTIVE: Severity
SEVERITY_ADMIN: Severity
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_PENDING: TaskState
TASK_STATE_ACTIVE: TaskState
TASK_STATE_ENDED: TaskState
TASK_STATE_REVOKED: TaskState
TASK_STATE_EXPIRED: TaskState

class Limits(_message.Message):
    __slots__ = ("calls", "bytes", "rows", "tokens", "micro_usd")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    MICRO_USD_FIELD_NUMBER: _ClassVar[int]
    calls: int
    bytes: int
    rows: int
    tokens: int
    micro_usd: int
    def __init__(self, calls: _Optional[int] = ..., bytes: _Optional[int] = ..., rows: _Optional[int] = ..., tokens: _Optional[int] = ..., micro_usd: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("id", "connector", "revision", "tools", "max_severity", "resources", "limits", "expires_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    MAX_SEVERITY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    connector: str
    revision: int
    tools: _containers.RepeatedScalarFieldContainer[str]
    max_severity: Severity
    resources: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., connector: _Optional[str] = ..., revision: _Optional[int] = ..., tools: _Optional[_Iterable[str]] = ..., max_severity: _Optional[_Union[Severity, str]] = ..., resources: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "workspace", "agent", "user_id", "user_subject", "user_issuer", "sandbox", "state", "grants", "created_at", "expires_at", "ended_at", "created_by", "key_id", "parent_id", "root_id", "delegates", "depth")
    ID_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    USER_ISSUER_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_ID_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    id: str
    workspace: str
    agent: str
    user_id: str
    user_subject: str
    user_issuer: str
    sandbox: str
    state: TaskState
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    created_by: str
    key_id: str
    parent_id: str
    root_id: str
    delegates: _containers.RepeatedScalarFieldContainer[str]
    depth: int
    def __init__(self, id: _Optional[str] = ..., workspace: _Optional[str] = ..., agent: _Optional[str] = ..., user_id: _Optional[str] = ..., user_subject: _Optional[str] = ..., user_issuer: _Optional[str] = ..., sandbox: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., key_id: _Optional[str] = ..., parent_id: _Optional[str] = ..., root_id: _Optional[str] = ..., delegates: _Optional[_Iterable[str]] = ..., depth: _Optional[int] = ...) -> None: ...

class TasksCreateRequest(_message.Message):
    __slots__ = ("workspace", "agent", "user", "sandbox", "grants", "ttl", "delegates", "id_token", "id_token_nonce")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    ID_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ID_TOKEN_NONCE_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    agent: str
    user: str
    sandbox: str
    grants: _containers.RepeatedScalarFieldContainer[str]
    ttl: _duration_pb2.Duration
    delegates: _containers.RepeatedScalarFieldContainer[str]
    id_token: str
    id_token_nonce: str
    def __init__(self, workspace: _Optional[str] = ..., agent: _Optional[str] = ..., user: _Optional[str] = ..., sandbox: _Optional[str] = ..., grants: _Optional[_Iterable[str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., delegates: _Optional[_Iterable[str]] = ..., id_token: _Optional[str] = ..., id_token_nonce: _Optional[str] = ...) -> None: ...

class TasksCreateResponse(_message.Message):
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
    task: Task
    def __init__(self, task_key: _Optional[str] = ..., task_id: _Optional[str] = ..., key_id: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class TasksGetRequest(_message.Message):
    __slots__ = ("workspace", "task_id")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    task_id: str
    def __init__(self, workspace: _Optional[str] = ..., task_id: _Optional[str] = ...) -> None: ...

class TasksGetResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class TasksListRequest(_message.Message):
    __slots__ = ("workspace", "active_only", "page_size", "page_token", "root_id")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ROOT_ID_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    active_only: bool
    page_size: int
    page_token: str
    root_id: str
    def __init__(self, workspace: _Optional[str] = ..., active_only: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., root_id: _Optional[str] = ...) -> None: ...

class TasksListResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TasksRevokeRequest(_message.Message):
    __slots__ = ("workspace", "task_id")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    task_id: str
    def __init__(self, workspace: _Optional[str] = ..., task_id: _Optional[str] = ...) -> None: ...

class TasksRevokeResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...
