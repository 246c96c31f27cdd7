import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyPurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_PURPOSE_UNSPECIFIED: _ClassVar[KeyPurpose]
    KEY_PURPOSE_KEK: _ClassVar[KeyPurpose]
    KEY_PURPOSE_PEPPER: _ClassVar[KeyPurpose]
    KEY_PURPOSE_AUDIT: _ClassVar[KeyPurpose]
    KEY_PURPOSE_ASSERTION: _ClassVar[KeyPurpose]

class KeyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_STATE_UNSPECIFIED: _ClassVar[KeyState]
    KEY_STATE_PENDING: _ClassVar[KeyState]
    KEY_STATE_ACTIVE: _ClassVar[KeyState]
    KEY_STATE_RETIRED: _ClassVar[KeyState]
KEY_PURPOSE_UNSPECIFIED: KeyPurpose
KEY_PURPOSE_KEK: KeyPurpose
KEY_PURPOSE_PEPPER: KeyPurpose
KEY_PURPOSE_AUDIT: KeyPurpose
KEY_PURPOSE_ASSERTION: KeyPurpose
KEY_STATE_UNSPECIFIED: KeyState
KEY_STATE_PENDING: KeyState
KEY_STATE_ACTIVE: KeyState
KEY_STATE_RETIRED: KeyState

class Key(_message.Message):
    __slots__ = ("id", "purpose", "state", "created_at", "activated_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    purpose: KeyPurpose
    state: KeyState
    created_at: _timestamp_pb2.Timestamp
    activated_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., purpose: _Optional[_Union[KeyPurpose, str]] = ..., state: _Optional[_Union[KeyState, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., activated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class KeysListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeysListResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ...) -> None: ...

class KeysRotateRequest(_message.Message):
    __slots__ = ("purpose", "emergency")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    EMERGENCY_FIELD_NUMBER: _ClassVar[int]
    purpose: KeyPurpose
    emergency: bool
    def __init__(self, purpose: _Optional[_Union[KeyPurpose, str]] = ..., emergency: _Optional[bool] = ...) -> None: ...

class KeysRotateResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ...) -> None: ...
