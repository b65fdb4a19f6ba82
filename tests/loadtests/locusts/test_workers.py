"""A distributed test that loses a worker has no verdict but that."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hublet.loadtest.workers import WorkerWatch

from loadtests.private.process import free_port
from tests.conftest import ROOT
from tests.integration.served_process import ServedProcess

from .conftest import command

PATIENCE = 40.0


class Distributed:
    """A master and two workers who put load on a server; `lose` ends or stops the first worker."""

    def __init__(self, target: ServedProcess, folder: Path, seconds: int) -> None:
        port = str(free_port())
        common = ("--host", f"http://{target.authority}", "--master-port", port, "--visit", "json", "--pause", "10ms")
        self.folder = folder
        self.workers = [
            subprocess.Popen(command("--worker", *common), cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)
        ]
        more = ("--expect-workers", "2", "--users", "4", "--shape", "steady", "--time", str(seconds))
        self.master = subprocess.Popen(
            command("--master", *common, *more, "--out", str(folder / "out")),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def lose(self, number: int, after: int = 2, which: tuple[int, ...] = (0,)) -> None:
        assert self.master.stderr is not None
        for line in self.master.stderr:
            if f" {after} s " in line:
                break
        for each in which:
            self.workers[each].send_signal(number)

    def finish(self) -> tuple[int, str, dict[str, Any]]:
        """The master's status, output and report."""
        output, errors = self.master.communicate(timeout=PATIENCE)
        assert "Traceback" not in errors, errors
        return self.master.returncode, output, json.loads((self.folder / "out" / "report.json").read_text())


Distribute = Callable[[int], Distributed]


@pytest.fixture
def distribute(target: ServedProcess, tmp_path: Path) -> Iterator[Distribute]:
    made: list[Distributed] = []

    def start(seconds: int) -> Distributed:
        made.append(Distributed(target, tmp_path, seconds))
        return made[-1]

    yield start
    for each in made:
        each.master.kill()
        each.master.communicate()
        for worker in each.workers:
            worker.kill()
            worker.wait()


@pytest.mark.parametrize("number, seconds", [(signal.SIGKILL, 9), (signal.SIGKILL, 3), (signal.SIGTERM, 5)])
def test_a_worker_that_ends(distribute: Distribute, number: int, seconds: int) -> None:
    """In the midst of the test, and so late that no heartbeat is missed before its end."""
    test = distribute(seconds)
    test.lose(number)
    status, output, report = test.finish()
    assert status == 1
    assert output.startswith("no verdict: of 2 workers 1 were lost: "), output
    assert "of what was counted: held: " in output
    (lost,) = report["workers"]["lost"]
    assert lost["heard"] <= 4
    assert not report["verdict"]["held"]
    assert test.workers[1].wait(PATIENCE) == 0


def test_every_worker_is_lost(distribute: Distribute) -> None:
    test = distribute(600)
    test.lose(signal.SIGKILL, which=(0, 1))
    status, output, report = test.finish()
    assert (status, len(report["workers"]["lost"])) == (1, 2)
    assert "of 2 workers 2 were lost" in output


def watch() -> tuple[WorkerWatch, Callable[..., None]]:
    """A watch of two workers, and what tells it of a report."""
    listeners: list[Any] = []
    made = WorkerWatch(SimpleNamespace(worker_report=SimpleNamespace(add_listener=listeners.append)))
    made.look({"a": SimpleNamespace(state="running"), "b": SimpleNamespace(state="running")}, 1.0)
    return made, lambda client, users: listeners[0](client_id=client, data={"user_count": users})


def test_the_last_figures_of_a_worker_are_those_without_users() -> None:
    made, report = watch()
    report("a", 0)  # before the end
    made.end()
    assert made.awaited() == ["a", "b"]
    report("a", 2)
    report("b", 0)
    assert made.awaited() == ["a"]
    report("a", 0)
    assert made.awaited() == []


def test_a_worker_that_comes_back_was_lost_all_the_same() -> None:
    made, report = watch()
    report("a", 2)
    made.look({"a": SimpleNamespace(state="missing"), "b": SimpleNamespace(state="running")}, 5.0)
    made.look({"a": SimpleNamespace(state="running"), "b": SimpleNamespace(state="running")}, 6.0)
    made.look({"a": SimpleNamespace(state="running")}, 7.0)
    assert made.lost == {"a": 1.0, "b": 0.0}
