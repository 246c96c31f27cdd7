"""Both clients, against the broker that `go test ./tests/python` has started."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import onedoor


def _blocking() -> Any:
    """The wrapper around AsyncClient of the other tests."""
    path = Path(__file__).parent.parent / "unit" / "conftest.py"
    spec = importlib.util.spec_from_file_location("unit_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["unit_conftest"] = module
    spec.loader.exec_module(module)
    return module.Blocking


Blocking = _blocking()


@pytest.fixture(scope="session", autouse=True)
def a_broker_is_there() -> None:
    if "ONEDOOR_TEST_SOCKET2" not in os.environ:
        pytest.exit("these tests need a broker: run `go test ./tests/python`", 2)


@pytest.fixture(params=["sync", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(kind: str, **options: Any) -> Any:
    return onedoor.Client(**options) if kind == "sync" else Blocking(**options)


@pytest.fixture
def client(kind: str) -> Iterator[Any]:
    made = make(kind)
    yield made
    made.close()
