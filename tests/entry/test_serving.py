"""Serving: the banner, the logs, and an orderly end, in processes of their own; the parts that need none, here."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import gevent
import hublet
import pytest
from gevent.event import Event
from gevent.queue import Queue
from hublet import serving
from hublet.serving import Life, describe, serve

from loadtests.private.process import free_port
from tests.entry.conftest import PATIENCE, Ask, Start, get

ADDRESS = ("--bind", "127.0.0.1:0")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """An application that says when it begins and then takes the query's time."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "def app(environ, start_response):\n"
        "    environ['wsgi.errors'].write('begun\\n')\n"
        "    time.sleep(float(environ['QUERY_STRING']))\n"
        "    start_response('200 OK', [])\n"
        "    return [b'done']\n"
    )
    return "slow:app"


def test_the_banner(command: Start) -> None:
    running = command("shop:app", *ADDRESS, "--bind", "[::1]:0")
    first = running.wait_for(r"\[(\d+)\] INFO hublet (\S+) serves shop:app \(pid (\d+), Python .*, gevent .*\)\n")
    assert first[1] == first[3] == str(running.process.pid)
    assert first[2] == hublet.__version__
    for host in (r"127\.0\.0\.1", r"\[::1\]"):
        url = running.url()
        assert get(url) == "hello"
        assert int(url.rpartition(":")[2]) > 0, host
    running.wait_for(r"setting bind = 127\.0\.0\.1:0, \[::1\]:0, from --bind\n")
    assert running.stop() == 0
    assert "setting grace" not in running.errors


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_quiet_log(command: Start, tmp_path: Path) -> None:
    port = free_port()
    running = command("shop", "--bind", f"127.0.0.1:{port}", "--log-level", "error", "--access-log", "json")
    deadline = time.monotonic() + PATIENCE
    while not is_open(port):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert get(f"http://127.0.0.1:{port}") == "hello"
    assert running.stop() == 0
    assert running.errors == ""
    assert json.loads(running.output)["status"] == 200


def test_the_access_log_goes_where_it_is_told(command: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    running = command("shop", *ADDRESS, "--access-log", "combined", "--access-log-file", str(path))
    get(running.url() + "/a?0")
    assert running.stop() == 0
    assert '"GET /a?0 HTTP/1.1" 200 5 ' in path.read_text()
    running = command("shop", *ADDRESS, "--access-log", "json", "--access-log-file", str(tmp_path))
    assert running.wait() == 2
    assert f"access_log_file = {str(tmp_path)!r} (from --access-log-file)" in running.errors
    assert "cannot be opened for writing: Is a directory" in running.errors


def test_an_access_log_that_nobody_reads_delays_no_request(command: Start) -> None:
    running = command("shop", *ADDRESS, "--access-log", "combined")  # into a pipe, which takes 64 KiB
    client = http.client.HTTPConnection(urllib.parse.urlsplit(running.url()).netloc, timeout=PATIENCE)
    with closing(client):
        for number in range(1000):
            client.request("GET", f"/{number}/{'x' * 200}")
            assert client.getresponse().read() == b"hello"
    assert running.stop() == 0
    assert [line.split("/")[3] for line in running.output.splitlines()] == [str(number) for number in range(1000)]


def test_an_error_of_the_application_is_in_the_error_log(command: Start, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def app(environ, start_response):\n    raise LookupError('no price')\n")
    running = command("broken", *ADDRESS)
    with pytest.raises(OSError, match="500"):
        get(running.url() + "/price")
    running.wait_for(r"Traceback \(most recent call last\):\n(?:.*\n)+?.*LookupError: no price\n")
    assert running.stop() == 0


def test_sleeping_requests_overlap(command: Start, pool: ThreadPoolExecutor) -> None:
    running = command("shop", *ADDRESS)
    url = running.url()
    assert set(pool.map(get, [f"{url}/?0.3"] * 8)) == {"hello"}
    assert running.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_finishes(command: Start, ask: Ask, slow: str, number: int) -> None:
    running = command(slow, *ADDRESS)
    request = ask(running.url(), "0.5")
    running.wait_for("begun")
    running.signal(number)
    running.wait_for(f"{signal.Signals(number).name}: stopping; requests in flight: 1, with 30 seconds to finish")
    assert request.getresponse().read() == b"done"
    assert running.wait() == 0
    assert running.errors.rstrip().endswith("stopped")


def test_a_request_that_takes_longer_than_the_grace_time_is_cut_off(command: Start, ask: Ask, slow: str) -> None:
    running = command(slow, *ADDRESS, "--grace", "0.1")
    request = ask(running.url(), "1000")
    running.wait_for("begun")
    assert running.stop() == 0
    assert request.getresponse().status in (500, 503)


def test_a_second_interrupt_does_not_wait(command: Start, ask: Ask, slow: str) -> None:
    running = command(slow, *ADDRESS, "--grace", "1000")
    request = ask(running.url(), "1000")
    running.wait_for("begun")
    running.signal(signal.SIGINT)
    running.wait_for("stopping; requests in flight: 1")
    running.signal(signal.SIGINT)
    running.wait_for("stopping at once; requests in flight cut off: 1")
    assert running.wait() == 0
    assert request.getresponse().status in (500, 503)


SCRIPT = """
import sys
{patch}
import hublet

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"from python"]

hublet.serve({app}, bind="127.0.0.1:0", server_header="")
print("returned")
"""
PATCH = "from gevent import monkey; monkey.patch_all()"


@pytest.mark.parametrize("app, name", [("app", "__main__:app"), ("'shop:app'", "shop:app")])
def test_serve_in_a_program(command: Start, app: str, name: str) -> None:
    running = command(script=SCRIPT.format(patch=PATCH, app=app))
    running.wait_for(f"serves {name} ")
    assert get(running.url()) == ("from python" if app == "app" else "hello")
    running.wait_for("setting server_header = empty, from a keyword argument")
    assert running.stop() == 0
    assert running.output == "returned\n"
    assert "WARNING" not in running.errors


def test_serve_warns_in_a_program_that_is_not_patched(command: Start) -> None:
    running = command(script=SCRIPT.format(patch="", app="app"))
    running.wait_for("WARNING the standard library is not patched: .*hublet.patch_all")
    assert get(running.url()) == "from python"
    assert running.stop() == 0
    assert running.errors.count("WARNING") == 1


def test_serve_puts_the_signals_back(command: Start) -> None:
    script = SCRIPT.format(patch=PATCH, app="app") + (
        "import signal\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\n    sys.exit(3)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    running = command(script=script)
    running.url()
    running.signal(signal.SIGINT)
    assert running.wait() == 0
    assert running.output == "returned\nTrue\ninterrupted\n"


def test_serve_refuses_what_it_cannot_do() -> None:
    with pytest.raises(hublet.SettingsError, match="hublet --reload"):
        serve(lambda *_: [], reload=True)
    with pytest.raises(hublet.SettingsError, match="did you mean bind"):
        serve(lambda *_: [], binds="127.0.0.1:0")
    with pytest.raises(hublet.ListenError):
        serve(lambda *_: [], bind="nowhere")
    with pytest.raises(hublet.ApplicationLoadError):
        serve("no_such_module", bind="127.0.0.1:0")


def descriptors() -> set[str]:
    return set(os.listdir("/dev/fd"))


def test_serve_in_a_greenlet_ends_with_it_and_leaves_nothing_open() -> None:
    gevent.idle()  # the hub has descriptors too: have it now
    before = descriptors()
    answered = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answered.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return []

    port = free_port()
    with gevent.Timeout(20):
        running = gevent.spawn(serve, app, install_signals=False, bind=f"127.0.0.1:{port}", log_level="error", grace=1)
        while not answered:
            client = gevent.socket.socket()
            if client.connect_ex(("127.0.0.1", port)) == 0:
                client.sendall(b"GET /here HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
            client.close()
            gevent.sleep(0)
        running.kill()
    assert answered == ["/here"]
    assert descriptors() == before


class Standing:
    """A server that has requests in flight for as long as it is told; only what Life asks of one."""

    def __init__(self) -> None:
        self.idle = Event()
        self.stops: list[float] = []

    def statistics(self) -> Any:
        return type("Statistics", (), {"in_flight": 1})

    def stop(self, timeout: float, *, succeeded: bool = False) -> None:
        self.stops.append(timeout)
        self.idle.wait(timeout)


def test_a_life_that_is_not_hurried() -> None:
    server = Standing()
    life = Life(server, 1000)  # type: ignore[arg-type]

    def wait_and_drain() -> None:
        life.wait()
        life.drain()

    with gevent.Timeout(20):
        draining = gevent.spawn(wait_and_drain)
        life.signalled(signal.SIGTERM)
        life.signalled(signal.SIGTERM)
        while not server.stops:
            gevent.sleep(0)
        server.idle.set()
        draining.get()
    assert server.stops == [1000]


def test_only_a_second_interrupt_hurries() -> None:
    server = Standing()
    life = Life(server, 1000)  # type: ignore[arg-type]
    with gevent.Timeout(20):
        draining = gevent.spawn(life.drain)
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            life.signalled(number)
            gevent.idle()
        assert server.stops == [1000]
        life.signalled(signal.SIGINT)
        draining.get()
    assert server.stops == [1000, 0]


def test_a_life_that_is_interrupted_while_it_drains() -> None:
    server = Standing()
    life = Life(server, 1000)  # type: ignore[arg-type]
    with gevent.Timeout(20):
        draining = gevent.spawn(life.drain)
        while not server.stops:
            gevent.sleep(0)
        draining.kill()
    assert server.stops == [1000, 0]


def test_the_descriptor_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        serving.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        serving.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_system_that_refuses_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    granted = []

    def setrlimit(which: int, limits: tuple[int, int]) -> None:
        if limits[0] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")
        granted.append(limits)

    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    serving.raise_descriptor_limit()
    assert granted == [(serving.DARWIN_OPEN_MAX, resource.RLIM_INFINITY)]


def test_the_name_of_an_application() -> None:
    assert describe(describe) == "hublet.serving:describe"
    assert describe(Standing()) == f"{__name__}:Standing"


def test_three_interrupts_end_a_process_that_the_application_blocks(command: Start, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import os\ndef app(environ, start_response):\n    os.write(2, b'begun\\n')\n    while True: pass\n"
    )
    running = command("busy", *ADDRESS)
    ask(running.url())
    running.wait_for("begun")
    deadline, sent = time.monotonic() + PATIENCE, 0
    while running.process.poll() is None:  # signals that come faster than they are handled are one
        assert time.monotonic() < deadline
        running.signal(signal.SIGINT)
        sent += 1
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(timeout=0.3)
    assert running.wait() == -signal.SIGINT
    assert sent >= 3


def test_signals_reach_a_greenlet_and_are_put_back() -> None:
    gevent.idle()  # the hub has descriptors too: have it now
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    open_before = descriptors()
    numbers: Any = Queue()
    with gevent.Timeout(PATIENCE), serving.stop_signals(numbers.put):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            assert signal.getsignal(signal.SIGINT) != signal.SIG_DFL
            os.kill(os.getpid(), number)
            assert numbers.get() == number
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert descriptors() == open_before


def test_signals_outside_of_the_main_thread_are_refused_at_once() -> None:
    def attempt() -> str:
        try:
            serve(lambda *_: [], bind="127.0.0.1:0")
        except RuntimeError as error:
            return str(error)
        return ""

    assert "pass install_signals=False" in gevent.get_hub().threadpool.apply(attempt)
    assert serving.is_main_thread()


def test_the_end_of_the_lifeline_stops_like_sigterm() -> None:
    reader, writer = os.pipe()
    numbers: Any = Queue()
    with gevent.Timeout(PATIENCE), serving.watched_lifeline(reader, numbers.put):
        gevent.idle()
        assert numbers.empty()
        os.close(writer)
        assert numbers.get() == signal.SIGTERM


def test_an_access_log_whose_reader_is_gone_is_reported_once_and_counted(command: Start) -> None:
    running = command("shop", *ADDRESS, "--access-log", "combined")
    url = running.url()
    assert running.process.stdout is not None
    running.process.stdout.close()
    get(url)
    running.wait_for("ERROR access log: lines are lost, since writing fails: Broken pipe")
    get(url)
    running.signal(signal.SIGTERM)
    running.wait_for("WARNING access log: 2 lines were lost")
    running.process.wait(timeout=PATIENCE)
    assert running.errors.count("Broken pipe") == 1


def test_an_access_log_that_lost_nothing_says_nothing(command: Start) -> None:
    running = command("shop", *ADDRESS, "--access-log", "combined")
    get(running.url())
    assert running.stop() == 0
    assert "access log" not in running.errors


def test_the_statistics_file(command: Start, tmp_path: Path) -> None:
    running = command("shop:app", *ADDRESS, "--statistics-file", "live.jsonl", "--statistics-interval", "0.05")
    url = running.url()
    get(url)
    assert running.stop() == 0
    last = json.loads((tmp_path / "live.jsonl").read_text().splitlines()[-1])
    assert (last["pid"], last["requests"], last["in_flight"]) == (running.process.pid, 1, 0)


def test_a_statistics_file_that_cannot_be_written(command: Start) -> None:
    running = command("shop:app", *ADDRESS, "--statistics-file", "no/such/folder.jsonl")
    assert running.wait() == 2
    assert "statistics_file = 'no/such/folder.jsonl' (from --statistics-file): cannot be opened" in running.errors
