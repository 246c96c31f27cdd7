import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UsageGroup(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_GROUP_UNSPECIFIED: _ClassVar[UsageGroup]
    USAGE_GROUP_USER: _ClassVar[UsageGroup]
    USAGE_GROUP_AGENT: _ClassVar[UsageGroup]
    USAGE_GROUP_TASK: _ClassVar[UsageGroup]
    USAGE_GROUP_MODEL: _ClassVar[UsageGroup]
    USAGE_GROUP_CONNECTOR: _ClassVar[UsageGroup]
    USAGE_GROUP_DAY: _ClassVar[UsageGroup]
USAGE_GROUP_UNSPECIFIED: UsageGroup
USAGE_GROUP_USER: UsageGroup
USAGE_GROUP_AGENT: UsageGroup
USAGE_GROUP_TASK: UsageGroup
USAGE_GROUP_MODEL: UsageGroup
USAGE_GROUP_CONNECTOR: UsageGroup
USAGE_GROUP_DAY: UsageGroup

class UsageSummarizeRequest(_message.Message):
    __slots__ = ("workspace", "since", "until", "group_by", "user", "issuer", "user_id", "agent", "task_id", "connector", "model")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    group_by: _containers.RepeatedScalarFieldContainer[UsageGroup]
    user: str
    issuer: str
    user_id: str
    agent: str
    task_id: str
    connector: str
    model: str
    def __init__(self, workspace: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., group_by: _Optional[_Iterable[_Union[UsageGroup, str]]] = ..., user: _Optional[str] = ..., issuer: _Optional[str] = ..., user_id: _Optional[str] = ..., agent: _Optional[str] = ..., task_id: _Optional[str] = ..., connector: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class UsageSum(_message.Message):
    __slots__ = ("user_id", "user_subject", "user_issuer", "agent", "task_id", "model", "connector", "day", "calls", "estimated_calls", "unpriced_calls", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "micro_usd")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    USER_ISSUER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_CALLS_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_CALLS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MICRO_USD_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    user_subject: str
    user_issuer: str
    agent: str
    task_id: str
    model: str
    connector: str
    day: str
    calls: int
    estimated_calls: int
    unpriced_calls: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    micro_usd: int
    def __init__(self, user_id: _Optional[str] = ..., user_subject: _Optional[str] = ..., user_issuer: _Optional[str] = ..., agent: _Optional[str] = ..., task_id: _Optional[str] = ..., model: _Optional[str] = ..., connector: _Optional[str] = ..., day: _Optional[str] = ..., calls: _Optional[int] = ..., estimated_calls: _Optional[int] = ..., unpriced_calls: _Optional[int] = ..., input_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., micro_usd: _Optional[int] = ...) -> None: ...

class UsageSummarizeResponse(_message.Message):
    __slots__ = ("sums", "more")
    SUMS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    sums: _containers.RepeatedCompositeFieldContainer[UsageSum]
    more: bool
    def __init__(self, sums: _Optional[_Iterable[_Union[UsageSum, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...
