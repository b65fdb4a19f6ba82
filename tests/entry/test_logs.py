"""The logs of a running server: rotation, JSON, syslog, and a disk that is full."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

from loadtests.private.process import free_port
from tests.entry.conftest import PATIENCE, Start, get


def wait_for_text(path: Path, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"no {text!r} in {path}"
        time.sleep(0.01)


def test_rotation_of_both_files(command: Start, tmp_path: Path) -> None:
    port, log, access = free_port(), tmp_path / "error.log", tmp_path / "access.log"
    logs = ("--log-file", "error.log", "--access-log", "combined", "--access-log-file", "access.log")
    running = command("shop", "--bind", f"127.0.0.1:{port}", *logs, "--log-format", "json")
    wait_for_text(log, "listening on")
    for path in (log, access):
        path.rename(path.with_suffix(".1"))
    running.signal(signal.SIGUSR1)
    wait_for_text(log, "")
    wait_for_text(access, "")
    get(f"http://127.0.0.1:{port}/after")
    assert running.stop() == 0
    assert "/after" in access.read_text()
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert messages[-1] == "stopped"
    assert running.errors == ""


def test_a_directory_that_is_gone_when_the_files_are_opened_anew(command: Start, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    running = command("shop", "--bind", "127.0.0.1:0", "--access-log", "json", "--access-log-file", "logs/access")
    url = running.url()
    (tmp_path / "logs" / "access").rename(tmp_path / "access.1")
    (tmp_path / "logs").rmdir()
    running.signal(signal.SIGUSR1)
    running.wait_for("ERROR access log: logs/access cannot be opened anew, and goes on in the old file: No such file")
    get(url)
    assert running.stop() == 0
    assert json.loads((tmp_path / "access.1").read_text())["status"] == 200


def test_a_full_disk_is_said_once_and_the_server_goes_on(command: Start) -> None:
    port = free_port()
    running = command("shop", "--bind", f"127.0.0.1:{port}", "--log-file", "/dev/full")
    running.wait_for("hublet: error log /dev/full: lines are lost, since writing fails: No space left on device")
    assert get(f"http://127.0.0.1:{port}/") == "hello"
    assert running.stop() == 0
    assert running.errors.count("\n") == 1


def test_syslog(command: Start, tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(PATIENCE)
        running = command("shop", "--bind", "127.0.0.1:0", "--log-file", f"syslog:127.0.0.1:{daemon.getsockname()[1]}")
        assert " - - hublet " in daemon.recv(9000).decode()
        assert running.stop() == 0
