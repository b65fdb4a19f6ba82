"""`hublet --workers`, with real processes: reloads, deaths and the end, while requests go on."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from loadtests.private.process import free_port

APPLICATION = """
import atexit, os, time
from pathlib import Path

if Path("broken").exists():
    raise RuntimeError("a bad deploy")
time.sleep(float(Path("delay").read_text()) if Path("delay").exists() else 0)
VERSION = Path("version").read_text()

if Path("clean-up").exists():
    @atexit.register
    def clean_up():
        Path(f"cleaning-{os.getpid()}").touch()
        time.sleep(0.5)
        Path(f"cleaned-{os.getpid()}").touch()

def hang():
    sum(range(10**12))  # in C: no handler of Python's would run

def app(environ, start_response):
    websocket = environ.get("wsgi.websocket")
    if websocket is not None:
        while (message := websocket.receive()) is not None:
            websocket.send(message)
        return []
    if environ["PATH_INFO"] == "/block":
        hang()
    time.sleep({"/slow": 0.5, "/slower": 4.0}.get(environ["PATH_INFO"], 0))
    start_response("200 OK", [])
    return [f"{VERSION} {os.getpid()}".encode()]
"""
PATIENCE = 20.0


class Supervised:
    """A supervisor with its workers, in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        (folder / "application.py").write_text(APPLICATION)
        (folder / "version").write_text("1")
        self.port = free_port()
        command = [sys.executable, "-m", "hublet", "application:app", "--bind", f"127.0.0.1:{self.port}"]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [*command, "--workers", "2", "--grace", "5", *options], cwd=folder, stdout=log, stderr=log
            )

    def ask(self, path: str = "/") -> tuple[str, int]:
        """Make one request; returns the application's version and the worker's pid."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            version, pid = connection.getresponse().read().split()
            return version.decode(), int(pid)
        finally:
            connection.close()

    def begin(self, path: str) -> Any:
        """Make one request in a native thread; returns what `get` waits for."""
        return gevent.get_hub().threadpool.spawn(self.ask, path)

    def workers(self) -> set[int]:
        """The pids of the supervisor's children."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.popen.pid)], capture_output=True, check=False)
        return {int(pid) for pid in listed.stdout.split()} - {0}

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            gevent.sleep(0.02)

    def until_logged(self, text: str, times: int = 1) -> None:
        """Wait for a text in the log."""
        self.until(lambda: self.log.read_text().count(text) >= times)

    def tell(self, number: int) -> None:
        self.popen.send_signal(number)

    def end(self) -> None:
        """Stop it, by force if it does not."""
        if self.popen.poll() is None:
            self.tell(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path)
    try:
        made.until_logged("generation 1 serves")
        yield made
    finally:
        made.end()


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


class Load:
    """Requests without an end, one after the other on one connection that is opened anew when the server ends it."""

    def __init__(self, supervised: Supervised) -> None:
        self.served = 0
        self.versions: set[bytes] = set()
        self.failures: list[str] = []
        self.port = supervised.port
        self.running = True
        self.greenlets = [gevent.spawn(self.run) for _ in range(8)]

    def run(self) -> None:
        connection = None
        while self.running:
            try:
                if connection is None:
                    connection = gevent.socket.create_connection(("127.0.0.1", self.port))
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = b""
                while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
                    part = connection.recv(4096)
                    if not part:
                        raise EOFError("the connection ended instead of an answer")
                    answer += part
                self.served += 1
                self.versions.add(answer.partition(b"\r\n\r\n")[2].split()[0])
                if b"Connection: close" in answer:
                    connection.close()
                    connection = None
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
                connection = None
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        self.running = False
        gevent.joinall(self.greenlets, timeout=PATIENCE)


def test_reloads_and_ends_of_workers_lose_nothing(supervised: Supervised) -> None:
    load = Load(supervised)
    for number in (2, 3, 4):
        (supervised.folder / "version").write_text(str(number))
        supervised.tell(signal.SIGHUP)
        supervised.until_logged(f"generation {number} serves")
        supervised.until(lambda: len(supervised.workers()) == 2)
    for _ in range(2):
        before = supervised.workers()
        os.kill(min(before), signal.SIGTERM)
        supervised.until(lambda before=before: min(before) not in supervised.workers())  # type: ignore[misc]
        supervised.until(lambda: len(supervised.workers()) == 2)
    served = load.served
    supervised.until(lambda: load.served > served + 100)
    load.stop()
    assert load.failures == []
    assert load.versions == {b"1", b"2", b"3", b"4"}


def test_requests_do_not_wait_for_a_slow_import(supervised: Supervised) -> None:
    (supervised.folder / "delay").write_text("1.5")
    supervised.tell(signal.SIGHUP)
    supervised.until_logged("starting a new generation")
    began = time.monotonic()
    slowest = 0.0
    while time.monotonic() - began < 1.2:
        asked = time.monotonic()
        assert supervised.ask()[0] == "1"
        slowest = max(slowest, time.monotonic() - asked)
    assert slowest < 1.0
    supervised.until_logged("generation 2 serves")


def test_a_bad_deploy_changes_nothing(supervised: Supervised) -> None:
    before = supervised.workers()
    (supervised.folder / "broken").touch()
    supervised.tell(signal.SIGHUP)
    supervised.until_logged("generation 2 is discarded")
    assert "a bad deploy" in supervised.log.read_text()
    supervised.until(lambda: supervised.workers() == before)
    assert supervised.ask()[1] in before
    (supervised.folder / "broken").unlink()
    supervised.tell(signal.SIGHUP)
    supervised.until_logged("generation 3 serves")


def test_a_first_start_that_fails_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    failing = Supervised(tmp_path)
    assert failing.popen.wait(PATIENCE) == 1
    assert "a bad deploy" in failing.log.read_text()


def test_a_killed_worker_is_replaced(supervised: Supervised) -> None:
    victim = min(supervised.workers())
    os.kill(victim, signal.SIGKILL)
    supervised.until_logged("was killed by SIGKILL")
    supervised.until(lambda: len(supervised.workers() - {victim}) == 2)
    assert supervised.ask()[0] == "1"


def test_one_that_is_blocked_is_aborted_and_says_where_it_was(tmp_path: Path) -> None:
    made = Supervised(tmp_path, "--worker-timeout", "1.2")
    try:
        made.until_logged("generation 1 serves")
        blocked = made.begin("/block")
        made.until_logged("was killed by SIGABRT")
        assert " in hang" in made.log.read_text()
        with pytest.raises(http.client.HTTPException):
            blocked.get()
    finally:
        made.end()


def test_workers_of_a_killed_supervisor_finish_and_leave(supervised: Supervised) -> None:
    workers = supervised.workers()
    slow = supervised.begin("/slow")
    supervised.until(lambda: gevent.sleep(0.1) or True)
    supervised.popen.kill()
    supervised.popen.wait()
    assert slow.get()[1] in workers
    supervised.until(lambda: not any(map(is_running, workers)))


def test_the_supervisor_executes_itself_anew(supervised: Supervised) -> None:
    before = supervised.workers()
    load = Load(supervised)
    supervised.tell(signal.SIGUSR2)
    supervised.until_logged("generation 2 serves")
    supervised.until(lambda: len(supervised.workers()) == 2 and not before & supervised.workers())
    load.stop()
    assert load.failures == []
    assert supervised.popen.poll() is None


def test_an_execution_anew_while_old_workers_finish_leaves_those_that_serve(supervised: Supervised) -> None:
    old = supervised.workers()
    finishing = [supervised.begin("/slower") for _ in range(6)]  # some in each of them
    supervised.tell(signal.SIGHUP)
    supervised.until_logged("generation 2 serves")
    serving = supervised.workers() - old
    (supervised.folder / "delay").write_text("1.5")
    supervised.tell(signal.SIGUSR2)
    for pid in serving:
        supervised.until_logged(f"worker {pid} ended")
        logged = supervised.log.read_text()
        assert logged.index("generation 3 serves") < logged.index(f"worker {pid} ended")
    assert {each.get()[1] for each in finishing} == old


@pytest.mark.parametrize("what", ["settings", "hook"])
def test_what_would_not_start_anew_is_not_executed(tmp_path: Path, what: str) -> None:
    configuration = tmp_path / "conf.py"
    configuration.write_text("")
    made = Supervised(tmp_path, "--from-gunicorn", "conf.py")
    try:
        made.until_logged("generation 1 serves")
        if what == "settings":
            configuration.write_text("timeout = 'soon'")
            made.tell(signal.SIGUSR2)
            made.until_logged("SIGUSR2 is ignored")
            assert "must be a number of seconds" in made.log.read_text()
        else:
            configuration.write_text("def on_starting(server): raise RuntimeError('a bad hook')")
            made.tell(signal.SIGUSR2)
            made.until_logged("generation 2 serves")
            assert "RuntimeError: a bad hook" in made.log.read_text()
        assert made.ask()[0] == "1"
        assert made.popen.poll() is None
    finally:
        made.end()


def test_a_hook_that_keeps_a_successor_from_starting_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(
        "import os\ndef pre_fork(server, worker):\n    if os.path.exists('broken'): raise RuntimeError('a bad hook')\n"
    )
    made = Supervised(tmp_path, "--from-gunicorn", "conf.py")
    try:
        made.until_logged("generation 1 serves")
        victim = min(made.workers())
        (tmp_path / "broken").touch()
        os.kill(victim, signal.SIGKILL)
        made.until_logged("a worker cannot be started: cannot load the application 'pre_fork'")
        assert made.ask()[0] == "1"
        made.tell(signal.SIGHUP)
        made.until_logged("generation 2 is discarded")
        assert made.ask()[0] == "1"
    finally:
        made.end()


def test_a_unix_socket_and_systemd_from_start_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        for name, text in {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}.items():
            monkeypatch.setenv(name, text)

        def next_message(of: str) -> str:
            while not (message := manager.recv(1000).decode()).startswith(of):
                assert message in ("WATCHDOG=1", "READY=1\nSTATUS=serves application:app"), message
            return message

        def ask() -> None:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200")

        made = Supervised(tmp_path, "--bind", "unix:app.sock")
        try:
            next_message("READY=1\nSTATUS=serves application:app")
            ask()
            made.tell(signal.SIGHUP)
            _, stamp, _ = next_message("RELOADING=1\n").split("\n")
            assert 0 < int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
            next_message("READY=1\n")
            inode = path.stat().st_ino
            for times in (1, 2):  # the second one has to know what the first one knew
                made.tell(signal.SIGUSR2)
                made.until_logged("executing the supervisor anew", times)
                next_message("READY=1\n")
                next_message("WATCHDOG=1")
                assert path.stat().st_ino == inode
                ask()
            made.tell(signal.SIGTERM)
            next_message("STOPPING=1\n")
            made.until(lambda: made.popen.poll() is not None)
            assert made.popen.returncode == 0
            assert not path.exists()
        finally:
            made.end()


def test_a_worker_that_is_told_twice_to_end_is_not_cut_off_while_it_cleans_up(supervised: Supervised) -> None:
    (supervised.folder / "clean-up").touch()
    supervised.tell(signal.SIGHUP)
    supervised.until_logged("generation 2 serves")
    supervised.until(lambda: len(supervised.workers()) == 2)
    workers = supervised.workers()
    for pid in workers:  # and then the supervisor, as one that ends a whole group of processes does
        os.kill(pid, signal.SIGTERM)
    supervised.until(lambda: len(list(supervised.folder.glob("cleaning-*"))) == 2)
    supervised.tell(signal.SIGTERM)
    assert supervised.popen.wait(PATIENCE) == 0
    assert {int(each.name.partition("-")[2]) for each in supervised.folder.glob("cleaned-*")} >= workers


def test_websockets_are_told_to_come_back(supervised: Supervised) -> None:
    with connect(f"ws://127.0.0.1:{supervised.port}/") as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"
        supervised.tell(signal.SIGHUP)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    supervised.until(lambda: len(supervised.workers()) == 2)


@pytest.mark.parametrize("whom, code", [("worker", 1012), ("supervisor", 1001)])
def test_websockets_of_a_terminated_process(supervised: Supervised, whom: str, code: int) -> None:
    with connect(f"ws://127.0.0.1:{supervised.port}/", ping_interval=None) as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"
        workers = supervised.workers()
        for pid in workers if whom == "worker" else {supervised.popen.pid}:
            os.kill(pid, signal.SIGTERM)
        if whom == "worker":
            supervised.until_logged("was told to leave", 2)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_workers_share_the_connections_evenly(supervised: Supervised) -> None:
    connections = []
    try:
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", supervised.port, timeout=PATIENCE)
            connections.append(connection)
            connection.request("GET", "/")
            connection.pid = int(connection.getresponse().read().split()[1])  # type: ignore[attr-defined]
        counts = [
            sum(connection.pid == pid for connection in connections)  # type: ignore[attr-defined]
            for pid in supervised.workers()
        ]
    finally:
        for connection in connections:
            connection.close()
    assert sum(counts) == 20
    assert min(counts) >= 8


def test_recycling(tmp_path: Path) -> None:
    made = Supervised(tmp_path, "--max-requests", "50", "--max-requests-jitter", "10")
    try:
        made.until_logged("generation 1 serves")
        before = made.workers()
        load = Load(made)
        made.until_logged("succeeds it", 2)
        made.until(lambda: not before & made.workers())
        load.stop()
        assert load.failures == []
    finally:
        made.end()


def test_recycling_goes_on_after_a_successor_has_failed(tmp_path: Path) -> None:
    made = Supervised(tmp_path, "--max-requests", "1")
    try:
        made.until_logged("generation 1 serves")
        before = made.workers()
        (tmp_path / "broken").touch()
        served = {made.ask()[1]}
        made.until_logged("ended with status 1 soon after its start")
        assert before <= made.workers()
        (tmp_path / "broken").unlink()
        made.until(lambda: not served & made.workers())
    finally:
        made.end()


def test_more_and_fewer_workers(supervised: Supervised) -> None:
    supervised.tell(signal.SIGTTIN)
    supervised.until(lambda: len(supervised.workers()) == 3)
    supervised.tell(signal.SIGTTOU)
    supervised.until(lambda: len(supervised.workers()) == 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_end(supervised: Supervised, number: int) -> None:
    workers = supervised.workers()
    supervised.tell(number)
    assert supervised.popen.wait(PATIENCE) == 0
    assert not any(map(is_running, workers))
