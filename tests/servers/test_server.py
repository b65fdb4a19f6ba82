"""WSGIServer from Python: what its constructor takes, what it tells about itself, and its life from start to stop."""

from __future__ import annotations

import io
import logging
import signal
import socket as stdlib_socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from gevent.pool import Group, Pool
from hublet.runtime.errors import SettingsError
from hublet.servers.server import WSGIServer
from hublet.servers.settings import Settings

from tests.conftest import GET, Client, Launch, Served, Serving, wait_until
from tests.servers.http1.apps import answering

hello = answering(lambda: [b"hello"])


def showing(*keys: str) -> Callable[..., Iterable[bytes]]:
    """An application that answers these values of its environ."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [repr([environ.get(key) for key in keys]).encode()]

    return app


def has_ipv6() -> bool:
    try:
        with stdlib_socket.socket(stdlib_socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# Listeners.


def bound(module: Any, backlog: int | None) -> Any:
    """A bound socket, listening if there is a backlog."""
    listener = module.socket()
    listener.bind(("127.0.0.1", 0))
    if backlog:
        listener.listen(backlog)
    return listener


LISTENERS: dict[str, Callable[[], Any]] = {
    "pair": lambda: ("127.0.0.1", 0),
    "pair with a name": lambda: ("localhost", 0),
    "pair without a host": lambda: ("", 0),
    "text": lambda: "127.0.0.1:0",
    "text without a host": lambda: ":0",
    "port": lambda: 0,
    "port as text": lambda: "0",
    "bound socket": lambda: bound(socket, None),
    "listening socket": lambda: bound(socket, 5),
    "blocking socket": lambda: bound(stdlib_socket, 5),
    "list of sockets": lambda: [bound(socket, 5), bound(stdlib_socket, None)],
}


@pytest.mark.parametrize("kind", LISTENERS)
def test_every_form_of_listener_is_served(serve: Serving, kind: str) -> None:
    served = serve(hello, {"listener": LISTENERS[kind]()})
    assert served.server.server_port == served.server.address[1] > 0
    client = Client(("127.0.0.1", served.server.server_port))
    assert client.get().body == b"hello"
    client.close()


def test_each_socket_of_a_list_is_served_under_its_own_port(serve: Serving) -> None:
    listeners = [bound(socket, 5) for _ in range(3)]
    ports = [listener.getsockname()[1] for listener in listeners]
    served = serve(showing("SERVER_NAME", "SERVER_PORT"), {"listener": listeners})
    for port in ports:
        client = Client(("127.0.0.1", port))
        assert client.get().body == repr(["127.0.0.1", str(port)]).encode()
        client.close()
    assert served.server.server_port == ports[0]
    assert served.server.statistics().accepted == 3


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("listener", [("::1", 0), "[::1]:0"], ids=repr)
def test_ipv6(serve: Serving, listener: Any) -> None:
    served = serve(showing("SERVER_NAME", "REMOTE_ADDR", "REMOTE_PORT"), {"listener": listener})
    client = served.connect()
    port = str(client.socket.getsockname()[1])
    assert client.get().body == repr(["::1", "::1", port]).encode()
    assert served.server.server_host == "::1"


def test_a_unix_socket(serve: Serving, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    served = serve(showing("REMOTE_ADDR", "SERVER_PORT", "PATH_INFO"), {"listener": listener})
    assert (served.server.server_host, served.server.server_port) == (None, None)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
        client.sendall(GET)
        assert client.recv(1000).endswith(b"['', '80', '/']")


def test_an_address_in_use_is_named() -> None:
    with bound(stdlib_socket, 5) as listener:
        port = listener.getsockname()[1]
        server = WSGIServer(("127.0.0.1", port), hello, log=None)
        with pytest.raises(OSError, match=f"127.0.0.1.*{port}"):
            server.start()
    assert (server.started, server.closed) == (False, True)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a listener's backlog by TCP_INFO")
@pytest.mark.parametrize("given, expected", [({"backlog": 7}, 7), ({}, 9)])
def test_the_backlog(serve: Serving, given: dict[str, int], expected: int) -> None:
    served = serve(hello, given, backlog=9)
    info = served.server.socket.getsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_INFO, 104)
    assert struct.unpack_from("I", info, 28) == (expected,)


# The other arguments.


@pytest.mark.parametrize(
    "spawn, limit", [(3, 3), (Pool(3), 3), ("default", 0), (None, 0), (gevent.spawn, 0), (Group(), 0)]
)
def test_spawn_bounds_the_requests_in_flight(serve: Serving, spawn: Any, limit: int) -> None:
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        go_on.wait()
        start_response("200 OK", [])
        return []

    served = serve(app, {"spawn": spawn})
    clients = [served.connect().send(GET) for _ in range(5)]
    served.until(in_flight=limit or 5, queued=5 - (limit or 5))
    go_on.set()
    assert {client.response().status for client in clients} == {200}


@pytest.mark.parametrize(
    "spawn, error", [(0, SettingsError), (-1, SettingsError), (object(), TypeError), (1.5, TypeError)]
)
def test_a_spawn_that_means_nothing_is_refused(spawn: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="spawn"):
        WSGIServer(("127.0.0.1", 0), hello, spawn=spawn)


@pytest.mark.parametrize("arguments", [{"handler_class": object}, {"certificates": "x"}], ids=repr)
def test_an_argument_of_pywsgi_that_means_nothing_here_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(arguments))):
        WSGIServer(("127.0.0.1", 0), hello, **arguments)


@pytest.mark.parametrize("application", [None, "module:app", 5])
def test_an_application_that_cannot_be_called_is_refused(application: Any) -> None:
    with pytest.raises(TypeError, match="application"):
        WSGIServer(("127.0.0.1", 0), application, log=None).start()


class Collector(logging.Handler):
    """A handler that keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.mark.parametrize("kind", ["stream", "logger", "default"])
def test_log_receives_a_line_for_each_request(serve: Serving, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, collector = io.StringIO(), Collector()
    logger = logging.Logger("test")
    logger.addHandler(collector)
    if kind == "default":
        monkeypatch.setattr(sys, "stderr", stream)
    served = serve(hello, {"log": {"stream": stream, "logger": logger, "default": "default"}[kind]})
    for _ in range(2):
        served.get("/path?q=1")
    wait_until(lambda: len(collector.lines) + stream.getvalue().count("\n") >= 2)
    lines = collector.lines or stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all('"GET /path?q=1 HTTP/1.1" 200 5' in line for line in lines)
    assert not collector.lines or all(line.startswith("INFO 127.0.0.1 ") for line in lines)


@pytest.mark.parametrize("kind", ["stream", "logger", "default", "none"])
def test_error_log_is_wsgi_errors_and_receives_tracebacks(
    serve: Serving, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, collector = io.StringIO(), Collector()
    logger = logging.Logger("test")
    logger.addHandler(collector)
    monkeypatch.setattr(sys, "stderr", stream)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        errors = environ["wsgi.errors"]
        errors.write("written\n")
        errors.writelines(["one\n", "two\n"])
        errors.flush()
        raise ValueError("raised")

    choices = {"stream": stream, "logger": logger, "default": "default", "none": None}
    assert serve(app, {"error_log": choices[kind]}).get().status == 500
    text = "\n".join(collector.lines) + stream.getvalue()
    for part in ("written", "one", "two", "ValueError: raised"):
        assert (part in text) is (kind != "none")
    assert all(line.startswith("ERROR ") for line in collector.lines)


def test_a_log_that_fails_costs_no_response(serve: Serving) -> None:
    class Broken:
        def write(self, text: str) -> None:
            raise OSError("the disk is full")

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/bad":
            raise ValueError
        return hello(environ, start_response)

    served = serve(app, {"log": Broken(), "error_log": Broken()})
    client = served.connect()
    assert [client.get("/good").status, client.get("/bad").status, client.get("/good").status] == [200, 500, 200]
    assert "the disk is full" in serve.hub_errors()


def test_environ_is_added_to_every_request(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        answer = repr(
            [environ.pop("mine"), environ.get("other"), environ["SERVER_SOFTWARE"], environ["wsgi.url_scheme"]]
        )
        environ["other"] = "left behind"
        return [answer.encode()]

    given = {"mine": "value", "SERVER_SOFTWARE": "mine/1.0", "wsgi.url_scheme": "https"}
    client = serve(app, {"environ": given}).connect()
    for _ in range(3):
        assert client.get().body == repr(["value", None, "mine/1.0", "https"]).encode()


def test_what_the_server_tells_every_application(serve: Serving) -> None:
    environ: dict[str, Any] = {}

    def app(seen: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ.update(seen)
        return hello(seen, start_response)

    served = serve(app)
    client = served.connect()
    client.get("/a%20b?c=%20", "X-Twice: 1", "x-twice: 2", "Cookie: a=1", "Cookie: b=2", "Content-Type: text/x")
    expected = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a b", "QUERY_STRING": "c=%20",
        "RAW_URI": "/a%20b?c=%20",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(served.server.server_port), "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": str(client.socket.getsockname()[1]), "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_HOST": "x", "HTTP_X_TWICE": "1,2", "HTTP_COOKIE": "a=1; b=2", "CONTENT_TYPE": "text/x",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.multithread": True, "wsgi.multiprocess": False,
        "wsgi.run_once": False, "wsgi.input_terminated": True,
    }  # fmt: skip
    assert {key: environ.get(key) for key in expected} == expected
    assert type(environ) is dict


# Life.


def test_a_server_tells_its_state(serve: Serving) -> None:
    served = serve(hello)
    server = served.server
    assert (server.started, server.closed, server.server_host) == (True, False, "127.0.0.1")
    assert server.address == server.socket.getsockname()
    server.stop()
    assert (server.started, server.closed) == (False, True)
    with pytest.raises(AttributeError):
        server.socket


def test_before_its_start_a_server_has_an_address_but_no_socket() -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    assert (server.started, server.closed, server.address, server.server_port) == (False, True, ("127.0.0.1", 0), 0)
    assert set(vars_of(server.statistics())) == {0}
    with pytest.raises(AttributeError):
        server.socket
    server.stop()  # nothing to do
    server.close()


def vars_of(statistics: Any) -> list[int]:
    return [getattr(statistics, name) for name in type(statistics).__dataclass_fields__]


def test_start_and_stop_may_be_repeated(serve: Serving) -> None:
    served = serve(hello)
    port = served.server.server_port
    for _ in range(2):
        served.server.start()
        assert served.get().body == b"hello"
        served.server.stop()
        served.server.stop()
        served.server.start()
        assert served.server.server_port == port  # as with pywsgi
        assert served.get().body == b"hello"


def test_close_ends_listening_and_nothing_else(serve: Serving) -> None:
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        go_on.wait()
        return hello(environ, start_response)

    served = serve(app)
    client = served.connect().send(GET)
    served.until(in_flight=1)
    served.server.close()
    with pytest.raises(ConnectionRefusedError):
        served.connect()
    go_on.set()
    assert client.response().body == b"hello"
    assert client.get().body == b"hello"


def test_the_end_of_a_with_block_stops_the_server(serve: Serving) -> None:
    served = serve(hello)
    with served.server as server:
        assert served.get().body == b"hello"
    assert not server.started


def test_serve_forever_ends_when_another_greenlet_stops_the_server(serve: Serving) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    serving = gevent.spawn(server.serve_forever)
    wait_until(lambda: server.started)
    client = Client(server.address)
    assert client.get().body == b"hello"
    server.stop()
    client.expect_end()
    client.close()
    with gevent.Timeout(1):
        assert serving.get() is None


def test_serve_forever_that_is_killed_stops_the_server(serve: Serving) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    serving = gevent.spawn(server.serve_forever)
    wait_until(lambda: server.started)
    serving.kill()
    assert (server.started, server.closed) == (False, True)


def test_an_application_assigned_later_answers_from_then_on(serve: Serving) -> None:
    served = serve(hello)
    client = served.connect()
    assert client.get().body == b"hello"
    served.server.application = answering(lambda: [b"other"])
    assert client.get().body == b"other"


def test_accepting_may_be_interrupted(serve: Serving) -> None:
    served = serve(hello)
    served.server.stop_accepting()
    client = served.connect().send(GET)
    gevent.idle()
    assert client.is_silent()
    served.server.start_accepting()
    assert client.response().body == b"hello"


def test_a_server_in_another_thread() -> None:
    started = threading.Event()
    found: list[Any] = []

    def run() -> None:
        server = WSGIServer(("127.0.0.1", 0), hello, log=None)
        server.start()
        found.extend([server, gevent.get_hub()])
        started.set()
        server.serve_forever()
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    server, hub = found
    client = Client(server.address)
    assert client.get().body == b"hello"
    client.close()
    hub.loop.run_callback_threadsafe(gevent.spawn, server.stop)
    thread.join(5)
    assert not thread.is_alive()


def test_several_servers_on_one_hub(serve: Serving) -> None:
    several: list[Served] = [serve(showing("SERVER_PORT")) for _ in range(3)]
    for served in several:
        assert served.get().body == repr([str(served.server.server_port)]).encode()


def test_settings_are_passed_on_and_not_changed(serve: Serving) -> None:
    settings = Settings(server_header="mine")
    server = WSGIServer(("127.0.0.1", 0), hello, log=None, spawn=4, settings=settings)
    assert (server.settings.max_in_flight, settings.max_in_flight, server.settings.server_header) == (4, 0, "mine")


FOREVER = """
    import sys
    import gevent
    from hublet.servers.server import WSGIServer

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/interrupt":
            if "wsgi.websocket" in environ:
                environ["wsgi.websocket"].accept()
            raise KeyboardInterrupt
        if environ["PATH_INFO"] == "/hold":
            gevent.sleep(60)
        start_response("200 OK", [])
        return [b"hello"]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print(server.server_port, flush=True)
    try:
        server.serve_forever(stop_timeout=0.2)
    finally:
        print("stopped" if server.closed and not server.started else "running", file=sys.stderr)
"""


UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.mark.parametrize("origin", ["signal", "signal while busy", "application", "websocket application"])
def test_ctrl_c_ends_the_program_in_order(launch: Launch, origin: str) -> None:
    process = launch(FOREVER)
    client = process.connect()
    assert client.get().body == b"hello"
    if origin == "application":  # where the signal finds the interpreter if the application computes
        client.send(b"GET /interrupt HTTP/1.1\r\nHost: x\r\n\r\n")
    elif origin == "websocket application":
        client.send(b"GET /interrupt HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n")
    else:
        if origin == "signal while busy":
            client.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
            assert process.connect().get().body == b"hello"
        process.popen.send_signal(signal.SIGINT)
    assert process.popen.wait(5) != 0
    assert "KeyboardInterrupt" in process.errors()
    assert "stopped" in process.errors()
