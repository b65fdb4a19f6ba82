"""The `command` fixture: runs `hublet` in a process of its own and waits for what it writes to standard error."""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

PATIENCE = 20.0  # seconds; only a failing test waits that long
LISTENING = r"listening on (http://\S+)"

APPLICATION = """
import time
def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


class Command:
    """A running `hublet`."""

    def __init__(
        self, command: list[str], directory: Path, environ: dict[str, str], descriptors: dict[int, int]
    ) -> None:
        def place_descriptors() -> None:
            for number, descriptor in descriptors.items():
                os.dup2(descriptor, number)

        self.process = subprocess.Popen(
            command,
            cwd=directory,
            preexec_fn=place_descriptors if descriptors else None,
            close_fds=not descriptors,
            env={name: text for name, text in os.environ.items() if not name.startswith("HUBLET_")} | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self.errors_fd = self.process.stderr.fileno()
        self.errors = ""
        self._seen = 0

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until standard error has a match behind the one found last."""
        deadline = time.monotonic() + PATIENCE
        while (match := re.compile(pattern).search(self.errors, self._seen)) is None:
            ready, _, _ = select.select([self.errors_fd], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(self.errors_fd, 65536) if ready else b""
            assert data, f"no {pattern!r} on standard error, but:\n{self.errors}"
            self.errors += data.decode()
        self._seen = match.end()
        return match

    def url(self) -> str:
        """Wait for the banner; return the address that it names."""
        return self.wait_for(LISTENING)[1]

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the status, with `errors` complete and standard output in `output`."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        self.output = output.decode()
        self.errors += errors.decode()
        return self.process.returncode

    def stop(self) -> int:
        """Send SIGTERM, and wait."""
        self.signal(signal.SIGTERM)
        return self.wait()


Start = Callable[..., Command]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Start]:
    """Start `hublet` in an empty directory with the application shop:app: `command("shop", "--grace", "1", X="y")`.

    A `wrapper` is a command that starts another one; `descriptors` maps numbers that the process gets to ours.
    """
    (tmp_path / "shop.py").write_text(APPLICATION)
    started: list[Command] = []

    def start(
        *arguments: str,
        script: str = "",
        wrapper: Sequence[str] = (),
        descriptors: Mapping[int, int] | None = None,
        **environ: str,
    ) -> Command:
        what = ["-c", script, *arguments] if script else ["-m", "hublet", *arguments]
        started.append(Command([*wrapper, sys.executable, *what], tmp_path, environ, dict(descriptors or {})))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        for stream in (each.process.stdout, each.process.stderr):
            assert stream is not None
            stream.close()


Ask = Callable[..., http.client.HTTPConnection]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Send a request, `ask(url, "query")`, and return the connection on which its answer can be read."""
    connections: list[http.client.HTTPConnection] = []

    def send(url: str, query: str = "") -> http.client.HTTPConnection:
        connections.append(http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=PATIENCE))
        connections[-1].request("GET", f"/?{query}")
        return connections[-1]

    yield send
    for connection in connections:
        connection.close()


def get(url: str) -> str:
    """Fetch a URL."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        text: str = response.read().decode()
        return text
