"""Makes the calls of a case file through the Python SDK: reads one a line, and answers each.

The first argument is sync or asyncio, the second invoke or stream.
"""

import asyncio
import json
import sys
import uuid

import onedoor
import onedoor.aio


def of_answer(status: int, body: bytes) -> dict:
    return {"Status": status, "Body": body.decode()}


def of_error(e: onedoor.OnedoorError) -> dict:
    return {"Reason": e.reason, "Code": e.code.name}


def call(c: dict, way: str) -> dict:
    once = str(uuid.uuid4())  # a key of our own: nothing is tried again, which would stand in the trail
    try:
        with onedoor.Client(task_key=c["Key"]) as client:
            if way == "invoke":
                answer = client.invoke(c["Connector"], c["Tool"], c["Arguments"], idempotency_key=once)
                return of_answer(answer.status, answer.body)
            with client.stream(c["Connector"], c["Tool"], c["Arguments"], idempotency_key=once) as stream:
                return of_answer(stream.status, b"".join(stream))
    except onedoor.OnedoorError as e:
        return of_error(e)


async def call_async(c: dict, way: str) -> dict:
    once = str(uuid.uuid4())
    try:
        async with onedoor.AsyncClient(task_key=c["Key"]) as client:
            if way == "invoke":
                answer = await client.invoke(c["Connector"], c["Tool"], c["Arguments"], idempotency_key=once)
                return of_answer(answer.status, answer.body)
            async with client.stream(c["Connector"], c["Tool"], c["Arguments"], idempotency_key=once) as stream:
                return of_answer(stream.status, b"".join([piece async for piece in stream]))
    except onedoor.OnedoorError as e:
        return of_error(e)


for line in sys.stdin:
    case = json.loads(line)
    if sys.argv[1] == "sync":
        got = call(case, sys.argv[2])
    else:
        got = asyncio.run(call_async(case, sys.argv[2]))
    print(json.dumps(got), flush=True)
