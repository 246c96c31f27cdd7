"""Call tools through a Onedoor broker: the secret an agent never holds.

    import onedoor

    with onedoor.Client() as client:
        answer = client.invoke("crm", "contacts.get", id="42")
        print(answer.json())

A caller proves who it is by its X.509-SVID, in mutual TLS 1.3, and in a sandbox by the key
of its task. It accepts exactly one SPIFFE ID as the broker. When its SVID rotates, new calls
go over a new connection while running ones end on the old.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onedoor import errors
    from onedoor.aio import AsyncClient, AsyncStream
    from onedoor.answer import Answer, Delegated, Explanation, Grant, Limits, Task, Tool
    from onedoor.client import Client, Stream
    from onedoor.errors import (
        BrokerError,
        BrokerUntrusted,
        ClientClosed,
        DeadlineExceeded,
        NoIdentity,
        NotConfigured,
        OnedoorError,
        OutcomeUnknown,
        StreamCut,
        TransportError,
    )
    from onedoor.identity import Identity, PEMFiles, Source
    from onedoor.sse import Event

_FROM = {
    "errors": "",
    "AsyncClient": "aio",
    "AsyncStream": "aio",
    "Answer": "answer",
    "Delegated": "answer",
    "Explanation": "answer",
    "Grant": "answer",
    "Limits": "answer",
    "Task": "answer",
    "Tool": "answer",
    "Client": "client",
    "Stream": "client",
    "BrokerError": "errors",
    "BrokerUntrusted": "errors",
    "ClientClosed": "errors",
    "DeadlineExceeded": "errors",
    "NoIdentity": "errors",
    "NotConfigured": "errors",
    "OnedoorError": "errors",
    "OutcomeUnknown": "errors",
    "StreamCut": "errors",
    "TransportError": "errors",
    "Identity": "identity",
    "PEMFiles": "identity",
    "Source": "identity",
    "Event": "sse",
}

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncStream",
    "BrokerError",
    "BrokerUntrusted",
    "Client",
    "ClientClosed",
    "DeadlineExceeded",
    "Delegated",
    "Event",
    "Explanation",
    "Grant",
    "Identity",
    "Limits",
    "NoIdentity",
    "NotConfigured",
    "OnedoorError",
    "OutcomeUnknown",
    "PEMFiles",
    "Source",
    "Stream",
    "StreamCut",
    "Task",
    "Tool",
    "TransportError",
    "errors",
]


def __getattr__(name: str) -> object:
    """Loads what is asked for: who verifies assertions loads no gRPC."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module("onedoor." + (_FROM[name] or name))
    found = getattr(module, name) if _FROM[name] else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
