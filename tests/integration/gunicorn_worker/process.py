"""gunicorn as a child process, in a folder of its own, and the application that it serves."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 20.0  # seconds; only a failing test waits that long
DOTTED = "hublet.servers.gunicorn_worker.HubletWorker"
ENTRY_POINT = "egg:hublet#worker"

APPLICATION = """
import os, time
from pathlib import Path
from geventwebsocket import Resource, WebSocketApplication

VERSION = Path("version").read_text() if Path("version").exists() else "1"

class Shout(WebSocketApplication):
    def on_message(self, message):
        if message is not None:
            self.ws.send(message.upper())

rooms = Resource([("/rooms", Shout)])

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/rooms":
        return rooms(environ, start_response)
    websocket = environ.get("wsgi.websocket")
    if websocket is not None:
        for message in websocket:
            websocket.send(message)
        return []
    if path == "/slow":
        Path("slow").touch()
        time.sleep(1)
    if path == "/block":
        end = time.monotonic() + 30
        while time.monotonic() < end:
            pass
    if path == "/error":
        raise RuntimeError("the application's own mistake")
    if path == "/environ":
        body = "|".join(f"{environ[name]}" for name in environ["QUERY_STRING"].split(",")).encode()
    elif path == "/fetch":
        import requests
        body = requests.get(environ["QUERY_STRING"], verify="ca.pem", timeout=10).content
    else:
        body = f"{VERSION} {os.getpid()}".encode()
    start_response("200 OK", [("X-Answer", "forty-two"), ("Content-Length", str(len(body)))])
    return [body]
"""


def wait_until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    """Wait until `condition()` is true; `what()` says what is wrong otherwise."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


class Gunicorn:
    """A master and its workers. `port` is that of its first TCP address."""

    def __init__(self, folder: Path, *options: str, worker: str = DOTTED, configuration: str = "", **environ: str):
        self.folder = folder
        self.log_file = folder / f"log-{os.urandom(4).hex()}"
        (folder / "application.py").write_text(APPLICATION)
        (folder / "gunicorn.conf.py").write_text(
            f'bind = "127.0.0.1:0"\ncontrol_socket_disable = True\n{configuration}'
        )
        command = [sys.executable, str(Path(sys.executable).with_name("gunicorn")), "-k", worker]
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                [*command, *options, "application:app"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environ},
            )
        self.until_logged("Booting worker")
        found = re.search(r"Listening at: https?://[^:]+:([0-9]+)", self.log)
        self.port = int(found[1]) if found else 0

    @property
    def log(self) -> str:
        """What it has written."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        wait_until(condition, lambda: self.log)

    def until_logged(self, text: str, times: int = 1) -> None:
        """Wait for a text in the log."""
        self.until(lambda: self.log.count(text) >= times)

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection when it is used."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path: str = "/", **fields: str) -> tuple[int, str]:
        """Make one request; returns the status and the body."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in fields.items()})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def pid(self) -> int:
        """The worker's that answers."""
        return int(self.get()[1].split()[1])

    def raw(self, data: bytes) -> bytes:
        """Send bytes, and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            client.sendall(data)
            parts = []
            with suppress(ConnectionResetError):
                while part := client.recv(1 << 16):
                    parts.append(part)
            return b"".join(parts)

    def tell(self, number: int) -> None:
        """Send the master a signal."""
        self.popen.send_signal(number)

    def end(self) -> int:
        """Stop it; returns the exit status."""
        if self.popen.poll() is None:
            self.tell(signal.SIGTERM)
            try:
                self.popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.popen.returncode


@contextmanager
def gunicorn(folder: Path, *options: str, **arguments: str) -> Iterator[Gunicorn]:
    """Run gunicorn with these options; stop it afterwards."""
    made = None
    try:
        made = Gunicorn(folder, *options, **arguments)
        yield made
    finally:
        if made is not None:
            made.end()
