"""Signals that ask to end, at any time: status 130, a report of what was measured, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hublet.loadtest.interrupts import Interrupted, Interrupts

from loadtests.private.process import free_port
from tests.conftest import ROOT
from tests.integration.served_process import ServedProcess, wait_until

from .conftest import TARGET, command, module

PATIENCE = 30.0
LONG = ("--users", "4", "--shape", "steady", "--time", "10m")


class Command:
    """A command that runs, and what it has written."""

    def __init__(self, folder: Path, *arguments: str, path: str | None = None) -> None:
        self.out = folder / f"out-{os.urandom(4).hex()}"
        self.errors_file, self.output_file = folder / f"{self.out.name}.err", folder / f"{self.out.name}.txt"
        own, separator, server = " ".join(arguments).partition(" -- ")
        words = [*own.split(), "--out", str(self.out), *(["--", *server.split()] if separator else [])]
        variables = os.environ | ({"PYTHONPATH": path} if path else {})
        with self.errors_file.open("wb") as errors, self.output_file.open("wb") as output:
            self.popen = subprocess.Popen(
                command(*words), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=variables
            )

    @property
    def errors(self) -> str:
        return self.errors_file.read_text()

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return found

    def wait_for(self, text: str) -> None:
        """Wait until the command has written a text to its errors."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.errors:
            assert self.popen.poll() is None, self.errors
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.02)

    def interrupt(self, number: int) -> int:
        """Send a signal; returns the exit status, once none of the processes is left."""
        children = descendants(self.popen.pid)
        self.popen.send_signal(number)
        status = self.popen.wait(PATIENCE)
        assert not [each for each in children if Path(f"/proc/{each}").exists()]
        return status


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(further for each in children for further in descendants(each))]


Start = Callable[..., Command]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Command] = []

    def run(*arguments: str, path: str | None = None) -> Command:
        started.append(Command(tmp_path, *arguments, path=path))
        return started[-1]

    yield run
    for each in started:
        if each.popen.poll() is None:
            for child in descendants(each.popen.pid):
                os.kill(child, signal.SIGKILL)
            each.popen.kill()
            each.popen.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_under_load(start: Start, number: int) -> None:
    running = start(TARGET, *LONG, "--visit page --visit websocket --visit socketio -- --workers 2")
    running.wait_for("     2 s ")
    assert running.interrupt(number) == 130
    assert running.output.startswith("interrupted after "), running.output + running.errors
    assert f"s: held: {running.report['total']['requests']} requests, " in running.output
    assert f"report: {running.out / 'report.html'}" in running.output
    assert (running.report["interrupted"], running.report["verdict"]["held"]) == (True, False)
    assert sum(each["requests"] for each in running.report["samples"]) == running.report["total"]["requests"] > 0
    assert "Traceback" not in running.errors


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_command_takes_its_server_along(start: Start, workers: int) -> None:
    running = start(TARGET, *LONG, "--visit page --visit websocket", f"-- --workers {workers}")
    running.wait_for("     1 s ")
    children = descendants(running.popen.pid)
    assert len(children) == (1 if workers == 1 else 1 + workers)
    running.popen.kill()
    running.popen.wait()
    wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in children), lambda: f"{children} run on")


def test_while_the_search_for_the_knee_goes_on(start: Start) -> None:
    running = start(TARGET, "--users 64 --shape knee --time 10m --visit page=/capacity")
    running.wait_for("     2 s ")
    assert running.interrupt(signal.SIGINT) == 130
    assert running.output.startswith("interrupted after "), running.output


def test_while_the_application_starts(start: Start, tmp_path: Path) -> None:
    text = f"import time\nopen({str(tmp_path / 'started')!r}, 'w').close()\ntime.sleep(600)\n"
    path = module(tmp_path, "slow", text)
    running = start("slow:app", *LONG, path=path)
    wait_until(lambda: (tmp_path / "started").exists(), lambda: running.errors)
    assert running.interrupt(signal.SIGINT) == 130
    assert running.errors == "hublet loadtest: interrupted before there was any load\n"


def test_while_the_last_answers_are_awaited(start: Start, tmp_path: Path) -> None:
    path = module(
        tmp_path,
        "slow",
        "import time\n"
        "def app(environ, start_response):\n    time.sleep(600)\n    start_response('200 OK', [])\n    return []\n",
    )
    running = start("slow:app", "--users 4 --shape steady --time 1 --max-p99 1h", path=path)
    running.wait_for("     3 s ")
    began = time.monotonic()
    assert running.interrupt(signal.SIGTERM) == 130
    assert time.monotonic() - began < 10
    assert "no verdict: not one request was made" in running.output


def test_locusts_page(start: Start) -> None:
    running = start(TARGET, "--web", "--web-port", str(free_port()))
    running.wait_for("locust's page: ")
    assert running.interrupt(signal.SIGINT) == 130


def test_a_worker_that_finds_no_master(start: Start) -> None:
    running = start("--worker", "--host", "http://127.0.0.1:1", "--master-port", str(free_port()))
    wait_until(lambda: signal.SIGTERM in caught(running.popen.pid), lambda: running.errors)
    assert running.interrupt(signal.SIGTERM) == 130


def test_a_master_that_waits_for_workers(start: Start) -> None:
    master = start("--master", "--host", "http://127.0.0.1:1", "--master-port", str(free_port()))
    master.wait_for("waiting for workers (1) on port ")
    assert master.interrupt(signal.SIGINT) == 130
    assert "interrupted before there was any load" in master.errors


def caught(pid: int) -> set[int]:
    """The signals for which a process has handlers, other than Python's own for SIGINT."""
    mask = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    bits = int(mask.split()[1], 16)
    found: set[int] = {number for number in (signal.SIGINT, signal.SIGTERM) if bits >> (number - 1) & 1}
    return found if signal.SIGTERM in found else set()


def test_a_master_takes_its_workers_along(start: Start, target: ServedProcess) -> None:
    common = ("--host", f"http://{target.authority}", "--master-port", str(free_port()), "--visit", "json")
    workers = [start("--worker", *common) for _ in range(2)]
    master = start("--master", "--expect-workers 2", *common, *LONG)
    master.wait_for("     3 s ")
    assert master.interrupt(signal.SIGINT) == 130
    assert [each.popen.wait(PATIENCE) for each in workers] == [0, 0]
    assert master.output.startswith("interrupted after "), master.output
    assert master.report["total"]["requests"] > 0


def test_all_at_once_as_a_terminal_does(start: Start, target: ServedProcess) -> None:
    common = ("--host", f"http://{target.authority}", "--master-port", str(free_port()), "--visit", "json")
    commands = [start("--master", "--expect-workers 2", *common, *LONG), *(start("--worker", *common) for _ in "12")]
    commands[0].wait_for("     3 s ")
    for each in commands:
        each.popen.send_signal(signal.SIGINT)
    assert [each.popen.wait(PATIENCE) for each in commands] == [130, 130, 130]
    assert "Traceback" not in "".join(each.errors for each in commands)


def test_a_signal_is_noted_and_ends_a_pause() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        interrupts.check()
        began = time.monotonic()
        interrupts.pause(0.05)
        assert time.monotonic() - began >= 0.05
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        interrupts.pause(600)
        with pytest.raises(Interrupted):
            interrupts.check()
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupts.received
    finally:
        signal.signal(signal.SIGHUP, before)
