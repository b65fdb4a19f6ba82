"""`wsgi.input`: reading a request body, and what becomes of one that is late, cut short, too large or left unread."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hublet.runtime import limits
from hublet.runtime.errors import ClientDisconnected, RequestBodyError

from tests.conftest import Application, Launch, Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, NEXT, assert_in_sync, framed, post, reading, split_head

echo = reading(lambda body: body.read())
ignoring = reading(lambda body: b"ignored")


# Reading.

SIZES = (None, -1, -5, 0, 1, 2, 7, 100, 8192, 100_000, 2**62)


def read_script(source: Any, seed: int) -> list[Any]:
    """Call reading methods at random, then read to the end; return all results."""
    chance = random.Random(seed)
    results: list[Any] = []
    for _ in range(chance.randrange(12)):
        method = getattr(source, chance.choice(["read", "readline", "readlines", "__next__"]))
        if method.__name__ == "__next__":
            results.append(next(source, None))
        elif chance.random() < 0.2:
            results.append(method())
        else:
            results.append(method(chance.choice(SIZES)))
    return [*results, list(source) if seed % 2 else source.read(), source.read(), source.readline(), source.readlines()]


def make_body(seed: int) -> bytes:
    """Lines of very different lengths; the last one does not always end."""
    chance = random.Random(seed)
    lines = [b"x" * chance.choice([0, 1, 5, 80, 8191, 8192, 8193, 70_000]) for _ in range(chance.randrange(8))]
    return b"\n".join(lines)


@framed
def test_any_order_of_reads_gives_what_a_file_would(serve: Serving, framing: str) -> None:
    served = serve(reading(lambda body: read_script(body, seed)))
    client = served.connect()
    for seed in range(400):
        data = make_body(seed)
        client.send(post(framing, data, chunk=random.Random(seed).choice([1, 100, 8192, 100_000])))
        assert client.response().body.decode() == repr(read_script(io.BytesIO(data), seed)), seed
    assert served.log == ""


@framed
def test_a_body_that_arrives_byte_by_byte(serve: Serving, framing: str) -> None:
    served = serve(reading(lambda body: [body.readline(), body.read(3), body.read()]))
    client = served.connect().send_bytewise(post(framing, b"line\nand the rest", chunk=5))
    assert client.response().body == repr([b"line\n", b"and", b" the rest"]).encode()
    assert_in_sync(client)


@framed
@pytest.mark.parametrize("size", [0, 1, limits.RECV_SIZE - 1, limits.RECV_SIZE, limits.RECV_SIZE + 1, MIB, 3 * MIB + 1])
def test_bodies_of_every_size(serve: Serving, framing: str, size: int) -> None:
    client = serve(echo).connect()
    for version in ("1.1", "1.0") if framing == "length" else ("1.1",):
        sender = gevent.spawn(client.send, post(framing, BIG[:size], "Connection: keep-alive", version=version) + NEXT)
        assert client.response().body == BIG[:size]
        assert client.response().body == b"/next"
        sender.join()


def test_no_body_is_an_empty_one(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert environ["wsgi.input_terminated"] is True
        start_response("200 OK", [])
        body = environ["wsgi.input"]
        return [repr([body.read(), body.readline(5), list(body)]).encode()]

    client = serve(app).connect()
    for method in ("GET", "POST", "DELETE"):
        assert client.get(method=method).body == b"[b'', b'', []]"


@pytest.mark.parametrize("arguments", [("1",), (1.5,), (1, 2), (2**70,)], ids=repr)
def test_a_size_that_is_no_size_is_an_error_and_loses_nothing(serve: Serving, arguments: tuple[Any, ...]) -> None:
    def read(body: Any) -> bytes:
        for method in (body.read, body.readline, body.readlines):
            with pytest.raises((TypeError, OverflowError)):
                method(*arguments)
        return bytes(body.read())

    assert serve(reading(read)).connect().send(post("length", b"hello")).response().body == b"hello"


# Expect: 100-continue.

EXPECT = "Expect: 100-continue"


@framed
def test_the_first_read_asks_the_client_to_continue(serve: Serving, framing: str) -> None:
    wanted = Event()

    def read(body: Any) -> object:
        wanted.wait()
        return [body.read(2), body.read()]

    head, body = split_head(post(framing, b"hello", EXPECT))
    served = serve(reading(read))
    client = served.connect().send(head)
    served.until(in_flight=1)
    assert client.is_silent()
    wanted.set()
    assert client.response().status == 100
    assert client.send(body).response().body == b"[b'he', b'llo']"
    assert_in_sync(client)


@framed
@pytest.mark.parametrize("already", ["all", "part"])
def test_a_client_that_did_not_wait_is_not_asked(serve: Serving, framing: str, already: str) -> None:
    head, body = split_head(post(framing, b"hello", EXPECT))
    came = body if already == "all" else body[: body.index(b"hello") + 2]
    served = serve(echo)
    client = served.connect().send(head + came)
    served.until(requests=1)
    client.send(body[len(came) :])
    response = client.response()
    assert (response.status, response.body) == (200, b"hello")
    assert_in_sync(client)


@framed
def test_a_client_whose_body_nobody_wants_gets_its_answer_at_once(serve: Serving, framing: str) -> None:
    client = serve(ignoring).connect().send(split_head(post(framing, b"hello", EXPECT))[0])
    response = client.response()
    assert (response.status, response["Connection"]) == (200, "close")  # it may send the body all the same, or not
    client.expect_end()


def test_no_interim_response_after_the_final_one_has_begun(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"begun "
        yield environ["wsgi.input"].read()

    head, body = split_head(post("length", b"hello", EXPECT))
    client = serve(app).connect().send(head)
    wait_until(lambda: not client.is_silent())
    assert client.send(body).response().body == b"begun hello"


@pytest.mark.parametrize(
    "request_head", [post("length", b"", EXPECT), NEXT.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")]
)
def test_no_interim_response_without_a_body(serve: Serving, request_head: bytes) -> None:
    client = serve(echo).connect().send(request_head)
    assert client.response().status == 200
    assert_in_sync(client)


def test_http_1_0_expects_nothing(serve: Serving) -> None:
    head, body = split_head(post("length", b"hello", EXPECT, version="1.0"))
    served = serve(echo)
    client = served.connect().send(head)
    served.until(in_flight=1)
    assert client.is_silent()
    assert client.send(body).response().body == b"hello"


# Late, cut short, too large.


def catching(seen: list[BaseException]) -> Application:
    """An application that notes what reading raises, twice, and lets it pass."""

    def read(body: Any) -> object:
        try:
            return body.read()
        except Exception as error:
            seen.append(error)
            with pytest.raises(type(error)):
                body.read()
            raise

    return reading(read)


@framed
def test_a_late_body_is_answered_408(serve: Serving, framing: str) -> None:
    seen: list[BaseException] = []
    served = serve(catching(seen), body_timeout=0.1)
    client = served.connect().send(post(framing, b"hello")[:-2])
    response = client.response()
    assert (response.status, response["Connection"]) == (408, "close")
    client.expect_end()
    assert isinstance(seen[0], RequestBodyError)
    assert (seen[0].status, served.server.statistics().timed_out, served.log) == (408, 1, "")


@framed
def test_a_slow_body_is_not_late_while_it_moves(serve: Serving, framing: str) -> None:
    client = serve(echo, body_timeout=0.2).connect()
    for byte in post(framing, b"hello", chunk=2):
        client.send(bytes([byte]))
        gevent.sleep(0.01)
    assert client.response().body == b"hello"


@framed
def test_a_body_that_is_cut_short_is_answered_400(serve: Serving, framing: str) -> None:
    seen: list[BaseException] = []
    served = serve(catching(seen))
    client = served.connect().send(post(framing, b"hello")[:-2]).end()
    response = client.response()
    assert (response.status, response["Connection"]) == (400, "close")
    client.expect_end()
    assert isinstance(seen[0], RequestBodyError)
    assert (seen[0].status, served.log) == (400, "")


@framed
def test_a_client_that_vanishes_inside_its_body(serve: Serving, framing: str) -> None:
    seen: list[BaseException] = []
    served = serve(catching(seen))
    client = served.connect().send(post(framing, b"hello")[:-2])
    served.until(in_flight=1)
    client.reset()
    served.until(in_flight=0, connections=0)
    assert isinstance(seen[0], ClientDisconnected)
    assert served.log == ""


def test_a_malformed_body_is_answered_400(serve: Serving) -> None:
    seen: list[BaseException] = []
    client = serve(catching(seen)).connect().send(post("chunked", b"hello").replace(b"\r\n0\r\n", b"\n0\r\n") + NEXT)
    response = client.response()
    assert (response.status, response["Connection"]) == (400, "close")
    client.expect_end()
    assert isinstance(seen[0], RequestBodyError)


@framed
@pytest.mark.parametrize("size", [99, 100, 101])
@pytest.mark.parametrize("chunk", [1, 60, 1000])
def test_a_body_over_the_limit_is_answered_413(serve: Serving, framing: str, size: int, chunk: int) -> None:
    seen: list[BaseException] = []
    client = serve(catching(seen), max_body=100).connect().send(post(framing, BIG[:size], chunk=chunk))
    response = client.response()
    if size <= 100:
        assert response.body == BIG[:size]
        assert_in_sync(client)
    else:
        assert (response.status, response["Connection"]) == (413, "close")
        client.expect_end()
        assert len(seen) == (framing == "chunked")  # a declared length is refused before the application runs


def test_a_body_over_the_limit_is_refused_before_it_is_sent(serve: Serving) -> None:
    head, _ = split_head(post("length", BIG[:101], EXPECT))
    assert serve(echo, max_body=100).connect().send(head).response().status == 413


# Left unread.


@framed
@pytest.mark.parametrize("read", [0, 3, 5])
def test_a_request_behind_a_body_that_was_not_read_to_its_end(serve: Serving, framing: str, read: int) -> None:
    client = serve(reading(lambda body: body.read(read))).connect()
    client.send(post(framing, b"hello", chunk=2) + NEXT + post(framing, b"GET /evil HTTP/1.1\r\n\r\n") + NEXT)
    assert [each.body for each in client.responses(4)] == [b"hello"[:read], b"/next", b"GET /evil"[:read], b"/next"]


@framed
def test_an_unread_body_may_arrive_after_the_response(serve: Serving, framing: str) -> None:
    head, body = split_head(post(framing, b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n", chunk=7))
    client = serve(ignoring).connect().send(head)
    assert client.response().body == b"ignored"
    client.send_bytewise(body)
    assert_in_sync(client)


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_an_unread_body_is_drained_up_to_a_limit(serve: Serving, excess: int) -> None:
    client = serve(ignoring).connect().send(post("length", BIG[: limits.MAX_DRAIN + excess]))
    response = client.response()
    assert response.body == b"ignored"
    if excess <= 0:
        assert_in_sync(client)
    else:
        assert response["Connection"] == "close"
        client.expect_end()


@framed
def test_the_response_survives_an_unread_body_that_is_not_drained(serve: Serving, framing: str) -> None:
    client = serve(ignoring).connect()
    sender = gevent.spawn(client.send, post(framing, BIG[: limits.LINGER_BYTES]))
    assert client.response().body == b"ignored"
    sender.get()
    client.expect_end()


@framed
def test_an_unread_body_that_does_not_arrive_ends_the_connection(serve: Serving, framing: str) -> None:
    served = serve(ignoring, body_timeout=0.1)
    client = served.connect().send(post(framing, b"hello")[:-2])
    assert client.response().body == b"ignored"
    client.expect_end()
    assert served.log == ""


FAILED_BODY_SERVER = """
    import gevent
    from hublet.servers.server import WSGIServer
    from hublet.servers.settings import Settings

    def app(environ, start_response):
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/post":
            write(b"begun")
            try:
                environ["wsgi.input"].read()
            except OSError as error:
                write(b" %d" % error.status)
        return [b"done"]

    server = WSGIServer(("127.0.0.1", 0), app, log=None, settings=Settings(max_body=100, body_timeout=0.1))
    server.start()
    print(server.server_port, flush=True)
    gevent.wait()
"""


@pytest.mark.parametrize("failure", [413, 408, 400])
def test_a_body_that_failed_after_the_response_had_begun(launch: Launch, failure: int) -> None:
    """In a process of its own: a server that goes on looking for the end of such a body never comes back."""
    process = launch(FAILED_BODY_SERVER)
    client = process.connect()
    head, body = split_head(post("chunked", BIG[: 101 if failure == 413 else 90]))
    if failure == 400:
        body = body.replace(b"5a\r\n", b"xx\r\n")
    client.send(head + (body[:10] if failure == 408 else body + NEXT))
    assert client._until(b"done\r\n").endswith(b"%d\r\n4\r\n" % failure)
    if failure == 408:
        client.send(body[10:] + NEXT)
    assert process.connect().get().body == b"done"
