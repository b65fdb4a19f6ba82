"""One request and its response, as PEP 3333 has them: seen from the application and from the wire."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from gevent import GreenletExit

from tests.conftest import CutShort, Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, Fatal, Tracked, answering, assert_in_sync, post

# Framing.

BODIES: dict[str, tuple[Callable[[], Iterable[bytes]], bytes, str]] = {
    "list of one": (lambda: [b"hello"], b"hello", "length"),
    "list of two": (lambda: [b"he", b"llo"], b"hello", "length"),
    "list with empty items": (lambda: [b"", b"hello", b"", b""], b"hello", "length"),
    "tuple": (lambda: (b"he", b"llo"), b"hello", "length"),
    "empty list": (list, b"", "length"),
    "list of an empty item": (lambda: [b""], b"", "length"),
    "list of big items": (lambda: [BIG[:MIB], BIG[MIB : 3 * MIB]], BIG[: 3 * MIB], "length"),
    "bytearrays": (lambda: [bytearray(b"he"), bytearray(b"llo")], b"hello", "length"),  # type: ignore[list-item]
    "generator": (lambda: (each for each in (b"he", b"", b"llo")), b"hello", "chunked"),
    "iterator with close": (lambda: Tracked(b"he", b"llo"), b"hello", "chunked"),
    "generator of big items": (lambda: (BIG[:MIB] for _ in range(3)), BIG[:MIB] * 3, "chunked"),
    "many small items": (lambda: (b"%d" % n for n in range(3000)), b"".join(b"%d" % n for n in range(3000)), "chunked"),
    "generator of nothing": (lambda: iter([]), b"", "length"),
    "generator of empty items": (lambda: iter([b"", b""]), b"", "length"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_http_1_1_frames_by_length_where_it_is_known_and_by_chunks_otherwise(serve: Serving, kind: str) -> None:
    make, body, framing = BODIES[kind]
    client = serve(answering(make)).connect()
    response = client.get()
    assert (response.body, response.framing) == (body, framing)
    assert "Connection" not in response
    assert client.get().body == body


@pytest.mark.parametrize("kind", BODIES)
def test_http_1_0_frames_by_length_where_it_is_known_and_by_the_end_otherwise(serve: Serving, kind: str) -> None:
    make, body, framing = BODIES[kind]
    client = serve(answering(make)).connect()
    response = client.get("/", "Connection: keep-alive", version="1.0")
    assert (response.body, response.framing) == (body, framing.replace("chunked", "close"))
    assert response["Connection"] == ("close" if response.framing == "close" else "keep-alive")
    if response.framing == "length":
        assert client.get("/", "Connection: keep-alive", version="1.0").body == body
    else:
        client.expect_end()


def test_a_declared_length_is_kept_and_not_chunked(serve: Serving) -> None:
    client = serve(answering(lambda: iter([b"he", b"llo"]), "200 OK", ("content-length", "5"))).connect()
    assert client.get().framing == "length"
    assert_in_sync(client)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("method, status", [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")])
def test_some_responses_never_have_a_body(serve: Serving, kind: str, method: str, status: str) -> None:
    client = serve(answering(BODIES[kind][0], status)).connect()
    for _ in range(2):  # a body would be taken for the second response
        response = client.get(method=method)
        assert (f"{response.status} {response.reason}", response.body) == (status, b"")
        assert "Transfer-Encoding" not in response
        assert status != "204 No Content" or "Content-Length" not in response


def test_an_interim_status_as_the_final_one_ends_the_connection(serve: Serving) -> None:
    client = serve(answering(lambda: [b"hello"], "102 Processing")).connect()
    assert client.get().status == 102
    client.expect_end()


def test_head_says_what_get_would(serve: Serving) -> None:
    client = serve(answering(lambda: [b"hello"])).connect()
    assert client.get(method="HEAD")["Content-Length"] == client.get()["Content-Length"] == "5"


def test_a_declared_length_of_a_response_to_head_or_of_304_is_passed_on(serve: Serving) -> None:
    client = serve(answering(list, "304 Not Modified", ("Content-Length", "7"))).connect()
    assert client.get()["Content-Length"] == client.get(method="HEAD")["Content-Length"] == "7"


def test_an_endless_body_is_not_read_for_head(serve: Serving) -> None:
    body = Tracked(*[b"x"] * 3, AssertionError("read on"))
    client = serve(answering(lambda: body)).connect()
    client.get(method="HEAD")
    wait_until(lambda: body.closed == 1)


# start_response and write.


def test_start_response_a_second_time_is_an_error(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        with pytest.raises(RuntimeError, match="exc_info"):
            start_response("202 Accepted", [])
        return [b"first"]

    assert serve(app).get().status == 200


def test_exc_info_replaces_a_head_that_has_not_been_sent(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("X-Old", "1"), ("Content-Length", "99")])
        try:
            raise ValueError
        except ValueError as error:
            start_response("503 Down", [("X-New", "1")], (type(error), error, error.__traceback__))
        return [b"sorry"]

    response = serve(app).get()
    assert (response.status, response.body, "X-New" in response, "X-Old" in response) == (503, b"sorry", True, False)
    assert response["Content-Length"] == "5"


def test_exc_info_is_raised_again_when_the_head_has_been_sent(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        try:
            raise ValueError("the first")
        except ValueError as error:
            start_response("500 Oh", [], (type(error), error, error.__traceback__))
            raise AssertionError("not reached") from None

    served = serve(app)
    with pytest.raises(CutShort) as cut:
        served.connect().get()
    assert cut.value.response.body == b"begun"
    assert "ValueError: the first" in served.log
    assert "not reached" not in served.log


def test_start_response_may_wait_for_the_first_item(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("201 Created", [])
        yield b"lazy"

    assert serve(app).get().status == 201


@pytest.mark.parametrize("make", [lambda: [b"x"], list, lambda: iter([b"x"]), lambda: iter([])])
def test_no_start_response_is_an_error(serve: Serving, make: Callable[[], Iterable[bytes]]) -> None:
    served = serve(lambda environ, start_response: make())
    assert served.get().status == 500
    assert "start_response" in served.log


@pytest.mark.parametrize("body", [["text"], [b"x", None], [1], b"bytes", "text", None, 5], ids=repr)
def test_a_body_of_anything_but_bytes_is_an_error(serve: Serving, body: Any) -> None:
    served = serve(answering(lambda: body))
    try:
        assert served.connect().get().status == 500
    except CutShort:
        pass  # after a good first item
    assert "TypeError" in served.log


def test_write_comes_before_the_iterable(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"")
        write(b"two ")
        return [b"three"]

    client = serve(app).connect()
    for _ in range(2):
        response = client.get()
        assert (response.body, response.framing) == (b"one two three", "chunked")
    assert client.get("/", version="1.0").body == b"one two three"


def test_write_within_a_declared_length(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "6")])(b"one")
        return [b"two"]

    client = serve(app).connect()
    assert client.get().body == b"onetwo"
    assert_in_sync(client)


def test_write_and_start_response_end_with_the_request(serve: Serving) -> None:
    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        kept[:] = [start_response("200 OK", []), start_response]
        return [b"done"]

    client = serve(app).connect()
    client.get()
    with pytest.raises(RuntimeError, match="ended"):
        kept[0](b"late")
    with pytest.raises(RuntimeError, match="ended"):
        kept[1]("200 OK", [])
    assert_in_sync(client)


# The connection.


@pytest.mark.parametrize(
    "version, option, answer",
    [
        ("1.1", "", None), ("1.1", "keep-alive", None), ("1.1", "close", "close"), ("1.1", "CLOSE", "close"),
        ("1.1", "keep-alive, Close", "close"), ("1.1", "foo", None),
        ("1.0", "", "close"), ("1.0", "Keep-Alive", "keep-alive"), ("1.0", "close", "close"),
        ("1.0", "keep-alive, close", "close"),
    ],
)  # fmt: skip
def test_the_connection_lives_on_as_both_sides_say(
    serve: Serving, version: str, option: str, answer: str | None
) -> None:
    client = serve(answering(lambda: [b"hello"])).connect()
    fields = [f"Connection: {option}"] if option else []
    response = client.get("/", *fields, version=version)
    assert response.all("Connection") == ([answer] if answer else [])
    if answer == "close":
        client.expect_end()
    else:
        assert client.get("/", *fields, version=version).body == b"hello"


def test_options_about_the_server_as_a_whole(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [f"{environ['SCRIPT_NAME']!r} {environ['PATH_INFO']!r} {environ['RAW_URI']!r}".encode()]

    assert serve(app).get("*", method="OPTIONS").body == b"'' '' '*'"


# Broken promises and errors.


def test_a_body_longer_than_declared_is_cut_and_logged_once(serve: Serving) -> None:
    pieces = [b"hel", b"lo", b", wor", b"ld"]
    for make in (lambda: [b"hello, world"], lambda: pieces, lambda: iter(pieces)):
        served = serve(answering(make, "200 OK", ("Content-Length", "5")))
        client = served.connect()
        assert client.get().body == b"hello"
        assert served.log.count("longer than its Content-Length of 5") == 1
        assert client.get().body == b"hello"


def test_a_body_shorter_than_declared_ends_the_connection(serve: Serving) -> None:
    for make in (lambda: [b"hello"], list, lambda: iter([b"hel", b"lo"]), lambda: iter([])):
        served = serve(answering(make, "200 OK", ("Content-Length", "9")))
        with pytest.raises(CutShort):
            served.connect().get()
        assert "of 9 bytes" in served.log


ERRORS = [kind("secret") for kind in (ValueError, SystemExit, GreenletExit, Fatal, KeyboardInterrupt)]


@pytest.fixture
def _own_interrupt_handler() -> Iterator[None]:
    """With Python's own SIGINT handler a KeyboardInterrupt ends the program."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_own_interrupt_handler")
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_before_the_head_costs_its_request(serve: Serving, error: BaseException) -> None:
    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/next":
            start_response("200 OK", [])
            return []
        if environ["QUERY_STRING"] == "late":
            start_response("200 OK", [])
            return Tracked(b"", error)
        raise error

    for when in ("early", "late"):
        served = serve(call)
        client = served.connect()
        response = client.get(f"/path?{when}", method="PUT")
        assert response.status == 500
        assert b"secret" not in response.body
        assert f"PUT /path?{when} from 127.0.0.1:" in served.log
        assert "Traceback" in served.log
        assert f"{type(error).__name__}: secret" in served.log
        assert_in_sync(client)


@pytest.mark.usefixtures("_own_interrupt_handler")
@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_an_error_after_the_head_aborts_the_response(serve: Serving, error: BaseException, framing: str) -> None:
    fields = [("Content-Length", "100")] if framing == "length" else []
    body = Tracked(b"begun", error)
    served = serve(answering(lambda: body, "200 OK", *fields))
    with pytest.raises(CutShort) as cut:
        served.connect().get(version="1.0" if framing == "close" else "1.1")
    assert cut.value.response.framing == framing
    assert cut.value.reset or framing != "close"
    assert b"secret" not in cut.value.response.body
    assert f"{type(error).__name__}: secret" in served.log
    assert body.closed == 1


@pytest.mark.parametrize("status, method", [("200 OK", "GET"), ("200 OK", "HEAD"), ("304 Not Modified", "GET")])
@pytest.mark.parametrize("pieces", [(), (b"",), (b"one", b"two")], ids=repr)
def test_close_is_called_once(serve: Serving, status: str, method: str, pieces: tuple[bytes, ...]) -> None:
    body = Tracked(*pieces)
    client = serve(answering(lambda: body, status)).connect()
    client.get(method=method)
    wait_until(lambda: body.closed)
    assert body.closed == 1


def test_an_error_in_close_is_logged_and_the_response_stands(serve: Serving) -> None:
    bodies = [Tracked(b"hello", failing_close=True), Tracked(b"next")]
    served = serve(answering(lambda: bodies.pop(0)))
    failing = bodies[0]
    client = served.connect()
    assert client.get().body == b"hello"
    assert client.get().body == b"next"
    assert failing.closed == 1
    assert "OSError: close failed" in served.log


def test_an_error_in_close_does_not_hide_the_one_before(serve: Serving) -> None:
    body = Tracked(ValueError("first"), failing_close=True)
    served = serve(answering(lambda: body))
    assert served.get().status == 500
    assert "ValueError: first" in served.log
    assert "OSError: close failed" in served.log


# wsgiref.validate.

KINDS: dict[str, bytes] = {
    "GET": b"GET /path?query HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET by HTTP/1.0": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "absolute": b"GET http://x:80/path HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    "beyond ASCII": b"GET /%C3%A9%20?%ff HTTP/1.1\r\nHost: x\r\nX-Name: caf\xe9\r\nX-Name: again\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\nContent-Type: a/b\r\n\r\nline 1\nline 2",
    "POST in chunks": post("chunked", b"line 1\nline 2", chunk=6),
    "PUT of nothing": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "DELETE": b"DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS": b"OPTIONS /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "with cookies": b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nCookie: b=2\r\nAccept: */*\r\n\r\n",
}


def read_all(environ: dict[str, Any]) -> bytes:
    """Read the body in every way that wsgiref.validate lets through."""
    body = environ["wsgi.input"]
    parts = [body.readline(), body.read(2), *body.readlines(1), *body]
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].flush()
    return b"".join(parts)


def by_list(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [read_all(environ)]


def by_write(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(read_all(environ))
    return [b""]


def by_generator(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"", read_all(environ), b""])


def by_second_thought(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    try:
        raise ValueError
    except ValueError:
        start_response("200 OK", [("Content-Type", "text/plain")], sys.exc_info())
    return [read_all(environ)]


@pytest.mark.parametrize("app", [by_list, by_write, by_generator, by_second_thought])
@pytest.mark.parametrize("kind", KINDS)
def test_the_validator_of_the_standard_library_finds_nothing(serve: Serving, kind: str, app: Any) -> None:
    served = serve(validator(app))
    client = served.connect()
    for _ in range(2):
        client.send(KINDS[kind])
        response = client.response("HEAD" if kind == "HEAD" else "GET")
        assert response.status == 200
        assert response.body in (b"", b"line 1\nline 2")
    assert served.log == ""


def test_the_validator_sees_a_bad_application(serve: Serving) -> None:
    served = serve(validator(lambda environ, start_response: [b"no start_response"]))
    assert served.get().status == 500
    assert "AssertionError" in served.log
