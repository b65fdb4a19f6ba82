"""A `hublet` command that serves one of the tests' applications, and what can be seen of it from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT

PATIENCE = 10.0  # seconds; only a failing test waits that long


def wait_until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    """Wait until `condition()` is true; `what()` says what is wrong otherwise."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)


class ServedProcess:
    """The command, its log, and the number of sockets that it has open."""

    def __init__(self, folder: Path, target: str, *options: str, port: int = 0) -> None:
        self.log_file = folder / f"log-{os.urandom(4).hex()}"
        command = [sys.executable, "-m", "hublet", target, "--bind", f"127.0.0.1:{port}", "--log-level", "debug"]
        with self.log_file.open("wb") as log:
            self.popen = subprocess.Popen(
                [*command, *options], cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            wait_until(lambda: self.popen.poll() is not None or "listening on" in self.log, lambda: self.log)
            found = re.search(r"listening on https?://([0-9.]+:([0-9]+))", self.log)
            assert found, f"the server did not start: {self.log}"
        except BaseException:
            self.kill()
            raise
        self.authority, self.port = found[1], int(found[2])
        self.sockets_at_rest = self.sockets()

    @property
    def log(self) -> str:
        """Everything that the process has written."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def sockets(self) -> int:
        """How many sockets the process has open."""
        folder, count = f"/proc/{self.popen.pid}/fd", 0
        for name in os.listdir(folder):
            try:
                count += os.readlink(f"{folder}/{name}").startswith("socket:")
            except FileNotFoundError:
                pass  # closed meanwhile
        return count

    def get(self, path: str = "/") -> str:
        """The body of a page."""
        with urllib.request.urlopen(f"http://{self.authority}{path}", timeout=PATIENCE) as response:
            text: str = response.read().decode()
            return text

    def expect_rest(self) -> None:
        """Assert that no connection stays open, and that nothing went wrong so far."""
        wait_until(
            lambda: self.sockets() == self.sockets_at_rest,
            lambda: f"{self.sockets() - self.sockets_at_rest} sockets more than at the start; {self.log}",
        )
        self.expect_clean_log()

    def expect_clean_log(self) -> None:
        """Assert that there is no traceback in the log, nor an error without one."""
        assert not re.search(r"Traceback|\berror\b| failed with ", self.log, re.IGNORECASE), self.log

    def stop(self) -> None:
        """End the process as a supervisor would; it must have nothing left to wait for."""
        if self.popen.poll() is None:
            self.popen.terminate()
        assert self.popen.wait(PATIENCE) == 0, self.log
        assert "requests in flight: 0," in self.log
        assert "stopped" in self.log
        self.expect_clean_log()

    def kill(self) -> None:
        """End the process, if it still runs, without asking it."""
        self.popen.kill()
        self.popen.wait()
