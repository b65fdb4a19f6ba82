"""What docs/running.rst shows is what works: its commands are run as they stand, but for the addresses."""

from __future__ import annotations

import http.client
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtests.private.process import free_port
from tests.test_readme import HELLO, PATIENCE, running

TEXT = (Path(__file__).parent.parent / "docs" / "running.rst").read_text(encoding="utf-8")
(UNIX,) = re.findall(r"^    (hublet app:app .*)$", TEXT, re.MULTILINE)
CHECK, WORKERS = re.findall(r"``(hublet (?:check app:app|app:app --workers \d+))``", TEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(HELLO)
    return tmp_path


def command_of(example: str) -> list[str]:
    return [sys.executable, "-m", *shlex.split(example)]


def test_the_unix_socket(folder: Path) -> None:
    group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    example = UNIX.replace("/run/app/app.sock", "app.sock").replace(":www-data", f":{group}")
    process = subprocess.Popen(command_of(example), cwd=folder, stderr=subprocess.DEVNULL)
    try:
        client = http.client.HTTPConnection("shop", timeout=PATIENCE)
        client.sock = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + PATIENCE
        while client.sock.connect_ex(str(folder / "app.sock")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert stat.S_IMODE((folder / "app.sock").stat().st_mode) == 0o660
        client.request("GET", "/shop")
        assert client.getresponse().read() == b'{"path": "/shop"}'
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not (folder / "app.sock").exists()
    finally:
        process.kill()
        process.wait()


def test_checking(folder: Path) -> None:
    assert "``--bind 127.0.0.1:0``" in TEXT
    run = subprocess.run(
        [*command_of(CHECK), "--bind", "127.0.0.1:0"], cwd=folder, capture_output=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stdout


def test_workers(folder: Path) -> None:
    port = free_port()
    command = [*command_of(WORKERS), "--bind", f"127.0.0.1:{port}"]
    with running(command, folder, port) as process:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/shop")
        assert client.getresponse().read() == b'{"path": "/shop"}'
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
