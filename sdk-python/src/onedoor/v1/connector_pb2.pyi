import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Connector(_message.Message):
    __slots__ = ("name", "revision", "sha256", "description", "kind", "origins", "tools", "applied_at", "applied_by", "withdrawn")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_AT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_BY_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    sha256: str
    description: str
    kind: str
    origins: _containers.RepeatedScalarFieldContainer[str]
    tools: _containers.RepeatedScalarFieldContainer[str]
    applied_at: _timestamp_pb2.Timestamp
    applied_by: str
    withdrawn: bool
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., sha256: _Optional[str] = ..., description: _Optional[str] = ..., kind: _Optional[str] = ..., origins: _Optional[_Iterable[str]] = ..., tools: _Optional[_Iterable[str]] = ..., applied_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., applied_by: _Optional[str] = ..., withdrawn: _Optional[bool] = ...) -> None: ...

class ConnectorsApplyRequest(_message.Message):
    __slots__ = ("workspace", "manifest")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    manifest: str
    def __init__(self, workspace: _Optional[str] = ..., manifest: _Optional[str] = ...) -> None: ...

class ConnectorsApplyResponse(_message.Message):
    __slots__ = ("connector", "changed")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    connector: Connector
    changed: bool
    def __init__(self, connector: _Optional[_Union[Connector, _Mapping]] = ..., changed: _Optional[bool] = ...) -> None: ...

class ConnectorsImportRequest(_message.Message):
    __slots__ = ("workspace", "document", "name", "origin", "include", "exclude")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    document: bytes
    name: str
    origin: str
    include: _containers.RepeatedScalarFieldContainer[str]
    exclude: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, workspace: _Optional[str] = ..., document: _Optional[bytes] = ..., name: _Optional[str] = ..., origin: _Optional[str] = ..., include: _Optional[_Iterable[str]] = ..., exclude: _Optional[_Iterable[str]] = ...) -> None: ...

class ConnectorsImportResponse(_message.Message):
    __slots__ = ("manifest", "findings", "operations", "tools")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    manifest: str
    findings: _containers.RepeatedCompositeFieldContainer[ImportFinding]
    operations: int
    tools: int
    def __init__(self, manifest: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[ImportFinding, _Mapping]]] = ..., operations: _Optional[int] = ..., tools: _Optional[int] = ...) -> None: ...

class ImportFinding(_message.Message):
    __slots__ = ("kind", "where", "what", "why")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ImportFinding.Kind]
        KIND_NOT_MAPPED: _ClassVar[ImportFinding.Kind]
        KIND_CHANGED: _ClassVar[ImportFinding.Kind]
        KIND_REVIEW: _ClassVar[ImportFinding.Kind]
    KIND_UNSPECIFIED: ImportFinding.Kind
    KIND_NOT_MAPPED: ImportFinding.Kind
    KIND_CHANGED: ImportFinding.Kind
    KIND_REVIEW: ImportFinding.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    kind: ImportFinding.Kind
    where: str
    what: str
    why: str
    def __init__(self, kind: _Optional[_Union[ImportFinding.Kind, str]] = ..., where: _Optional[str] = ..., what: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class ConnectorsGetRequest(_message.Message):
    __slots__ = ("workspace", "name", "revision")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    name: str
    revision: int
    def __init__(self, workspace: _Optional[str] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ConnectorsGetResponse(_message.Message):
    __slots__ = ("connector", "manifest")
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    connector: Connector
    manifest: str
    def __init__(self, connector: _Optional[_Union[Connector, _Mapping]] = ..., manifest: _Optional[str] = ...) -> None: ...

class ConnectorsListRequest(_message.Message):
    __slots__ = ("workspace",)
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    def __init__(self, workspace: _Optional[str] = ...) -> None: ...

class ConnectorsListResponse(_message.Message):
    __slots__ = ("connectors",)
    CONNECTORS_FIELD_NUMBER: _ClassVar[int]
    connectors: _containers.RepeatedCompositeFieldContainer[Connector]
    def __init__(self, connectors: _Optional[_Iterable[_Union[Connector, _Mapping]]] = ...) -> None: ...

class ConnectorsDeleteRequest(_message.Message):
    __slots__ = ("workspace", "name", "revision")
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    workspace: str
    name: str
    revision: int
    def __init__(self, workspace: _Optional[str] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ConnectorsDeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
