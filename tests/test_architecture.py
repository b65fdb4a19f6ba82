"""Holds the architecture: imports flow one way, there are no cycles, and parsers do no I/O and read no clock."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"entry": "hublet", "runtime": "hublet.runtime", "patches": "hublet.patches", "servers": "hublet.servers"}
# What each package may import of the others.
ALLOWED = {
    "runtime": {"runtime"},
    "patches": {"patches", "runtime"},
    "servers": {"servers", "patches", "runtime"},
    "entry": {"entry", "servers", "patches", "runtime"},
}
# Parsers, codecs and writers: bytes in, values out.
PURE = [
    "servers.http1.head",
    "servers.http1.field_names",
    "servers.http1.uri",
    "servers.http1.chunked",
    "servers.http1.response_head",
    "servers.out_buffer",
    "servers.forwarded",
    "servers.proxies",
    "servers.websocket.frames",
    "servers.websocket.masking",
    "servers.websocket.utf8",
    "servers.websocket.handshake",
    "servers.websocket.deflate",
]
IMPURE = {"socket", "_socket", "select", "selectors", "ssl", "os", "io", "time", "datetime", "threading", "asyncio"}
IMPURE_C = {"posix", "<sys/socket.h>", "<unistd.h>", "<sys/uio.h>"}


def sources() -> Iterator[tuple[str, Path]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".pyx", ".pxd"}:
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield ".".join(part for part in parts if part != "__init__"), path


def imported(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (level, module, names) of every import and cimport in a file, wherever it stands."""
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield node.level, node.module or "", [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield 0, alias.name, []
        return
    text = path.read_text()
    for match in re.finditer(
        r"^\s*from (\.*)([\w.]*) c?import \(?([^)\n]*(?:\n[^)\n]*)*?)(?:\)|$)", text, re.MULTILINE
    ):
        yield len(match[1]), match[2], re.findall(r"\w+", match[3])
    for match in re.finditer(r"^\s*c?import ([\w.]+)", text, re.MULTILINE):
        yield 0, match[1], []


def own_imports(name: str, path: Path, modules: set[str]) -> set[str]:
    """The project's own modules that a file imports, in the folders' spelling."""
    found = set()
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    import_root = ["entry"]
    for level, module, names in imported(path):
        if level:
            # Counted by import name: from a file of hublet.servers, ".." is hublet, whose folder is entry.
            dotted = FOLDERS[package[0]].split(".") + package[1:]
            base = dotted[: len(dotted) - level + 1] + ([*module.split(".")] if module else [])
        elif module.split(".")[0] == "hublet":
            base = module.split(".")
        else:
            continue
        folder_path = base[1:] if len(base) > 1 and base[1] in FOLDERS else import_root + base[1:]
        target = ".".join(folder_path)
        submodules = {f"{target}.{each}" for each in names} & modules
        found |= submodules or ({target} & modules)
    return found - {name}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    files = list(sources())
    modules = {name for name, _ in files}
    edges: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in files:
        edges[name] |= own_imports(name, path, modules)
    return edges


def test_the_graph_is_not_empty(graph: dict[str, set[str]]) -> None:
    assert "servers.http1.head" in graph["servers.http1.connection"]
    assert "runtime.errors" in graph["servers.settings"]


def test_imports_flow_one_way(graph: dict[str, set[str]]) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in graph.items()
        for target in targets
        if target.split(".")[0] not in ALLOWED[name.split(".")[0]]
    ]
    assert not wrong


def test_there_are_no_cycles(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", PURE)
def test_parsers_know_no_socket_hub_or_clock(name: str, graph: dict[str, set[str]]) -> None:
    base = ROOT.joinpath(*name.split("."))
    for suffix in (".py", ".pyx", ".pxd"):
        path = base.with_suffix(suffix)
        if path.exists():
            for _, module, _ in imported(path):
                assert module.split(".")[0] not in IMPURE | {"gevent", "greenlet"}, f"{path.name} imports {module}"
            for header in IMPURE_C:
                assert header not in path.read_text(), f"{path.name} uses {header}"
    reachable: set[str] = set()
    todo = [name]
    while todo:
        for target in graph[todo.pop()] - reachable:
            reachable.add(target)
            todo.append(target)
    assert not reachable & {"servers.transport", "servers.http1.connection", "runtime.request_greenlet"}


def test_one_module_uses_zlib() -> None:
    """It is where a decompressor's output is bounded, and where a compressor's state stays with its connection."""
    assert [name for name, path in sources() if any(module == "zlib" for _, module, _ in imported(path))] == [
        "servers.websocket.deflate"
    ]


def test_no_import_hides_in_a_function() -> None:
    """A function-level import would be a cycle in disguise, or a cost at a surprising time."""
    hidden = []
    for name, path in sources():
        if path.suffix == ".py":
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    hidden += [
                        f"{name}:{node.lineno}"
                        for node in ast.walk(function)
                        if isinstance(node, ast.ImportFrom) and node.level
                    ]
    # The command patches the standard library before anything else may be imported; that is what these two are for.
    assert [each for each in hidden if not each.startswith(("entry.__main__", "entry:", "entry.__init__"))] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_compiled_module_has_a_stub(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.pyx"):
        assert path.with_suffix(".pyi").exists(), f"{path} has no .pyi beside it"


def test_the_load_test_uses_the_runtime_only_and_nothing_imports_it(graph: dict[str, set[str]]) -> None:
    outward = {
        module.partition(".")[0]
        for path in (ROOT / "loadtests" / "locusts").glob("*.py")
        for level, module, _ in imported(path)
        if level > 1
    }
    assert outward == {"runtime"}
    importers = [
        name for name, path in sources() for _, module, _ in imported(path) if "loadtest" in module.split(".") + [""]
    ]
    assert importers == []
