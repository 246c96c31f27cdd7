"""The identity from a Workload API that is late, restarts, or says no."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from conftest import make
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakebroker import Broker
from pki import BROKER, SANDBOX, Authority
from spiffe._proto import workload_pb2 as w
from test_rotation import eventually

import onedoor
from onedoor._workload import WorkloadSource


class Workload:
    """A Workload API on a unix socket. refuse is how many questions get "no identity"; after
    each SVID that it sends it waits for `again`, or ends in good order if `ends` is set."""

    def __init__(self, home: Authority, path: Path, refuse: int = 0, life: float = 3600) -> None:
        self.home, self.path, self.refuse, self.life, self.ends = home, path, refuse, life, False
        self.asked = 0
        self.again = threading.Event()
        self.closed = False
        self.address = f"unix://{path}"
        self.start()

    def start(self) -> None:
        self.closed = False
        self.pool = ThreadPoolExecutor(8)
        self.server = grpc.server(self.pool)
        handler = grpc.unary_stream_rpc_method_handler(
            self.answer, w.X509SVIDRequest.FromString, w.X509SVIDResponse.SerializeToString
        )
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", {"FetchX509SVID": handler}),)
        )
        self.server.add_insecure_port(self.address)
        self.server.start()

    def answer(self, _: w.X509SVIDRequest, context: grpc.ServicerContext) -> Iterator[w.X509SVIDResponse]:
        self.asked += 1
        if self.asked <= self.refuse:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
        while True:
            svid = self.home.issue(SANDBOX, life=self.life, begins=0)
            key = svid.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            bundle = self.home.own.cert.public_bytes(Encoding.DER)
            cert = svid.cert.public_bytes(Encoding.DER)
            yield w.X509SVIDResponse(
                svids=[w.X509SVID(spiffe_id=SANDBOX, x509_svid=cert, x509_svid_key=key, bundle=bundle)]
            )
            if self.ends:
                return
            while not self.again.wait(0.02):
                if self.closed or not context.is_active():
                    return
            self.again.clear()

    def close(self) -> None:
        self.closed = True
        self.server.stop(0).wait()
        self.pool.shutdown()


@pytest.fixture
def workload(home) -> Iterator:
    apis = []
    with tempfile.TemporaryDirectory(prefix="od") as folder:

        def start(**options):
            apis.append(Workload(home, Path(folder) / "api.sock", **options))
            return apis[-1]

        yield start
        for api in apis:
            api.close()


@pytest.fixture
def broker(home) -> Iterator[Broker]:
    broker = Broker(home, home.issue(BROKER))
    yield broker
    broker.close()


def test_no_identity_issued_at_first(workload, broker, kind):
    api = workload(refuse=3)
    client = make(kind, addr=broker.addr, broker_id=BROKER, workload_socket=api.address)
    client.task()
    client.close()
    assert api.asked >= 4


def test_it_pushes_a_new_one(workload, broker, kind):
    api = workload()
    client = make(kind, addr=broker.addr, broker_id=BROKER, workload_socket=api.address)
    client.task()
    source = getattr(client, "_client", client)._own_source
    before = source.identity().generation
    api.again.set()
    eventually(lambda: source.identity().generation != before)
    client.task()
    client.close()
    assert len({c.peer for c in broker.calls}) == 2


def test_it_restarts(workload):
    api = workload()
    source = WorkloadSource(api.address, 10)
    before = source.identity().generation
    api.close()
    assert source.identity().generation == before, "the last one stays in use"
    api.start()
    eventually(lambda: source.identity().generation != before)
    source.close()


def test_it_ends_the_stream_in_good_order(workload):
    """The SVID is asked for anew before it expires, though nothing was said."""
    api = workload(life=6)
    api.ends = True
    source = WorkloadSource(api.address, 10)
    before = source.identity().generation
    eventually(lambda: source.identity().generation != before)
    source.close()


def ask(kind, address) -> None:
    """Client waits for its identity in the constructor, AsyncClient in the first call."""
    client = make(kind, addr="127.0.0.1:1", broker_id=BROKER, workload_socket=address, startup_timeout=3)
    client.task()


def test_no_identity_in_time(workload, kind):
    api = workload(refuse=10**9)
    with pytest.raises(onedoor.NoIdentity, match="issued none to this process"):
        ask(kind, api.address)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("unix:///nowhere/api.sock", onedoor.NoIdentity, "nobody listens there"),
        ("tcp://127.0.0.1:1", onedoor.NotConfigured, "unix:///PATH"),
        ("nonsense", onedoor.NotConfigured, "unix:///PATH"),
    ],
)
def test_no_workload_api(address, error, message, kind):
    with pytest.raises(error, match=message):
        ask(kind, address)


def test_nobody_listens_at_the_socket():
    """That is said at once, and not waited out like a Workload API that is late."""
    with tempfile.TemporaryDirectory(prefix="od") as folder:
        gone = socket.socket(socket.AF_UNIX)
        gone.bind(f"{folder}/api.sock")
        gone.close()
        with pytest.raises(onedoor.NoIdentity, match="nobody listens there"):
            WorkloadSource(f"unix://{folder}/api.sock", 3600)


def test_closing_leaves_no_thread(workload):
    api = workload()
    source = WorkloadSource(api.address, 10)
    source.close()
    source.close()
    assert not [t for t in threading.enumerate() if t.name == "onedoor-svid"]


def test_cancelled_calls_leave_nothing_behind(workload, broker):
    """A thread that asks cannot be stopped: the next call waits for the same one, and what it
    brings is closed in the end."""
    api = workload(refuse=4)

    async def hasty(client):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.tools(), 0.05)

    async def run():
        client = onedoor.AsyncClient(broker.addr, BROKER, workload_socket=api.address)
        for _ in range(3):
            await hasty(client)
        assert await client.tools() == []
        assert len(sources()) == 1
        await client.close()

    asyncio.run(run())
    assert not sources()


@pytest.mark.parametrize("kind", ["entry", "closing"])
def test_cancelled_before_there_is_an_identity(workload, kind):
    api = workload(refuse=4)

    async def run():
        client = onedoor.AsyncClient("127.0.0.1:1", BROKER, workload_socket=api.address)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.__aenter__() if kind == "entry" else client.tools(), 0.05)
        if kind == "closing":
            await client.close()
        with pytest.raises(onedoor.ClientClosed):
            await client.tools()
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(run())
    assert api.asked > 4, "nothing came that could have been left behind"
    assert not sources()


def sources():
    return [t for t in threading.enumerate() if t.name == "onedoor-svid"]
