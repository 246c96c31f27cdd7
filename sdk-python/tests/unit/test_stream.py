"""Streamed answers: whole, or an error."""

from __future__ import annotations

import threading
import time

import grpc
import pytest
from conftest import cut_at_the_broker
from fakebroker import Refusal, data, end, head

import onedoor
from onedoor import errors
from onedoor.sse import Event, Parser
from onedoor.v1 import broker_pb2 as pb

Code = grpc.StatusCode
ENDED = Refusal(Code.UNAUTHENTICATED, "TASK_ENDED", "revoked")

STREAMS = {
    "whole": ([head(), data(b"ab"), data(b"c"), end(3)], None, b"abc", ""),
    "empty": ([head(), end(0)], None, b"", ""),
    "refused": ([], ENDED, b"", "TASK_ENDED"),
    "no event at all": ([], None, b"", "OUTCOME_UNKNOWN"),
    "no head": ([data(b"ab")], None, b"", "OUTCOME_UNKNOWN"),
    "an empty event": ([head(), pb.InvokeStreamResponse()], None, b"", "OUTCOME_UNKNOWN"),
    "no end": ([head(), data(b"ab")], None, b"ab", "OUTCOME_UNKNOWN"),
    "wrong length": ([head(), data(b"ab"), end(3)], None, b"ab", "OUTCOME_UNKNOWN"),
    "a second head": ([head(), head()], None, b"", "OUTCOME_UNKNOWN"),
    "more after the end": ([head(), end(0), data(b"x")], None, b"", "OUTCOME_UNKNOWN"),
    "a second end": ([head(), end(0), end(0)], None, b"", "OUTCOME_UNKNOWN"),
    "revoked midway": ([head(), data(b"ab")], ENDED, b"ab", "TASK_ENDED"),
    "cut midway": ([head(), data(b"ab")], Refusal(Code.UNAVAILABLE), b"ab", "OUTCOME_UNKNOWN"),
    "fails at the end": ([head(), end(0)], Refusal(Code.INTERNAL, "INTERNAL"), b"", "INTERNAL"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name, new_rig):
    events, last, body, reason = STREAMS[name]

    def answer(n, call):
        yield from events
        if last:
            raise last

    rig = new_rig(answer)
    got, caught, opened = b"", None, None
    try:
        opened = rig.client.stream("crm", "contacts.export")
        assert (opened.status, opened.content_type, opened.invocation_id) == (200, "text/plain", "i1")
        assert opened.ok
        for piece in opened:
            got += piece
    except onedoor.OnedoorError as e:
        caught = e
    assert got == body
    assert (caught.reason if caught else "") == reason
    if caught:
        assert caught.idempotency_key == rig.calls[0].request.idempotency_key
        assert caught.invocation_id == ("i1" if opened else "")
    assert len(rig.calls) == 1


def test_the_connection_breaks_midway(new_rig):
    rig = new_rig()

    def answer(n, call):
        yield head()
        yield data(b"ab")
        threading.Thread(target=rig.broker.close).start()
        time.sleep(30)

    rig.broker.answer = answer
    stream = rig.client.stream("crm", "contacts.export")
    with pytest.raises(errors.OutcomeUnknown) as e:
        stream.read()
    assert e.value.invocation_id == "i1"


def test_a_deadline_midway(new_rig):
    def answer(n, call):
        yield head()
        ended = threading.Event()
        call.context.add_callback(ended.set)
        ended.wait(30)

    rig = new_rig(answer)
    e = cut_at_the_broker(
        rig, lambda timeout: rig.client.stream("crm", "contacts.export", timeout=timeout).read()
    )
    assert isinstance(e, errors.OutcomeUnknown)
    assert isinstance(e.__cause__, onedoor.DeadlineExceeded)


@pytest.mark.parametrize("way", ["close", "break", "with"])
def test_a_stream_may_be_left(new_rig, way):
    ended = threading.Event()

    def answer(n, call):
        call.context.add_callback(ended.set)
        yield head()
        while call.context.is_active():
            yield data(b"x")

    rig = new_rig(answer)
    stream = rig.client.stream("crm", "contacts.export")
    if way == "close":
        stream.close()
    elif way == "break":
        for _ in stream:
            break
        stream.close()
    elif isinstance(stream, onedoor.Stream):
        with stream:
            pass
    else:
        rig.client._run(leave(stream._stream))
    assert ended.wait(20), "the broker hears of it"


async def leave(stream):
    async with stream:
        pass


def test_the_async_stream_is_awaited_or_entered(home):
    """What the rig does not show: the two spellings."""
    import asyncio

    from fakebroker import Broker
    from pki import BROKER, SANDBOX, Held

    broker = Broker(home, home.issue(BROKER), lambda n, call: [head(), data(b"data: a\n\n"), end(9)])

    async def run():
        source = Held(home.identity(home.issue(SANDBOX)))
        async with onedoor.AsyncClient(broker.addr, BROKER, identity=source) as client:
            async with client.stream("crm", "x") as stream:
                assert [e async for e in stream.events()] == [Event("a")]
            stream = await client.stream("crm", "x")
            assert [piece async for piece in stream] == [b"data: a\n\n"]
            assert await (await client.stream("crm", "x")).read() == b"data: a\n\n"

    asyncio.run(run())
    broker.close()


def test_a_slow_reader_slows_the_broker_down(new_rig):
    """What is not read stays with the broker: nothing on the way gathers it."""
    sent = 0

    def answer(n, call):
        nonlocal sent
        yield head()
        for _ in range(512):
            yield data(bytes(128 << 10))
            sent += 128 << 10
        yield end(64 << 20)

    rig = new_rig(answer)
    stream = rig.client.stream("crm", "files.get")
    last = -1
    while sent != last:  # until the broker stands still
        last = sent
        time.sleep(0.5)
    assert sent < 32 << 20
    assert len(stream.read()) == 64 << 20


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param("data: a\n\n", [Event("a")], id="one"),
        pytest.param("data: a\r\ndata:b\r\n\r\n", [Event("a\nb")], id="two lines, CR LF"),
        pytest.param("data: a\r\rdata: b\r\r", [Event("a"), Event("b")], id="CR"),
        pytest.param("\ufeffdata: a\n\n", [Event("a")], id="a byte order mark"),
        pytest.param(": comment\n\nevent: x\n\ndata: a\n\n", [Event("a")], id="nothing without data"),
        pytest.param(
            "event: x\nid: 7\nretry: 10\ndata:  é\n\ndata: b\n\n",
            [Event(" é", "x", "7", 10), Event("b", id="7")],
            id="all fields",
        ),
        pytest.param("id: 1\0\nretry: x\nother: y\ndata\n\n", [Event("")], id="what is ignored"),
        pytest.param("data: a", [], id="not complete"),
        pytest.param("data: a\n", [], id="not complete either"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events(text, events, size):
    raw, parser = text.encode(), Parser()
    pieces = [raw[i : i + size] for i in range(0, len(raw), size)]
    assert [e for piece in pieces for e in parser.feed(piece)] == events


def test_event_json():
    assert Event('{"a":1}').json() == {"a": 1}
