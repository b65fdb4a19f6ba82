"""Runs load clients, those of `clients/` and programs, as processes of their own, which inherit this process's core.

A client prints JSON objects, one a line, all of numbers. It is ended with the block that started it.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from .errors import RoundFailed
from .launch import HOST, ROOT
from .signals import signals_held

# Longer than any client needs by its own bounds; it is for one that hangs.
CLIENT_SECONDS: Final = 300.0

Answer = dict[str, float]


@dataclass(slots=True)
class Client:
    """A load client that runs."""

    name: str
    process: subprocess.Popen[str]
    deadline: float
    patience: float

    def read_answer(self) -> Answer:
        """Wait for the next line. Raises RoundFailed if the client ends, or runs out of its time, without one."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, self.deadline - time.monotonic())):
                raise RoundFailed(f"the {self.name} client said nothing within {self.patience:g} s")
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            error = self.process.stderr.read().strip().splitlines() or ["no message"]
            raise RoundFailed(f"the {self.name} client ended early: {error[-1]}")
        answer: Answer = json.loads(line)
        return answer

    def end(self) -> str:
        """Wait until the client has ended, and give the last line of what it says went wrong; "" if nothing did."""
        try:
            self.process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise RoundFailed(f"the {self.name} client did not end within {self.patience:g} s") from error
        assert self.process.stderr is not None
        return self.process.stderr.read().strip().rpartition("\n")[2]

    def finish(self) -> Answer:
        """Tell the client to end, by closing its standard input, and read its last answer."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.read_answer()


@contextmanager
def program(name: str, *command: str, patience: float = CLIENT_SECONDS) -> Iterator[Client]:
    """Run a program that is a load client for the `with` block; it hangs if it takes longer than `patience` seconds."""
    with ExitStack() as started:
        with signals_held():
            process = started.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
            started.callback(process.kill)
        yield Client(name, process, time.monotonic() + patience, patience)


def client(name: str, *arguments: str) -> AbstractContextManager[Client]:
    """Run `loadtests.bench.clients.NAME` for the `with` block."""
    return program(name, sys.executable, "-m", f"loadtests.bench.clients.{name}", "--host", HOST, *arguments)


def run_client(name: str, *arguments: str) -> Answer:
    """Run a client that answers once, and return that answer."""
    with client(name, *arguments) as load:
        return load.read_answer()
