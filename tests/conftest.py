"""The `serve` and `launch` fixtures: a server here or in its own process, a client of raw bytes, a check for leaks.

`serve(app, head_timeout=0.1, ...)` starts a WSGIServer on the test's hub and returns a `Served`, whose `connect()`
gives a `Client`. At the test's end the servers are stopped, and the test fails if a greenlet, a descriptor or an active
watcher is left, or if an error went to the hub that the test did not take from `serve.hub_errors()`.

`launch(script)` runs a Python script that prints the port it listens on.

No test sleeps for a fixed time: `wait_until` waits for a condition, `Client` for bytes, and PATIENCE ends both.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import socket as blocking_socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import get_hub, socket
from greenlet import greenlet
from hublet.patches.patching import REGISTRY
from hublet.patches.stdlib import is_standard_library_patched
from hublet.servers.server import WSGIServer
from hublet.servers.settings import Settings

PATIENCE = 10.0  # seconds; only a failing test waits that long
ROOT = Path(__file__).parent.parent
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


@pytest.fixture(autouse=True)
def this_process_stays_unpatched() -> Iterator[None]:
    """Take back what a test has patched here: pytest's own threads would wait for a hub that nobody turns."""
    yield
    REGISTRY.undo()
    assert not is_standard_library_patched(), "a test has patched the process of all tests: run that in a child"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Spell out lone surrogates in what a test has logged: reports go from one process to another as UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Let the hub run until `condition()` is true."""
    with gevent.Timeout(PATIENCE, AssertionError(f"{what or condition} did not come true within {PATIENCE} s")):
        while not condition():
            gevent.sleep(0.002)


class CutShort(Exception):
    """The connection ended inside a response. `response` is the part that came, `reset` whether it ended in a reset."""

    def __init__(self, response: Response, reset: bool) -> None:
        self.response = response
        self.reset = reset
        super().__init__(f"{response} was cut short by {'a reset' if reset else 'the end of the connection'}")


@dataclass
class Response:
    """A response as the wire has it. `framing` is what ended its body: none, length, chunked or close."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    framing: str = "none"

    def __getitem__(self, name: str) -> str:
        """The value of a field that must be there once."""
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]


class Client:
    """One connection to a server, without any opinion about what may be sent."""

    def __init__(self, address: Any, receive_buffer: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.received = b""
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise

    def send(self, data: bytes) -> Client:
        """Send all of `data`."""
        self.socket.sendall(data)
        return self

    def send_bytewise(self, data: bytes) -> Client:
        """Send `data` in segments of one byte, each of which the server has a chance to see alone."""
        for byte in data:
            self.socket.sendall(bytes([byte]))
            gevent.idle()  # unlike sleep(0), it lets the loop look at the descriptors
        return self

    def end(self) -> Client:
        """Send no more: close this half."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Vanish, as a crashed peer does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def get(
        self, target: str = "/", *fields: str, method: str = "GET", version: str = "1.1", body: bytes = b""
    ) -> Response:
        """Send one request and read its final response; `body` is sent with a Content-Length, if there is one."""
        lines = [f"{method} {target} HTTP/{version}", "Host: x", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Read the next response, interim ones too. Raises CutShort, or EOFError where none begins."""
        response = self._read_head()
        if 100 <= response.status < 200 or response.status in (204, 304) or method == "HEAD":
            return response
        try:
            if "Transfer-Encoding" in response:
                assert response["Transfer-Encoding"] == "chunked"
                assert "Content-Length" not in response
                response.framing = "chunked"
                self._read_chunks(response)
            elif "Content-Length" in response:
                response.framing = "length"
                self._read_body(response, int(response["Content-Length"]))
            else:
                response.framing = "close"
                self._read_body(response, sys.maxsize)
        except EOFError:
            if response.framing != "close":
                raise CutShort(response, reset=False) from None
        except ConnectionResetError:
            raise CutShort(response, reset=True) from None
        return response

    def responses(self, count: int) -> list[Response]:
        """Read `count` responses to pipelined requests."""
        return [self.response() for _ in range(count)]

    def expect_end(self) -> None:
        """Assert that nothing more comes but the regular end of the connection."""
        assert self.rest() == b""

    def expect_reset(self) -> bytes:
        """Assert that the connection ends in a reset; return what came before it."""
        try:
            while True:
                self._receive()
        except ConnectionResetError:
            return self.received

    def is_silent(self) -> bool:
        """Whether nothing has come, neither a byte nor an end."""
        if self.received:
            return False
        try:
            self.socket._sock.recv(1, blocking_socket.MSG_PEEK | blocking_socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            pass
        return False

    def _receive(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError
        self.received += data

    def rest(self) -> bytes:
        """Everything that comes until the end of the connection."""
        parts = [self.received]
        while data := self.socket.recv(1 << 18):
            parts.append(data)
        return b"".join(parts)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            self._receive()
        part, _, self.received = self.received.partition(mark)
        return part

    def _read_head(self) -> Response:
        status_line, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        assert version == "HTTP/1.1"
        fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        return Response(int(status), reason, fields)

    def _read_body(self, response: Response, size: int) -> None:
        parts = [self.received[:size]]
        self.received = self.received[size:]
        missing = size - len(parts[0])
        try:
            while missing:
                data = self.socket.recv(min(missing, 1 << 18))
                if not data:
                    raise EOFError
                parts.append(data)
                missing -= len(data)
        finally:
            response.body += b"".join(parts)

    def _read_chunks(self, response: Response) -> None:
        while True:
            line = self._until(b"\r\n")
            assert set(line) <= set(b"0123456789abcdef")
            self._read_body(response, int(line, 16))
            while len(self.received) < 2:
                self._receive()
            assert self.received[:2] == b"\r\n"
            self.received = self.received[2:]
            if int(line, 16) == 0:
                return


class Served:
    """A running server, its error log and its clients."""

    def __init__(self, app: Application, arguments: dict[str, Any], settings: dict[str, Any]) -> None:
        self.error_log = io.StringIO()
        arguments = {"listener": ("127.0.0.1", 0), "log": None, "error_log": self.error_log, **arguments}
        self.server = WSGIServer(application=app, settings=Settings(**settings), **arguments)
        self.server.start()
        self.clients: list[Client] = []

    @property
    def log(self) -> str:
        """The error log so far."""
        return self.error_log.getvalue()

    def connect(self, receive_buffer: int = 0) -> Client:
        """Open a connection, which is closed at the test's end if the test does not."""
        client = Client(self.server.address[:2], receive_buffer)
        self.clients.append(client)
        return client

    def get(self, *arguments: Any, **options: Any) -> Response:
        """Make one request on a connection of its own."""
        client = self.connect()
        response = client.get(*arguments, **options)
        client.close()
        return response

    def until(self, **statistics: int) -> None:
        """Wait until the server's statistics have these values."""
        wait_until(
            lambda: all(getattr(self.server.statistics(), name) == value for name, value in statistics.items()),
            f"{statistics} (the server: {self.server.statistics()})",
        )

    def close(self) -> None:
        """Close the clients and stop the server."""
        for client in self.clients:
            client.close()
        self.server.stop(1)


class Serving:
    """What the `serve` fixture gives to a test."""

    def __init__(self) -> None:
        self.all: list[Served] = []

    def __call__(self, app: Application, arguments: dict[str, Any] | None = None, **settings: Any) -> Served:
        """Start a server for `app`; `arguments` are WSGIServer's own, the rest are settings."""
        self.all.append(Served(app, arguments or {}, settings))
        return self.all[-1]

    def hub_errors(self) -> str:
        """Take what has been reported to the hub since the last call."""
        stream = get_hub().exception_stream
        text: str = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text


def active_watchers() -> list[Any]:
    """Every active watcher. The loop's own count leaves out those that do not keep it running."""
    kind: Any = type(get_hub().loop.timer(0)).__mro__[-2]
    return [each for each in gc.get_objects() if isinstance(each, kind) and each.active]


class Belongings:
    """What this process has: greenlets that have begun and not ended, open descriptors, active watchers."""

    def __init__(self) -> None:
        self.greenlets = {id(each): each for each in gc.get_objects() if isinstance(each, greenlet) and each}
        self.descriptors = dict(self._descriptors())
        self.watchers = {id(each): each for each in active_watchers()}

    @staticmethod
    def _descriptors() -> Iterator[tuple[str, str]]:
        for name in os.listdir("/proc/self/fd"):
            try:
                yield name, os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:
                pass  # the one that lists the folder

    def left_since(self) -> str:
        """Describe what has been added since, once the hub has had time to finish; empty if there is nothing."""
        deadline = time.monotonic() + PATIENCE
        while added := self._added():
            if time.monotonic() > deadline:
                break
            gevent.sleep(0.002)
            gc.collect()  # a greenlet may be held by a cycle through a traceback
        return added

    def _added(self) -> str:
        now = Belongings()
        begun = [each for key, each in now.greenlets.items() if key not in self.greenlets]
        added = [repr(each) for each in begun if each is not get_hub()]
        added += [f"{fd} -> {name}" for fd, name in now.descriptors.items() if self.descriptors.get(fd) != name]
        added += [repr(each) for key, each in now.watchers.items() if key not in self.watchers]
        return ", ".join(added)


@pytest.fixture(scope="session")
def _imports_set_aside() -> None:
    """Spare every later collection the hundred thousand objects that were there before the first test."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def serve(_imports_set_aside: None) -> Iterator[Serving]:
    """Start servers for this test; stop them afterwards and fail for whatever they left behind."""
    hub = get_hub()
    gevent.sleep(0)
    gc.collect()
    before = Belongings()
    serving = Serving()
    stream, hub.exception_stream = hub.exception_stream, io.StringIO()
    try:
        with gevent.Timeout(3 * PATIENCE):
            yield serving
        for served in serving.all:
            served.close()
        serving.all.clear()
        assert before.left_since() == ""
        assert serving.hub_errors() == ""
    finally:
        hub.exception_stream = stream
        for served in serving.all:
            served.close()


class Process:
    """A server in a process of its own. What it writes to standard error is in `errors()`."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.clients: list[Client] = []
        self.error_file = folder / f"stderr-{os.urandom(4).hex()}"
        with self.error_file.open("wb") as errors:
            self.popen = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line.strip().isdecimal():
            self.kill()
            raise AssertionError(f"no port but {line!r}; standard error: {self.errors()}")
        self.port = int(line)

    def connect(self) -> Client:
        """Open a connection, which is closed at the test's end if the test does not."""
        self.clients.append(Client(("127.0.0.1", self.port)))
        return self.clients[-1]

    def errors(self) -> str:
        """What the process has written to standard error."""
        return self.error_file.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """End the process as a supervisor would, and return its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(PATIENCE)

    def kill(self) -> None:
        """End the process, if it still runs, without asking it, and close the clients."""
        for client in self.clients:
            client.close()
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


Launch = Callable[..., Process]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Run Python scripts that print their port; `launch(script, *arguments)` returns the Process."""
    processes: list[Process] = []

    def start(script: str, *arguments: str) -> Process:
        command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
        processes.append(Process(command, tmp_path))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
