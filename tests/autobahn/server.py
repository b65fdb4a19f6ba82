"""The echo application on hublet, in a process of its own and on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.private.process import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 10.0
# Section 9 sends messages of 16 MiB.
MAX_MESSAGE = 16 * 2**20


class ServerError(Exception):
    """The server did not start, or did not live until the end. The text has what it printed."""


@contextmanager
def echo_server(compression: str) -> Iterator[int]:
    """Serve the echo with this `websocket_compression` for the `with` block; gives the port. Raises ServerError."""
    port = free_port()
    command = [
        sys.executable, "-m", "hublet", "tests.autobahn.echo:app", "--bind", f"127.0.0.1:{port}",
        "--websocket-max-message", str(MAX_MESSAGE), "--websocket-compression", compression,
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
        )

        def printed() -> str:
            output.seek(0)
            return output.read().strip()

        try:
            wait_until_listening(process, port)
            yield port
            if process.poll() is not None:
                raise ServerError(f"the server ended during the run with status {process.returncode}: {printed()}")
        except TimeoutError as error:
            raise ServerError(f"the server did not start: {printed()}") from error
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_listening(process: subprocess.Popen[str], port: int) -> None:
    """Wait for the server's listener. Raises TimeoutError if it does not come, or if the process ends."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError from error
            time.sleep(0.02)
