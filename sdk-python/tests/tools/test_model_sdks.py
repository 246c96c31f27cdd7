"""Loops with the providers' own SDKs, against a server that asks for calls as the providers do."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from tools_kit import GET, Answer, AsyncClient, Client, OnedoorError

from onedoor.tools import AsyncToolbox, Toolbox

NAME = GET.function_name


class Model:
    """Asks at first for two calls, of which the second is not granted; then says what it was told of them."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        return {
            "/chat/completions": self._chat,
            "/responses": self._responses,
            "/v1/messages": self._messages,
        }[path](asked)

    def _chat(self, asked: dict[str, Any]) -> dict[str, Any]:
        told = [m["content"] for m in asked["messages"] if m["role"] == "tool"]
        calls = [
            {"id": f"call_{i}", "type": "function", "function": {"name": NAME, "arguments": f'{{"id": {i}}}'}}
            for i in (1, 3)
        ]
        message = {"role": "assistant", "content": " | ".join(told)}
        if not told:
            message = {"role": "assistant", "content": None, "tool_calls": calls}  # type: ignore[dict-item]
        choice = {"index": 0, "finish_reason": "stop" if told else "tool_calls", "message": message}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    def _responses(self, asked: dict[str, Any]) -> dict[str, Any]:
        told = [item["output"] for item in asked["input"] if item.get("type") == "function_call_output"]
        text = {"type": "output_text", "text": " | ".join(told), "annotations": []}
        output: list[dict[str, Any]] = [
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
        ]
        if not told:
            output = [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                *(
                    {
                        "type": "function_call",
                        "id": f"fc_{i}",
                        "call_id": f"call_{i}",
                        "name": NAME,
                        "arguments": f'{{"id": {i}}}',
                        "status": "completed",
                    }
                    for i in (1, 3)
                ),
            ]
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "m",
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _messages(self, asked: dict[str, Any]) -> dict[str, Any]:
        last = asked["messages"][-1]["content"]
        told = [b["content"] for b in last if b["type"] == "tool_result"] if isinstance(last, list) else []
        content: list[dict[str, Any]] = [{"type": "text", "text": " | ".join(told) or "Let me see."}]
        if not told:
            content += [
                {"type": "tool_use", "id": f"toolu_{i}", "name": NAME, "input": {"id": i}} for i in (1, 3)
            ]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": content,
            "stop_reason": "end_turn" if told else "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }


def _handler(model: Model) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(model.answer(self.path, asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.close()


@pytest.fixture
def client() -> Client:
    return Client(Answer(), OnedoorError("RESOURCE_NOT_GRANTED"))


SAID = '{"name": "Ada"} | Refused: RESOURCE_NOT_GRANTED: not granted: contact:3\nInvocation: inv_2'
MADE = [("contacts", "contact.get", {"id": 1}), ("contacts", "contact.get", {"id": 3})]


def test_openai_chat(model: Model, client: Client) -> None:
    sdk, box = openai.OpenAI(base_url=model.url, api_key="none"), Toolbox(client)
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who is 1?"}]
    while True:
        message = (
            sdk.chat.completions.create(model="m", messages=messages, tools=box.openai()).choices[0].message
        )
        messages.append(message.to_dict())  # type: ignore[arg-type]
        if not message.tool_calls:
            break
        messages += box.run_all(message.tool_calls)
    assert message.content == SAID
    assert client.calls == MADE
    assert [t["function"]["name"] for t in model.asked[0]["tools"]] == [NAME, "contacts__contact_list"]
    assert [m.get("tool_call_id") for m in model.asked[1]["messages"]] == [None, None, "call_1", "call_3"]


def test_openai_responses(model: Model, client: Client) -> None:
    sdk, box = openai.OpenAI(base_url=model.url, api_key="none"), Toolbox(client)
    items: list[ResponseInputItemParam] = [{"role": "user", "content": "Who is 1?"}]
    while True:
        response = sdk.responses.create(model="m", input=items, tools=box.openai_responses())
        items += [item.to_dict() for item in response.output]  # type: ignore[misc]
        results = box.run_all(response.output)
        if not results:
            break
        items += results
    assert response.output_text == SAID
    assert client.calls == MADE
    assert model.asked[0]["tools"][0]["parameters"]["required"] == ["id"]


def test_anthropic(model: Model, client: Client) -> None:
    sdk, box = anthropic.Anthropic(base_url=model.url, api_key="none"), Toolbox(client)
    messages: list[MessageParam] = [{"role": "user", "content": "Who is 1?"}]
    while True:
        message = sdk.messages.create(model="m", max_tokens=100, messages=messages, tools=box.anthropic())
        messages.append({"role": "assistant", "content": message.content})
        if message.stop_reason != "tool_use":
            break
        messages.append({"role": "user", "content": box.run_all(message.content)})
    assert [block.text for block in message.content if block.type == "text"] == [SAID]
    assert client.calls == MADE
    assert [b.get("is_error") for b in model.asked[1]["messages"][2]["content"]] == [None, True]
    assert model.asked[0]["tools"][0]["input_schema"]["type"] == "object"


def test_asynchronously(model: Model, client: Client) -> None:
    async def loop() -> str | None:
        box = AsyncToolbox(AsyncClient(client))
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who is 1?"}]
        async with openai.AsyncOpenAI(base_url=model.url, api_key="none") as sdk:
            while True:
                answer = await sdk.chat.completions.create(
                    model="m", messages=messages, tools=await box.openai()
                )
                message = answer.choices[0].message
                messages.append(message.to_dict())  # type: ignore[arg-type]
                if not message.tool_calls:
                    return message.content
                messages += await box.run_all(message.tool_calls)

    assert asyncio.run(loop()) == SAID
    assert client.calls == MADE
