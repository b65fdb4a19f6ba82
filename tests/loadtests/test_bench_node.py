"""The package that the benchmark installs for Node: once, and with clear words where that is impossible."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loadtests.bench import node
from loadtests.bench.node import NodeError, install_ws, ws_version
from loadtests.bench.servers import BY_NAME


def test_the_package_is_installed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = install_ws()
    assert (ws_version() or "").startswith("8.")
    monkeypatch.setattr(node, "PACKAGE", "no package, which npm would refuse")
    assert install_ws() == modules


def test_what_npm_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "PACKAGE", "no//package")
    with pytest.raises(NodeError, match="npm cannot install no//package: npm "):
        install_ws(tmp_path / "node" / "node_modules")


def test_missing_programs_are_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program, path=None: None)
    with pytest.raises(NodeError, match="node and npm not installed; on Debian and Ubuntu: apt-get install nodejs npm"):
        install_ws()
    assert BY_NAME["Node ws"].version() is None
    assert "apt-get install nodejs npm" in BY_NAME["Node ws"].why_missing()
