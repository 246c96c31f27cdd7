"""The package as it is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

import onedoor


def test_every_name_is_there():
    assert set(onedoor.__all__) == set(onedoor._FROM)
    for name in onedoor.__all__:
        assert getattr(onedoor, name).__name__ in (name, f"onedoor.{name}")
    assert set(onedoor.__all__) <= set(dir(onedoor))
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        _ = onedoor.Klient


@pytest.mark.parametrize("name", ["AsyncClient", "Client", "Answer", "errors", "PEMFiles", "Event"])
def test_each_name_loads_by_itself(name):
    """The modules may be imported in any order."""
    subprocess.run([sys.executable, "-c", f"from onedoor import {name}"], check=True, env=path())


def test_importing_loads_nothing_heavy():
    """Who verifies assertions, or describes tools to a model, needs no gRPC."""
    code = "import onedoor, sys; print({'grpc', 'google', 'spiffe', 'cryptography'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], check=True, env=path(), capture_output=True, text=True)
    assert out.stdout == "set()\n"


def path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
