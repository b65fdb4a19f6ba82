"""hublet's worker class under the real gunicorn: its contract, seen from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from gunicorn.ctl.client import ControlClient
from websockets.sync.client import connect

from .process import DOTTED, ENTRY_POINT, gunicorn

HOOKS = """
from pathlib import Path
def note(text):
    with open("hooks", "a") as file:
        file.write(text + "\\n")
def on_starting(server): note(f"on_starting")
def when_ready(server): note(f"when_ready {server.num_workers}")
def pre_fork(server, worker): note("pre_fork")
def post_fork(server, worker): note("post_fork")
def post_worker_init(worker): note(f"post_worker_init {worker.age} {callable(worker.wsgi)}")
def pre_request(worker, req):
    req.mark = "kept"
    note(f"pre_request {req.method} {req.path} {req.query} {dict(req.headers)['X-SENT']}")
def post_request(worker, req, environ, resp):
    note(f"post_request {req.mark} {environ['PATH_INFO']} {resp.status} {resp.sent} {dict(resp.headers)['X-Answer']}")
def worker_int(worker): note("worker_int")
def worker_abort(worker): note("worker_abort")
def worker_exit(server, worker): note("worker_exit")
def child_exit(server, worker): note("child_exit")
def on_exit(server): note("on_exit")
"""


@pytest.mark.parametrize("worker", [DOTTED, ENTRY_POINT])
def test_hooks_are_called_in_order_by_both_names(tmp_path: Path, worker: str) -> None:
    with gunicorn(tmp_path, worker=worker, configuration=HOOKS) as served:
        status, body = served.get("/a?b=c", X_Sent="yes")
        assert status == 200
        served.until(lambda: "post_request" in (tmp_path / "hooks").read_text())
        assert served.end() == 0
    noted = (tmp_path / "hooks").read_text().splitlines()
    assert noted == [
        "on_starting",
        "when_ready 1",
        "pre_fork",
        "post_fork",
        "post_worker_init 1 True",
        "pre_request GET /a b=c yes",
        f"post_request kept /a 200 OK {len(body)} forty-two",
        "worker_exit",
        "child_exit",
        "on_exit",
    ]


ATOMS = ("h", "l", "u", "r", "s", "m", "U", "q", "H", "b", "B", "f", "a", "{x-sent}i", "{x-answer}o", "{raw_uri}e")
FORMAT = "|".join(f"%({atom})s" for atom in ATOMS)


def test_access_log_atoms_are_those_of_gunicorns_own_workers(tmp_path: Path) -> None:
    lines = {}
    for worker in (DOTTED, "gthread", "gevent"):
        folder = tmp_path / worker
        folder.mkdir()
        options = ("--access-logfile", "access", "--access-logformat", FORMAT)
        with gunicorn(folder, *options, worker=worker) as served:
            served.get("/environ?SERVER_PROTOCOL", X_Sent='a "quote"', User_Agent="me", Referer="http://there/")
            served.get("/environ?PATH_INFO", Authorization="Basic am9lOng=")
            served.raw(b"HEAD /environ?PATH_INFO HTTP/1.0\r\nHost: x\r\n\r\n")
            served.until(lambda folder=folder: len((folder / "access").read_text().splitlines()) == 3)  # type: ignore[misc]
        lines[worker] = (folder / "access").read_text().splitlines()
    ours = lines.pop(DOTTED)
    for worker, theirs in lines.items():
        assert ours[:2] == theirs[:2], worker
    # gunicorn counts the body that HEAD does not send.
    assert ours[2].split("|")[:9] == lines["gthread"][2].split("|")[:9]


def test_errors_refusals_and_statistics_are_logged(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        options = ("--statsd-host", f"127.0.0.1:{statsd.getsockname()[1]}", "--statsd-prefix", "shop")
        with gunicorn(tmp_path, *options, "--access-logfile", "-") as served:
            assert served.get("/error")[0] == 500
            assert served.raw(b"BAD\r\n\r\n").startswith(b"HTTP/1.1 400 ")
            assert served.get("/") is not None
            seen: set[str] = set()
            wanted = {"shop.gunicorn.request.status.500", "shop.gunicorn.request.status.200", "shop.gunicorn.requests"}
            while not wanted | {"shop.gunicorn.request.duration", "shop.gunicorn.log.exception"} <= seen:
                seen.add(statsd.recv(1000).decode().partition(":")[0])
            served.until_logged('"GET / HTTP/1.1" 200')
            assert "the application's own mistake" in served.log
            assert '"GET /error HTTP/1.1" 500' in served.log
            assert '"- - -" 400' in served.log


def test_a_blocked_worker_is_replaced_and_says_where_it_was(tmp_path: Path) -> None:
    configuration = 'def worker_abort(worker): open("aborted", "w").close()\n'
    with gunicorn(tmp_path, "--timeout", "1", configuration=configuration) as served:
        time_of_calm = time.monotonic() + 2
        first = served.pid()
        served.until(lambda: time.monotonic() > time_of_calm)
        assert served.pid() == first  # it notifies while it is idle
        threading.Thread(
            target=served.raw, args=(b"GET /block HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",)
        ).start()
        served.until_logged("WORKER TIMEOUT")
        served.until_logged("Booting worker", 2)
        assert served.pid() != first
        assert (tmp_path / "aborted").exists()
        assert "the hub is blocked" in served.log
        assert "while time.monotonic() < end" in served.log


@pytest.mark.parametrize("number, survives", [(signal.SIGTERM, True), (signal.SIGQUIT, False)])
def test_term_lets_a_request_finish_and_quit_does_not(tmp_path: Path, number: int, survives: bool) -> None:
    hook = 'def worker_int(worker): open("interrupted", "w").close()\n'
    answers: list[bytes] = []
    with gunicorn(tmp_path, configuration=hook) as served:
        request = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        client = threading.Thread(target=lambda: answers.append(served.raw(request)))
        client.start()
        served.until((tmp_path / "slow").exists)
        served.tell(number)
        client.join()
        served.popen.wait(20)
    assert (b"200 OK" in answers[0]) is survives
    assert (tmp_path / "interrupted").exists() is not survives


def test_recycling_loses_no_request(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--max-requests", "50", "--max-requests-jitter", "5", "-w", "2") as served:
        pids = set()
        for _ in range(300):
            status, body = served.get()
            assert status == 200
            pids.add(body)
        served.until_logged("Autorestarting worker", 2)
        served.until(lambda: len(pids | {served.get()[1]}) > 2)  # on a busy machine a successor takes its time
        assert "Traceback" not in served.log


def test_connections_are_shared_even_after_a_worker_was_killed(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "-w", "2") as served:
        served.until_logged("Booting worker", 2)
        for attempt in (1, 2):
            seen: Counter[str] = Counter()
            served.until(lambda: len({served.get()[1] for _ in range(8)}) == 2)
            connections = [served.connect() for _ in range(40)]
            for each in connections:
                each.connect()
            for each in connections:
                each.request("GET", "/")
                seen[each.getresponse().read().decode()] += 1
            for each in connections:
                each.close()
            assert len(seen) == 2
            assert min(seen.values()) >= 10, seen
            if attempt == 1:
                os.kill(served.pid(), signal.SIGKILL)
                served.until_logged("Booting worker", 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_a_worker_that_is_told_to_leave_before_it_has_handlers_leaves(tmp_path: Path, number: int) -> None:
    """The master's handler still has the signal then, and a reload waited for such a worker until its time was over."""
    first_only = f"import os\ndef post_fork(server, worker): worker.age == 1 and os.kill(os.getpid(), {int(number)})\n"
    with gunicorn(tmp_path, configuration=first_only) as served:
        served.until_logged("Worker exiting")
        served.until_logged("Booting worker", 2)
        assert served.get()[0] == 200
        assert served.end() == 0
        assert "Traceback" not in served.log


def test_a_worker_that_is_told_again_while_it_ends_ends_well(tmp_path: Path) -> None:
    """gunicorn 23 tells it in each turn of its loop; the interpreter's end had taken the handler away."""
    again = """if True:
        import os
        class Last:
            def __del__(self, kill=os.kill, getpid=os.getpid): kill(getpid(), 15)
        def post_fork(server, worker): server.last = worker.age == 1 and Last()
    """
    with gunicorn(tmp_path, configuration=again) as served:
        served.until_logged("Booting worker")
        assert served.get()[0] == 200
        served.tell(signal.SIGHUP)
        served.until_logged("Worker exiting")
        served.until_logged("Booting worker", 2)
        assert served.get()[0] == 200
        assert served.end() == 0
        assert "was sent" not in served.log


def test_signals_of_the_master(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("1")
    with gunicorn(tmp_path, "--access-logfile", "access", "--pid", "pid") as served:
        (tmp_path / "version").write_text("2")
        served.tell(signal.SIGHUP)
        served.until(lambda: served.get()[1].startswith("2"))
        served.tell(signal.SIGTTIN)
        served.until_logged("Booting worker", 3)
        served.tell(signal.SIGTTOU)
        served.until_logged("Worker exiting", 2)
        served.get()
        (tmp_path / "access").rename(tmp_path / "old")
        served.tell(signal.SIGUSR1)
        served.until(lambda: served.get() and (tmp_path / "access").exists() and (tmp_path / "access").read_text())
        served.tell(signal.SIGUSR2)
        served.until(lambda: (tmp_path / "pid.2").exists() and (tmp_path / "pid.2").read_text().strip())
        successor = int((tmp_path / "pid.2").read_text())
        served.until_logged("Booting worker", 4)
        try:
            assert served.end() == 0
            assert served.get()[0] == 200  # by the successor
        finally:
            os.kill(successor, signal.SIGTERM)
            served.until(lambda: not Path(f"/proc/{successor}").exists())


@pytest.mark.parametrize("configuration", ["", "from gevent import monkey; monkey.patch_all()\n"])
def test_a_dead_worker_is_noticed_at_once(tmp_path: Path, configuration: str) -> None:
    with gunicorn(tmp_path, configuration=configuration) as served:
        os.kill(served.pid(), signal.SIGKILL)
        served.until_logged("Booting worker", 2)
        assert served.get()[0] == 200


def test_the_control_socket_answers(tmp_path: Path) -> None:
    configuration = "control_socket_disable = False\n"
    with gunicorn(tmp_path, "--control-socket", str(tmp_path / "control"), configuration=configuration) as served:
        for number in (1, 2):
            served.until_logged("Control socket listening", number)
            with ControlClient(str(tmp_path / "control"), timeout=10) as client:
                workers = client.send_command("show workers")["workers"]
            assert [each["pid"] for each in workers] == [served.pid()]
            os.kill(served.pid(), signal.SIGKILL)
            served.until_logged("Booting worker", number + 1)
            assert served.get()[0] == 200


def test_limits_hold_where_gunicorn_has_them(tmp_path: Path) -> None:
    options = ("--limit-request-line", "200", "--limit-request-fields", "5", "--limit-request-field_size", "100")
    with gunicorn(tmp_path, *options, "--keep-alive", "0") as served:

        def status(line: int = 0, count: int = 0, size: int = 0) -> int:
            target = b"/" + b"a" * max(line - len("GET / HTTP/1.1"), 0)
            fields = b"".join(b"X%d: y\r\n" % number for number in range(max(count - 1, 0)))
            if size:
                fields += b"X: " + b"b" * (size - len("X: \r\n")) + b"\r\n"
            return int(served.raw(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (target, fields)).split()[1])

        assert [status(line=each) for each in (199, 200, 201)] == [200, 200, 414]
        assert [status(count=each) for each in (4, 5, 6)] == [200, 200, 431]
        assert [status(size=each) for each in (99, 100, 101)] == [200, 200, 431]


def test_proxies_unix_sockets_and_several_addresses(tmp_path: Path) -> None:
    configuration = 'bind = ["127.0.0.1:0", "unix:socket"]\nworkers = 2\n'
    with gunicorn(tmp_path, "--forwarded-allow-ips", "127.0.0.1", configuration=configuration) as served:
        names = "REMOTE_ADDR,wsgi.url_scheme,wsgi.multiprocess"
        forwarded = {"X_Forwarded_For": "192.0.2.7", "X_Forwarded_Proto": "https"}
        assert served.get(f"/environ?{names}", **forwarded) == (200, "192.0.2.7|https|True")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
            client.sendall(b"GET /environ?REMOTE_ADDR HTTP/1.0\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n")
            answer = b""
            while part := client.recv(1000):
                answer += part
            assert answer.endswith(b"192.0.2.8")
    with gunicorn(tmp_path, "--forwarded-allow-ips", "192.0.2.1") as served:
        assert served.get(f"/environ?{names}", **forwarded) == (200, "127.0.0.1|http|False")


def test_websockets_and_settings_that_gunicorn_has_no_name_for(tmp_path: Path) -> None:
    options = ("--threads", "4", "--proxy-protocol", "auto")
    with gunicorn(tmp_path, *options, HUBLET_SERVER_HEADER="shop", HUBLET_GRACE="3", HUBLET_BIND=":1") as served:
        with connect(f"ws://127.0.0.1:{served.port}/") as websocket:
            websocket.send("hello")
            assert websocket.recv(10) == "hello"
        with connect(f"ws://127.0.0.1:{served.port}/rooms") as websocket:
            websocket.send("hello")
            assert websocket.recv(10) == "HELLO"
        assert b"Server: shop" in served.raw(b"GET / HTTP/1.0\r\n\r\n")
        served.end()
        for name in ("threads", "proxy_protocol"):
            assert len(re.findall(f"{name} is ignored by hublet's worker: ", served.log)) == 1
        assert served.log.count("HUBLET_BIND is ignored: ") == 1
        assert served.log.count("is ignored") == 3


def test_a_preloaded_application_cooperates_and_a_changed_one_is_reloaded(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--preload", configuration="import gunicorn.util as early\n") as served:
        answers: list[int] = []
        clients = [threading.Thread(target=lambda: answers.append(served.get("/slow")[0])) for _ in range(5)]
        begun = time.monotonic()
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        assert answers == [200] * 5
        assert time.monotonic() - begun < 4
    with gunicorn(tmp_path, "--reload") as served:
        first = served.pid()
        source = tmp_path / "application.py"
        source.write_text(
            source.read_text().replace('read_text() if Path("version").exists() else "1"', 'name + "new"')
        )
        os.utime(source, (time.time() + 5, time.time() + 5))
        served.until(lambda: served.get()[1].startswith("version"))
        assert served.pid() != first


def test_what_was_imported_too_early_is_named_once(tmp_path: Path) -> None:
    module = "import socket\nclass Early(socket.socket):\n    pass\n"
    (tmp_path / "too_early.py").write_text(module)
    with gunicorn(tmp_path, configuration="import sys\nsys.path.insert(0, '.')\nimport too_early\n") as served:
        assert served.get()[0] == 200
        assert served.log.count("too_early.Early is a subclass of the unpatched socket.socket") == 1
