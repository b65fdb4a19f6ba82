"""What docs/websocket.rst shows is what works: its modules and commands are run as they stand, but for the port."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from loadtests.private.process import free_port
from tests.test_readme import PATIENCE, running

DOCS = (Path(__file__).parent.parent / "docs" / "websocket.rst").read_text(encoding="utf-8")
BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:    :caption: (\S+)\n)?\n((?:    .*\n|\n)+)", re.MULTILINE)
BLOCKS = [
    (language, caption, re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() + "\n")
    for language, caption, block in BLOCK.findall(DOCS)
]
MODULES = {caption: block for language, caption, block in BLOCKS if language == "python"}
ECHO, WITH_ORIGINS = (block for language, _, block in BLOCKS if language == "console")


def test_every_block_is_known_here() -> None:
    assert list(MODULES) == ["echo.py", "rooms.py", "versions.py", "test_rooms.py"]
    assert sorted({language for language, _, _ in BLOCKS}) == ["apache", "console", "nginx", "python"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@contextmanager
def serving(command: str, folder: Path) -> Iterator[str]:
    """Run a command of the documentation; the address of its WebSockets."""
    port = free_port()
    words = command.removeprefix("$ ").replace("8000", str(port)).split()
    assert words[0] == "hublet"
    with running([sys.executable, "-m", *words], folder, port):
        yield f"ws://127.0.0.1:{port}"


def ask(client: ClientConnection, message: str | bytes) -> str | bytes:
    client.send(message)
    return client.recv(PATIENCE)


def test_blocking_style(folder: Path) -> None:
    with serving(ECHO, folder) as address, connect(address) as client:
        assert ask(client, "hello") == "hello"
        assert ask(client, b"\x00\xff") == b"\x00\xff"


def test_callback_style(folder: Path) -> None:
    with (
        serving(ECHO.replace("echo:app", "rooms:app"), folder) as address,
        connect(f"{address}/room") as ann,
        connect(f"{address}/room") as bob,
        connect(f"{address}/elsewhere") as other,
    ):
        assert ask(ann, "hello") == "hello"
        assert bob.recv(PATIENCE) == "hello"
        assert ask(other, "alone") == "alone"


def test_subprotocols(folder: Path) -> None:
    with serving(ECHO.replace("echo:app", "versions:app"), folder) as address:
        with connect(f"{address}/orders", subprotocols=[Subprotocol("orders.v1"), Subprotocol("orders.v2")]) as client:
            assert client.subprotocol == "orders.v2"
            assert client.recv(PATIENCE) == "speaking orders.v2"
        with connect(f"{address}/orders", subprotocols=[Subprotocol("orders.v1")]) as client:
            assert client.subprotocol is None


def test_origins(folder: Path) -> None:
    with serving(WITH_ORIGINS, folder) as address:
        for admitted in ("https://shop.example", "https://www.shop.example", address.replace("ws", "http")):
            with connect(address, origin=Origin(admitted)) as client:
                assert ask(client, "hello") == "hello"
        with pytest.raises(InvalidStatus, match="403"), connect(address, origin=Origin("https://elsewhere.example")):
            pass


def test_tests(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        "test_rooms.py",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
