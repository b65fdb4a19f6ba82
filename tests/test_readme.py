"""What README.rst shows is what works: its code blocks are run as they stand, but for the port."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from loadtests.private.process import free_port

README = (Path(__file__).parent.parent / "README.rst").read_text(encoding="utf-8")
PATIENCE = 20.0


def code_blocks(language: str) -> list[str]:
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", README, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() + "\n" for block in found]


HELLO, SERVE, PYWSGI, CHAT = code_blocks("python")
(CONSOLE,) = code_blocks("console")


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def ask(port: int) -> object:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/shop", timeout=PATIENCE) as response:
        assert response.headers["Content-Type"] == "application/json"
        return json.load(response)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


def test_the_launcher(folder: Path) -> None:
    port = free_port()
    words = CONSOLE.removeprefix("$ ").replace("8000", str(port)).split()
    assert words[0] == "hublet"
    with running([sys.executable, "-m", *words], folder, port) as process:
        assert ask(port) == {"path": "/shop"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("block", [SERVE, PYWSGI], ids=["serve", "pywsgi"])
def test_from_python(folder: Path, block: str) -> None:
    port = free_port()
    (folder / "main.py").write_text(block.replace("8000", str(port)))
    with running([sys.executable, "main.py"], folder, port):
        assert ask(port) == {"path": "/shop"}


def test_websockets(folder: Path) -> None:
    assert "``hublet chat:app``" in README
    port = free_port()
    (folder / "chat.py").write_text(CHAT)
    with running([sys.executable, "-m", "hublet", "chat:app", "--bind", f"127.0.0.1:{port}"], folder, port):
        assert ask(port) == {"path": "/shop"}
        with connect(f"ws://127.0.0.1:{port}/chat") as ann, connect(f"ws://127.0.0.1:{port}/chat") as bob:
            ann.send("hello")
            assert ann.recv(PATIENCE) == bob.recv(PATIENCE) == "hello"
