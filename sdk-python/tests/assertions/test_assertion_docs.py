"""The programs of docs/assertions.md that use onedoor.assertions, as they are printed."""

from __future__ import annotations

import asyncio
import re
import runpy
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[3] / "docs" / "assertions.md").read_text("utf-8")


def application(begins: str, folder: Path) -> Any:
    blocks = [
        b
        for b in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if b.startswith(begins)
    ]
    assert len(blocks) == 1
    program = folder / "program.py"
    program.write_text(blocks[0], "utf-8")
    return runpy.run_path(str(program))["app"]


def test_asgi(tmp_path: Path) -> None:
    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    async def receive() -> Any:
        raise AssertionError("read")

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(application("# asgi\n", tmp_path)(scope, receive, send))
    assert statuses == [401, 0]


def test_wsgi(tmp_path: Path) -> None:
    statuses: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https"}
    answer = application("# wsgi\n", tmp_path)(environ, lambda status, headers: statuses.append(status))
    assert statuses == ["401 Unauthorized"]
    assert list(answer) == [b"assertion refused\n"]
