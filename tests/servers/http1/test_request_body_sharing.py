"""`wsgi.input` beside something else: several readers, a writer, a request that has ended, a peer that floods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hublet.runtime import limits

from tests.conftest import Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, NEXT, framed, post, reading, split_head


def test_a_kept_body_cannot_read_what_comes_after_its_request(serve: Serving) -> None:
    kept: list[Any] = []
    client = serve(reading(lambda body: kept.append(body) or body.readline())).connect()
    client.send(post("length", b"line\nread ahead") + post("length", b"second\n") + NEXT)
    client.responses(3)
    for method in ("read", "readline", "readlines", "__next__"):
        with pytest.raises(ValueError, match="request is over"):
            getattr(kept[0], method)()


@framed
def test_a_greenlet_that_still_reads_when_its_request_ends(serve: Serving, framing: str) -> None:
    """It is woken with an error, and neither takes nor prevents anything of the next request."""
    outcome: list[Any] = []

    def read_on(body: Any) -> None:
        try:
            outcome.append(body.read())
        except ValueError as error:
            outcome.append(error)

    def read(body: Any) -> bytes:
        if not outcome:
            gevent.spawn(read_on, body)
            gevent.sleep(0)
            return b"left it to another"
        return bytes(body.read())

    served = serve(reading(read), body_timeout=2)
    head, body = split_head(post(framing, b"hello"))
    client = served.connect().send(head)
    assert client.response().body == b"left it to another"
    wait_until(lambda: outcome, "the end of the read")
    assert isinstance(outcome[0], ValueError)
    client.send(body)
    head, body = split_head(post(framing, b"second"))
    client.send(head)
    served.until(in_flight=1)
    assert client.send(body).response().body == b"second"


def share_reading(body: Any) -> bytes:
    """Read `body` from three greenlets; who is told that another one is reading tries again."""
    pieces: list[bytes] = []

    def collect() -> None:
        while True:
            try:
                piece = body.read(1000)
            except RuntimeError:
                gevent.sleep(0.001)
            else:
                if not piece:
                    return
                pieces.append(piece)

    gevent.joinall([gevent.spawn(collect) for _ in range(3)], raise_error=True)
    return b"".join(pieces)


@framed
def test_greenlets_that_read_at_once_get_every_byte_once(serve: Serving, framing: str) -> None:
    client = serve(reading(share_reading)).connect()
    data = BIG[: 4 * MIB]
    sender = gevent.spawn(client.send, post(framing, data, chunk=3000) + NEXT)
    assert sorted(client.response().body) == sorted(data)
    assert client.response().body == b"/next"
    sender.join()


@framed
def test_greenlets_that_read_at_once_do_not_read_beyond_the_end(serve: Serving, framing: str) -> None:
    """One of them lets the hub run for fairness' sake, and when it goes on there is less left than it thought."""
    began = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["REQUEST_METHOD"] == "GET":
            return [b"x" * int(environ["QUERY_STRING"] or 0)]
        began.wait()
        return [share_reading(environ["wsgi.input"])]

    served = serve(app, body_timeout=0.5)
    client = served.connect()
    moved = 0
    while moved < limits.FAIRNESS_BYTES - 500:  # bytes sent count as well, and bring the connection near the limit
        size = min(2000, limits.FAIRNESS_BYTES - 500 - moved)
        client.send(b"GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
        response = client.response()
        moved += (
            len("HTTP/1.1 200 OK\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in response.fields) + size
        )
    head, body = split_head(post(framing, BIG[:2000]))
    client.send(head)
    served.until(in_flight=1)
    client.send(body + NEXT * 50)
    began.set()
    assert sorted(client.response().body) == sorted(BIG[:2000])
    assert [response.body for response in client.responses(50)] == [b""] * 50


@framed
def test_reading_and_writing_at_once(serve: Serving, framing: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return iter(lambda: environ["wsgi.input"].read(100_000), b"")

    client = serve(app).connect()
    sender = gevent.spawn(client.send, post(framing, BIG))
    assert client.response().body == BIG
    sender.join()


@framed
def test_one_greenlet_reads_while_another_writes(serve: Serving, framing: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        reader = gevent.spawn(environ["wsgi.input"].read)
        for start in range(0, len(BIG), MIB):
            write(BIG[start : start + MIB])
        return [b"read %d" % len(reader.get())]

    client = serve(app).connect()
    sender = gevent.spawn(client.send, post(framing, BIG))
    assert client.response().body == BIG + b"read %d" % len(BIG)
    sender.join()


def resident_memory() -> int:
    """The resident memory of this process in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


@pytest.mark.parametrize("kind", ["length", "chunked", "pipelined requests"])
def test_what_nobody_reads_stays_in_the_kernel(serve: Serving, kind: str) -> None:
    wanted = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        wanted.wait()
        start_response("200 OK", [])
        return []

    post_head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    head, piece = {
        "length": (post_head + b"Content-Length: 67108864\r\n\r\n", BIG[:MIB]),
        "chunked": (post_head + b"Transfer-Encoding: chunked\r\n\r\n", b"fffff\r\n" + BIG[: MIB - 1] + b"\r\n"),
        "pipelined requests": (b"", NEXT * (MIB // len(NEXT))),
    }[kind]
    client = serve(app).connect().send(head)
    sent: list[int] = []

    def flood() -> None:
        for _ in range(64):
            sent.append(client.socket.send(piece))

    before = resident_memory()
    sender = gevent.spawn(flood)
    counts: list[int] = []
    while len(counts) < 5 or counts[-1] != counts[-5]:  # until no more is taken
        gevent.sleep(0.01)
        counts.append(sum(sent))
    assert not sender.ready()
    assert resident_memory() - before < 4 * MIB
    sender.kill()
    client.reset()
    wanted.set()
