"""Applications and peers that do odd things cost their own request, and never another one."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hublet.runtime.errors import RequestBodyError
from hublet.servers.server import WSGIServer

from tests.conftest import GET, Client, CutShort, Serving, wait_until
from tests.servers.http1.apps import answering

MIB = 1 << 20


class Text(str):
    """A str subclass, as template engines use for safe markup."""


def test_a_list_that_changes_while_it_is_sent_is_sent_as_it_was(serve: Serving) -> None:
    shared = [b"<" * (8 * MIB), b">" * 10]
    client = serve(answering(lambda: shared)).connect(receive_buffer=4096).send(GET + GET)
    wait_until(lambda: not client.is_silent())
    shared.append(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    assert len(client.response().body) == 8 * MIB + 10
    shared.pop()
    client.close()


def test_pieces_are_measured_in_bytes(serve: Serving) -> None:
    pieces: list[Any] = [b"a", array("I", [1, 2, 3])]
    served = serve(answering(lambda: pieces))
    assert served.get().status == 500
    assert "must be made of bytes" in served.log


@pytest.mark.parametrize("status", [299, 420, 499, 599])
def test_a_request_body_error_of_an_odd_status_does_not_leak_its_place(serve: Serving, status: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise RequestBodyError(status, "odd \udc80")

    served = serve(app, max_in_flight=1)
    for _ in range(3):
        assert served.get().status == status
    assert served.server.statistics().in_flight == 0


def test_a_second_greenlet_may_not_write_while_a_file_is_sent(serve: Serving, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"f" * (8 * MIB))
    outcomes: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Length", str(8 * MIB))])

        def interfere() -> None:
            try:
                write(b"x" * MIB)
            except RuntimeError as error:
                outcomes.append(error)

        gevent.spawn(interfere)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    client = serve(app).connect(receive_buffer=4096).send(GET)
    wait_until(lambda: outcomes)
    assert client.response().body == b"f" * (8 * MIB)


def test_a_swallowed_refusal_to_write_does_not_count_as_sent(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Length", str(8 * MIB + 30))])
        other = gevent.spawn(write, b"<" * (8 * MIB))
        gevent.sleep(0)
        try:
            write(b"x" * 30)
        except RuntimeError:
            pass
        other.join()
        return []

    client = serve(app).connect(receive_buffer=4096).send(GET + GET)
    with pytest.raises(CutShort):
        client.response()


def test_connections_may_be_collected_in_any_order(serve: Serving) -> None:
    """Linked lists without references must not be followed after their heads are gone."""
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        go_on.wait()
        start_response("200 OK", [])
        return []

    server: WSGIServer | None = WSGIServer(("127.0.0.1", 0), app, log=None, spawn=1)
    assert server is not None
    server.start()
    clients = [Client(server.address).send(GET).end() for _ in range(5)]
    wait_until(lambda: server is None or server.statistics().queued == 4)
    server.close()
    server = None
    go_on.set()
    for client in clients:
        assert client.response().status == 200
        client.close()
    gevent.idle()
    gc.collect()


def test_a_server_started_again_keeps_connections_alive(serve: Serving) -> None:
    served = serve(answering(lambda: [b"x"]))
    gevent.spawn(served.server.stop)
    wait_until(lambda: not served.server.started)
    served.server.start()
    client = served.connect()
    assert "Connection" not in client.get()
    assert client.get().status == 200


def test_str_subclasses_are_text(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(Text("200 OK"), [(Text("X-A"), Text("b")), (Text("Content-Length"), Text("0"))])
        return []

    assert serve(app).get()["X-A"] == "b"


def test_reset_content_has_none(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("205 Reset Content", [("Content-Length", "5")])
        return [b"hello"]

    response = serve(app).get()
    assert (response["Content-Length"], response.body) == ("0", b"")


def test_an_interrupted_read_loses_nothing(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"]
        with gevent.Timeout(0.05, False):
            body.read(1000)
        start_response("200 OK", [])
        return [body.read(1000)]

    client = serve(app).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"a" * 600)
    gevent.sleep(0.1)
    client.send(b"b" * 400)
    assert client.response().body == b"a" * 600 + b"b" * 400


def test_a_trickled_unread_body_does_not_hold_the_connection(serve: Serving) -> None:
    served = serve(answering(lambda: [b"x"]), body_timeout=0.2)
    client = served.connect().send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    assert client.response().status == 200
    with gevent.Timeout(3):
        try:
            while True:
                client.send(b"a")
                gevent.sleep(0.05)
        except OSError:
            pass
    served.until(connections=0)


def test_no_record_can_be_forged_in_the_error_log(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise LookupError("no such item " + environ["PATH_INFO"])

    served = serve(app)
    assert served.get("/x%0a2026-11-21%2008:00:00.000%20INFO%20forged%1b[2J").status == 500
    assert "\x1b" not in served.log
    assert all(line.startswith("    ") for line in served.log.splitlines()[1:])
