import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CredentialState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CREDENTIAL_STATE_UNSPECIFIED: _ClassVar[CredentialState]
    CREDENTIAL_STATE_CONNECTED: _ClassVar[CredentialState]
    CREDENTIAL_STATE_NEEDS_RECONNECT: _ClassVar[CredentialState]
    CREDENTIAL_STATE_OUTDATED: _ClassVar[CredentialState]
CREDENTIAL_STATE_UNSPECIFIED: CredentialState
CREDENTIAL_STATE_CONNECTED: CredentialState
CREDENTIAL_STATE_NEEDS_RECONNECT: CredentialState
CREDENTIAL_STATE_OUTDATED: CredentialState

class Credential(_message.Message):
    __slots__ = ("id", "connector", "slot", "user_id", "user_subject", "kind", "version", "created_at", "created_by", "origins", "user_issuer", "state", "state_reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    USER_ISSUER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    connector: str
    slot: str
    user_id: str
    user_subject: str
    kind: str
    version: int
    created_at: _timestamp_pb2.Timestamp
    created_by: str
    origins: _containers.RepeatedScalarFieldContainer[str]
    user_issuer: str
    state: CredentialState
    state_reason: str
    def __init__(self, id: _Optional[str] = ..., connector: _Optional[str] = ..., slot: _Optional[str] = ..., user_id: _Optional[str] = ..., user_subject: _Optional[str] = ..., kind: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., origins: _Optional[_Iterable[str]] = ..., user_issuer: _Optional[str] = ..., state: _Optional[_Union[CredentialState, str]] = ..., state_reason: _Optional[str] = ...) -> None: ...

class CredentialsPutRequest(_message.Message):
    __slots__ = ("workspace", "connector", "slot", "user", "workspace_owned", "secret", "issuer")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_OWNED_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    connector: str
    slot: str
    user: str
    workspace_owned: bool
    secret: bytes
    issuer: str
    def __init__(self, workspace: _Optional[str] = ..., connector: _Optional[str] = ..., slot: _Optional[str] = ..., user: _Optional[str] = ..., workspace_owned: _Optional[bool] = ..., secret: _Optional[bytes] = ..., issuer: _Optional[str] = ...) -> None: ...

class CredentialsPutResponse(_message.Message):
    __slots__ = ("credential",)
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    credential: Credential
    def __init__(self, credential: _Optional[_Union[Credential, _Mapping]] = ...) -> None: ...

class CredentialsConnectRequest(_message.Message):
    __slots__ = ("workspace", "connector", "slot", "user", "issuer")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    connector: str
    slot: str
    user: str
    issuer: str
    def __init__(self, workspace: _Optional[str] = ..., connector: _Optional[str] = ..., slot: _Optional[str] = ..., user: _Optional[str] = ..., issuer: _Optional[str] = ...) -> None: ...

class CredentialsConnectResponse(_message.Message):
    __slots__ = ("link", "expires_at")
    LINK_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    link: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, link: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CredentialsListRequest(_message.Message):
    __slots__ = ("workspace", "connector")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    connector: str
    def __init__(self, workspace: _Optional[str] = ..., connector: _Optional[str] = ...) -> None: ...

class CredentialsListResponse(_message.Message):
    __slots__ = ("credentials",)
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    credentials: _containers.RepeatedCompositeFieldContainer[Credential]
    def __init__(self, credentials: _Optional[_Iterable[_Union[Credential, _Mapping]]] = ...) -> None: ...

class CredentialsDeleteRequest(_message.Message):
    __slots__ = ("workspace", "credential_id")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    credential_id: str
    def __init__(self, workspace: _Optional[str] = ..., credential_id: _Optional[str] = ...) -> None: ...

class CredentialsDeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
