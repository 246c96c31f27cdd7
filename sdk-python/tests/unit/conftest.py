"""One broker and both clients: most tests run with each."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fakebroker import Answer, Broker
from pki import BROKER, SANDBOX, Authority, Held

import onedoor

KEY = "od1t_SECRETsecretSECRETsecret_0123"


class Blocking:
    """AsyncClient, to be used as Client is: it lives in an event loop of its own."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = self._run(self._make(options))

    async def _make(self, options: dict[str, Any]) -> onedoor.AsyncClient:
        return onedoor.AsyncClient(**options)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_await(coroutine), self._loop).result()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            async def run() -> Any:
                return await getattr(self._client, name)(*args, **named)

            result = self._run(run())
            return BlockingStream(self, result) if isinstance(result, onedoor.AsyncStream) else result

        return call

    def close(self) -> None:
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingStream:
    """AsyncStream, to be used as Stream is."""

    def __init__(self, client: Blocking, stream: onedoor.AsyncStream) -> None:
        self._owner, self._stream = client, stream

    def __iter__(self) -> Iterator[Any]:
        return self._walk(self._stream.__aiter__())

    def events(self) -> Iterator[Any]:
        return self._walk(self._stream.events())

    def _walk(self, source: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._owner._run(source.__anext__())
            except StopAsyncIteration:
                return

    def close(self) -> None:
        self._owner._loop.call_soon_threadsafe(self._stream.close)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args: self._owner._run(found(*args))


async def _await(it: Any) -> Any:
    return await it


@pytest.fixture(scope="session")
def home() -> Authority:
    return Authority()


class Rig:
    """A broker and a client of it."""

    def __init__(self, home: Authority, kind: str, answer: Answer | None, **options: Any) -> None:
        # The broker's SVID has no DNS name, as SPIFFE intends.
        self.broker = Broker(home, home.issue(BROKER), answer)
        self.source = Held(home.identity(home.issue(SANDBOX)))
        self.client = make(kind, **{**self.options(), **options})

    def options(self) -> dict[str, Any]:
        return {"addr": self.broker.addr, "broker_id": BROKER, "task_key": KEY, "identity": self.source}

    @property
    def calls(self) -> list[Any]:
        return self.broker.calls

    def close(self) -> None:
        self.client.close()
        self.broker.close()


def make(kind: str, **options: Any) -> Any:
    return onedoor.Client(**options) if kind == "sync" else Blocking(**options)


@pytest.fixture(params=["sync", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_rig(home: Authority, kind: str) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def new(answer: Answer | None = None, **options: Any) -> Rig:
        rigs.append(Rig(home, kind, answer, **options))
        return rigs[-1]

    yield new
    for rig in rigs:
        rig.close()


def cut_at_the_broker(rig: Rig, call: Callable[[float], Any]) -> onedoor.OnedoorError:
    """What the caller hears when its time is over while the broker works. On a busy machine
    a short time may be over before the broker has the call: such a try says nothing here,
    and the next has more."""
    for timeout in (0.5, 5, 25):
        with pytest.raises(onedoor.OnedoorError) as caught:
            call(timeout)
        if rig.calls:
            return caught.value
    pytest.fail("no call reached the broker within 25 s")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDR", "BROKER_ID", "TASK_KEY", "TASK_KEY_FILE"):
        monkeypatch.delenv("ONEDOOR_" + name, raising=False)
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
