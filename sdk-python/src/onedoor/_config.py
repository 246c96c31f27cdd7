"""Which broker to talk to, and as whom: arguments first, then the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from spiffe import SpiffeId

from onedoor._secret import Hidden, hide, task_key
from onedoor.errors import NotConfigured
from onedoor.identity import Source

ENV_ADDR = "ONEDOOR_ADDR"
ENV_BROKER_ID = "ONEDOOR_BROKER_ID"
ENV_TASK_KEY = "ONEDOOR_TASK_KEY"
ENV_TASK_KEY_FILE = "ONEDOOR_TASK_KEY_FILE"
ENV_WORKLOAD_SOCKET = "SPIFFE_ENDPOINT_SOCKET"


@dataclass(frozen=True)
class Options:
    """What the two clients have in common, checked."""

    host: str
    port: int
    broker: SpiffeId
    key: Hidden | None = field(repr=False)
    socket: str
    source: Source | None
    startup_timeout: float
    timeout: float | None

    @property
    def addr(self) -> str:
        """The broker's address as it is shown."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def options(
    addr: str | None,
    broker_id: str | None,
    key: Hidden | None,
    key_file: str | os.PathLike[str] | None,
    socket: str | None,
    source: Source | None,
    startup_timeout: float,
    timeout: float | None,
) -> Options:
    """Completes the arguments from the environment and checks them."""
    host, port = _address(addr or os.environ.get(ENV_ADDR, ""))
    socket = socket or os.environ.get(ENV_WORKLOAD_SOCKET, "")
    if source is None and not socket:
        raise NotConfigured(f"the Workload API's address ({ENV_WORKLOAD_SOCKET}) is missing")
    if not startup_timeout > 0:
        raise NotConfigured("startup_timeout must be above 0")
    if timeout is not None and not timeout > 0:
        raise NotConfigured("timeout must be above 0, or None for no limit")
    return Options(
        host=host,
        port=port,
        broker=_broker(broker_id or os.environ.get(ENV_BROKER_ID, "")),
        key=_key(key, key_file),
        socket=socket,
        source=source,
        startup_timeout=startup_timeout,
        timeout=timeout,
    )


def _address(text: str) -> tuple[str, int]:
    if not text:
        raise NotConfigured(f"the broker's address ({ENV_ADDR}) is missing")
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise NotConfigured(f"the broker's address ({ENV_ADDR}) is not host:port: {text!r}")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise NotConfigured(f"the broker's address ({ENV_ADDR}) is not host:port: {text!r}")
    return host, int(port)


def _broker(text: str) -> SpiffeId:
    if not text:
        raise NotConfigured(
            f"the broker's SPIFFE ID ({ENV_BROKER_ID}) is missing; "
            "without it nobody can be told from the broker"
        )
    try:
        parsed = SpiffeId(text)
    except Exception as e:
        raise NotConfigured(f"the broker's SPIFFE ID ({ENV_BROKER_ID}): {e}") from None
    if not parsed.path or str(parsed) != text:
        raise NotConfigured(f"the broker's SPIFFE ID ({ENV_BROKER_ID}) is not spiffe://DOMAIN/PATH: {text!r}")
    return parsed


def _key(text: Hidden | None, file: str | os.PathLike[str] | None) -> Hidden | None:
    if text and file:
        raise NotConfigured("task_key and task_key_file are both given: which is meant?")
    if text:
        return task_key(text, "task_key")
    if file:
        return _read_key(file)
    text, file = hide(os.environ.get(ENV_TASK_KEY)), os.environ.get(ENV_TASK_KEY_FILE)
    if text and file:
        raise NotConfigured(f"{ENV_TASK_KEY} and {ENV_TASK_KEY_FILE} are both set: which is meant?")
    if text:
        return task_key(text, ENV_TASK_KEY)
    return _read_key(file) if file else None


def _read_key(file: str | os.PathLike[str]) -> Hidden:
    try:
        # As Latin-1 everything decodes: the error of another codec would quote the file.
        text = Hidden(Path(file).read_bytes().decode("latin-1").strip())
    except (OSError, ValueError) as e:  # ValueError: what is no path
        why = e.strerror if isinstance(e, OSError) else str(e)
        raise NotConfigured(f"the task key's file {os.fspath(file)}: {why}") from None
    return task_key(text, os.fspath(file))
