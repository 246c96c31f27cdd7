"""Closing and cancelling while calls run."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest
from fakebroker import default, hang
from pki import BROKER

import onedoor
from onedoor import errors


def test_closing_ends_running_calls(new_rig):
    arrived = threading.Event()

    def answer(n, call):
        arrived.set()
        return hang(n, call)

    rig = new_rig(answer)
    caught = []

    def run():
        try:
            rig.client.invoke("crm", "contacts.create")
        except BaseException as e:
            caught.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    assert arrived.wait(10)
    if isinstance(rig.client, onedoor.Client):
        rig.client.close()
    else:
        rig.client._run(rig.client._client.close())
    thread.join(10)
    if sys.version_info >= (3, 11) or isinstance(rig.client, onedoor.Client):
        assert isinstance(caught[0], errors.OutcomeUnknown)
    else:  # there asyncio does not tell whose cancellation it is
        assert "CancelledError" in type(caught[0]).__name__
    with pytest.raises(onedoor.ClientClosed):
        rig.client.invoke("crm", "contacts.create")
    assert len(rig.calls) == 1


def test_cancelling_a_task(home):
    """Asyncio's own word is passed on, and the broker hears of it."""
    from fakebroker import Broker
    from pki import SANDBOX, Held

    arrived, ended = threading.Event(), threading.Event()

    def answer(n, call):
        call.context.add_callback(ended.set)
        arrived.set()
        ended.wait(30)
        return default(call)

    async def run():
        source = Held(home.identity(home.issue(SANDBOX)))
        async with onedoor.AsyncClient(broker.addr, BROKER, identity=source) as client:
            task = asyncio.create_task(client.invoke("crm", "contacts.create"))
            assert await asyncio.to_thread(arrived.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(ended.wait, 20)

    broker = Broker(home, home.issue(BROKER), answer)
    asyncio.run(run())
    broker.close()
    assert len(broker.calls) == 1


def test_closing_is_not_undone_by_a_cancellation(home):
    """What was begun goes on, and who closes again waits for it."""
    from fakebroker import Broker
    from pki import SANDBOX, Held

    def threads():
        return [t for t in threading.enumerate() if t.name.startswith("onedoor-")]

    async def run():
        source = Held(home.identity(home.issue(SANDBOX)))
        client = onedoor.AsyncClient(broker.addr, BROKER, identity=source)
        await client.tools()
        assert threads()
        closing = asyncio.create_task(client.close())
        while not client._closed:
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await client.close()
        assert not threads()

    broker = Broker(home, home.issue(BROKER))
    asyncio.run(run())
    broker.close()
