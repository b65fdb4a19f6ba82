"""A connection from one request to the next: order, turns, deadlines, the last response, and peers that vanish."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hublet.runtime import limits

from tests.conftest import GET, Application, Client, CutShort, Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, NEXT, answering, assert_in_sync, post


def numbered(count: int) -> bytes:
    """Requests with ascending numbers in their queries."""
    return b"".join(b"GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(count))


def waiting(wait: Callable[[int], object]) -> Application:
    """An application that answers the query, a number, after `wait(number)`."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        wait(int(environ["QUERY_STRING"] or 0))
        start_response("200 OK", [])
        return [environ["QUERY_STRING"].encode()]

    return app


WAITS: dict[str, Callable[[int], object]] = {
    "never": lambda number: None,
    "always": lambda number: gevent.sleep(0),
    "longer at first": lambda number: gevent.sleep(0.002 if number < 10 else 0),
    "sometimes": lambda number: gevent.sleep(0) if number % 3 == 0 else None,
}

# Order and turns.


@pytest.mark.parametrize("waits", WAITS)
@pytest.mark.parametrize("end", [False, True], ids=["open", "half-closed"])
def test_pipelined_requests_are_answered_in_order(serve: Serving, waits: str, end: bool) -> None:
    client = serve(waiting(WAITS[waits])).connect()
    client.send(numbered(1000))
    if end:
        client.end()
    for number in range(1000):
        assert client.response().body == b"%d" % number
    if end:
        client.expect_end()
    else:
        assert_in_sync(client)


@pytest.mark.parametrize("waits", WAITS)
def test_requests_may_be_cut_anywhere(serve: Serving, waits: str) -> None:
    client = serve(waiting(WAITS[waits])).connect()
    chance = random.Random(waits)
    data = numbered(200)
    while data:
        size = chance.choice([1, 2, 30, 100, 1000])
        client.send(data[:size])
        data = data[size:]
        gevent.idle()
    for number in range(200):
        assert client.response().body == b"%d" % number


def test_requests_byte_by_byte(serve: Serving) -> None:
    client = serve(waiting(WAITS["sometimes"])).connect().send_bytewise(b"\r\n" + numbered(12))
    assert [response.body for response in client.responses(12)] == [b"%d" % number for number in range(12)]


@pytest.mark.parametrize("arrival", [0, 20])
def test_a_long_pipeline_lets_others_have_their_turn(serve: Serving, arrival: int) -> None:
    """Those that are there when it begins, and those that come when `arrival` of its requests have been served."""
    served: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        served.append(environ["PATH_INFO"])
        if len(served) == arrival:
            modest.socket._sock.send(NEXT)  # without a switch to the hub
        end = time.perf_counter() + 0.0003
        while time.perf_counter() < end:
            pass  # computes, and does not yield
        start_response("200 OK", [])
        return []

    server = serve(app)
    greedy, modest = server.connect(), server.connect()
    server.until(connections=2)
    greedy.send(GET * 1500)
    if not arrival:
        modest.send(NEXT)
    assert modest.response().status == 200
    assert served.index("/next") - arrival < 100
    greedy.responses(1500)


def test_a_connection_serves_requests_one_after_the_other(serve: Serving) -> None:
    served = serve(waiting(WAITS["sometimes"]))
    client = served.connect()
    for number in range(300):
        assert client.get(f"/?{number}").body == b"%d" % number
    assert served.server.statistics().accepted == 1


def test_nothing_behind_the_last_request_of_a_connection_is_served(serve: Serving) -> None:
    served = serve(answering(lambda: [b"hello"]))
    client = served.connect().send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET + b"garbage")
    assert client.response().body == b"hello"
    client.expect_end()
    assert served.server.statistics().requests == 1


@pytest.mark.parametrize("seconds", [None, 0.0, 0.01], ids=repr)
def test_a_client_that_will_send_no_more_gets_its_answer(serve: Serving, seconds: float | None) -> None:
    client = serve(waiting(lambda _: seconds is None or gevent.sleep(seconds))).connect().send(GET).end()
    assert client.response().status == 200
    client.expect_end()


@pytest.mark.parametrize("part", [b"", b"\r\n", b"GET", GET[:-1]], ids=repr)
def test_a_client_that_ends_before_its_request_gets_nothing(serve: Serving, part: bytes) -> None:
    served = serve(answering(list))
    served.connect().send(part).end().expect_end()
    client = served.connect()
    assert client.get().status == 200
    client.send(part).end().expect_end()
    assert served.log == ""


# Deadlines.


@pytest.mark.parametrize("requests", [0, 1, 3])
def test_an_idle_connection_is_closed_silently(serve: Serving, requests: int) -> None:
    served = serve(answering(list), keepalive_timeout=0.1)
    client = served.connect().send(GET * requests)
    client.responses(requests)
    client.expect_end()
    assert served.log == ""


def test_without_keep_alive_a_connection_has_one_request(serve: Serving) -> None:
    served = serve(answering(list), keepalive_timeout=0)
    client = served.connect()
    gevent.sleep(0)  # a connection that waits for its first request is not one between requests
    response = client.get()
    assert response["Connection"] == "close"
    client.expect_end()


def test_the_idle_time_begins_anew_with_every_request(serve: Serving) -> None:
    client = serve(answering(list), keepalive_timeout=0.2).connect()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert client.get().status == 200
        gevent.sleep(0.02)


def test_a_request_that_takes_longer_than_every_timeout(serve: Serving) -> None:
    """The timeouts are about peers; applications may take their time."""
    timeouts = dict.fromkeys(["head_timeout", "body_timeout", "write_timeout", "keepalive_timeout"], 0.05)
    client = serve(waiting(lambda _: gevent.sleep(0.3)), **timeouts).connect()  # type: ignore[arg-type]
    assert client.get("/?7").body == b"7"


@pytest.mark.parametrize("part", [b"\r\n", b"G", b"GET / HTTP/1.1\r\n", GET[:-1]], ids=repr)
@pytest.mark.parametrize(
    "before", [b"", GET, GET * 20, post("chunked", b"hello")], ids=["first", "second", "later", "after a body"]
)
def test_a_head_that_does_not_end_is_answered_408(serve: Serving, part: bytes, before: bytes) -> None:
    served = serve(answering(list), head_timeout=0.1)
    client = served.connect().send(before + part)
    client.responses(before.count(b" HTTP/"))
    response = client.response()
    assert (response.status, response["Connection"]) == (408, "close")
    client.expect_end()
    assert served.server.statistics().timed_out == 1


def test_a_byte_now_and_then_does_not_hold_a_head_open(serve: Serving) -> None:
    client = serve(answering(list), head_timeout=0.2).connect()
    began = time.monotonic()
    while client.is_silent():
        client.send(b"G")
        gevent.sleep(0.01)
    assert 0.15 < time.monotonic() - began < 1
    assert client.response().status == 408


def test_a_head_has_its_time_from_its_first_byte_on(serve: Serving) -> None:
    client = serve(answering(list), head_timeout=0.2).connect()
    for _ in range(3):
        gevent.sleep(0.15)
        client.send(GET[:10])
        gevent.sleep(0.1)
        assert client.send(GET[10:]).response().status == 200


# The last response.

REFUSALS: dict[str, tuple[int, bytes]] = {
    "too large a body": (413, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"),
    "no request": (400, b"\x16\x03\x01\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "long line": (414, b"GET /" + b"x" * 70_000),
    "large header": (431, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000),
    "transfer coding": (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
    "expectation": (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_reaches_a_client_that_is_still_sending(serve: Serving, kind: str) -> None:
    status, request = REFUSALS[kind]
    served = serve(answering(list), max_body=100)
    client = served.connect().send(GET)
    assert client.response().status == 200
    sender = gevent.spawn(client.send, request + BIG[: MIB - 65536])
    sender.get()  # everything is taken before the response is read
    response = client.response()
    assert (response.status, response["Connection"], response.framing) == (status, "close", "length")
    client.expect_end()
    statistics = served.server.statistics()
    assert (statistics.rejected, served.log) == (1, "")


def test_a_client_that_never_stops_sending_is_cut_off(serve: Serving) -> None:
    served = serve(answering(list))
    client = served.connect()
    with pytest.raises(ConnectionError):
        client.send(b"?" * (64 * MIB))
    served.until(connections=0)


def test_a_client_that_does_not_close_is_closed_after_a_time(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_TIMEOUT", 0.1)
    served = serve(answering(list))
    client = served.connect().send(b"?\r\n\r\n")
    assert client.response().status == 400
    client.expect_end()  # its sending half; the other one is given up
    served.until(connections=0)


def test_a_refusal_of_head_has_no_body(serve: Serving) -> None:
    client = (
        serve(answering(list), max_body=1).connect().send(b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    )
    assert client.response("HEAD").status == 413
    client.expect_end()


# Peers that vanish.


def vanish_idle(served: Any, client: Client) -> None:
    assert client.get().status == 200


def vanish_in_head(served: Any, client: Client) -> None:
    client.send(GET[:-1])
    served.until(connections=1)


def vanish_in_body(served: Any, client: Client) -> None:
    client.send(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
    served.until(in_flight=1)


def vanish_while_the_application_waits(served: Any, client: Client) -> None:
    client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    served.until(in_flight=1)


def vanish_behind_a_pipeline(served: Any, client: Client) -> None:
    client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + GET * 100)
    served.until(in_flight=1)


def vanish_in_response(served: Any, client: Client) -> None:
    client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: not client.is_silent())


def vanish_while_drained(served: Any, client: Client) -> None:
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
    assert client.response().status == 200


def vanish_while_lingering(served: Any, client: Client) -> None:
    client.send(b"?\r\n\r\n")
    assert client.response().status == 400


def vanish_while_queued(served: Any, client: Client) -> None:
    for _ in range(2):
        served.connect().send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    served.until(in_flight=2)
    client.send(GET)
    served.until(queued=1)


VANISHING = [value for name, value in list(globals().items()) if name.startswith("vanish_")]


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("reach", VANISHING)
def test_a_peer_that_vanishes_costs_nothing(serve: Serving, reach: Callable[[Any, Client], None], how: str) -> None:
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/wait":
            go_on.wait()
        if environ["PATH_INFO"] == "/read":
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [BIG] if environ["PATH_INFO"] == "/big" else []

    served = serve(app, max_in_flight=2)
    client = served.connect()
    reach(served, client)
    getattr(client, how)()
    gevent.idle()  # a chance for the server to notice before the application goes on
    go_on.set()
    for other in served.clients:
        other.close()
    served.until(connections=0, in_flight=0, queued=0)
    assert served.log == ""
    assert served.get().status == 200


def test_a_response_that_nobody_waits_for_is_not_an_error_of_the_application(serve: Serving) -> None:
    written: list[Exception] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                write(b"x" * 65536)
        except ConnectionError as error:
            written.append(error)
            raise

    served = serve(app)
    client = served.connect().send(GET)
    wait_until(lambda: not client.is_silent())
    client.reset()
    served.until(connections=0)
    assert (len(written), served.log) == (1, "")


def test_a_half_closed_client_that_keeps_reading_gets_a_big_response(serve: Serving) -> None:
    client = serve(answering(lambda: iter([BIG, BIG]))).connect(receive_buffer=4096).send(GET).end()
    assert client.response().body == BIG + BIG
    client.expect_end()


def test_cut_short_is_what_an_aborted_chunked_response_looks_like(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        raise ValueError

    with pytest.raises(CutShort):
        serve(app).connect().get()
