"""The package's public names: there, lazy, and free of what must not be imported before the patching."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import hublet
import pytest

ROOT = Path(__file__).parent.parent.parent


def run_python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", hublet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(hublet, name) is getattr(hublet, name)
    assert name in dir(hublet)


def test_they_are_what_they_are_called() -> None:
    assert issubclass(hublet.SettingsError, hublet.HubletError)
    assert hublet.WSGIServer.__name__ == "WSGIServer"
    assert hublet.serve.__name__ == "serve"
    assert hublet.Settings().grace > 0


def test_other_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="serv_forever"):
        getattr(hublet, "serv_forever")  # noqa: B009  (mypy knows that it is not there)


def test_importing_hublet_loads_nothing_that_is_patched() -> None:
    script = "import sys; before = set(sys.modules); import hublet; print(*sorted(set(sys.modules) - before))"
    loaded = run_python(script).split()
    assert not {"gevent", "ssl", "socket", "threading", "logging", "select", "queue", "subprocess"} & set(loaded)
    assert [name for name in loaded if name.startswith("hublet.")] == ["hublet.version"]


@pytest.mark.parametrize("first", ["hublet.cli", "hublet.serving", "hublet.servers.server"])
def test_names_stay_what_they_are_whatever_was_imported_first(first: str) -> None:
    script = f"import {first}, hublet; print(callable(hublet.serve), hublet.WSGIServer.__module__)"
    assert run_python(script) == "True hublet.servers.server\n"


def test_there_is_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert hublet.__version__ == project["version"]
