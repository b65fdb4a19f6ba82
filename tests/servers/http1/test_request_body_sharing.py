"""`wsgi.input` beside something else: several readers, a writer, a request that has ended, a peer that floods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent
import pytest
from gevent import getcurrent
from gevent.event import Event
from hublet.runtime import limits

from tests.conftest import Client, Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, NEXT, framed, post, reading, split_head


def test_a_kept_body_cannot_read_what_comes_after_its_request(serve: Serving) -> None:
    kept: list[Any] = []

    def read(body: Any) -> bytes:
        kept.append(body)
        return bytes(body.readline())

    client = serve(reading(read)).connect()
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


def bring_to_fairness(client: Client, margin: int) -> None:
    """Move so many bytes that `margin` more make the connection give others a turn."""
    moved = 0
    while moved < limits.FAIRNESS_BYTES - margin:
        size = max(min(2000, limits.FAIRNESS_BYTES - margin - moved), 0)
        client.send(b"GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
        response = client.response()
        moved += len("HTTP/1.1 200 OK\r\n\r\n") + size
        moved += sum(len(f"{name}: {value}\r\n") for name, value in response.fields)


@framed
def test_a_greenlet_that_gives_others_a_turn_while_its_request_ends(serve: Serving, framing: str) -> None:
    """When it goes on, the bytes that have come are the next request's."""
    began = Event()
    outcome: list[Any] = []

    def read_on(body: Any) -> None:
        try:
            outcome.append(body.read())
        except ValueError as error:
            outcome.append(error)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            began.wait()
            gevent.spawn(read_on, environ["wsgi.input"])
            gevent.sleep(0)
        start_response("200 OK", [])
        return [b"x" * int(environ["QUERY_STRING"] or 0)]

    served = serve(app)
    client = served.connect()
    bring_to_fairness(client, -500)
    head, body = split_head(post(framing, b"hello"))
    client.send(head)
    served.until(in_flight=1)
    client.send(body + NEXT * 3)
    began.set()
    assert [response.status for response in client.responses(4)] == [200] * 4
    wait_until(lambda: outcome)


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
    bring_to_fairness(client, 500)
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


def test_uploads_at_once_keep_each_their_own(serve: Serving) -> None:
    """Chunked bodies come in through a buffer that all connections share."""

    def read(body: Any) -> bytes:
        return b"".join(iter(lambda: body.read(777), b""))

    served = serve(reading(read))
    letters = b"abcdefghijkl"
    clients = [served.connect() for _ in letters]
    requests = [post("chunked", bytes([letter]) * 200_000, chunk=1000) for letter in letters]
    for start in range(0, max(map(len, requests)), 10_007):
        for client, request in zip(clients, requests, strict=True):
            client.send(request[start : start + 10_007])
        gevent.idle()
    assert [client.response().body for client in clients] == [bytes([letter]) * 200_000 for letter in letters]


@framed
def test_a_read_that_was_interrupted_leaves_the_connection_in_sync(serve: Serving, framing: str) -> None:
    """What it had taken is lost, as with any buffered file; the rest of the body and the next request are not."""

    def read(body: Any) -> bytes:
        with gevent.Timeout(0.02, False):
            body.read(2000)
        return bytes(body.read())

    client = serve(reading(read)).connect()
    request = post(framing, BIG[:2000], chunk=100)
    client.send(request[:1500])
    gevent.sleep(0.05)
    client.send(request[1500:] + NEXT)
    assert BIG[:2000].endswith(client.response().body)
    assert client.response().body == b"/next"


@framed
def test_a_request_that_is_killed_while_it_reads(serve: Serving, framing: str) -> None:
    greenlets: list[Any] = []

    def read(body: Any) -> object:
        greenlets.append(getcurrent())
        return body.read()

    served = serve(reading(read))
    client = served.connect().send(post(framing, b"hello")[:-2])
    served.until(in_flight=1)
    greenlets[0].kill()
    assert client.response().status == 500
    client.send(post(framing, b"hello")[-2:] + NEXT)  # the rest is drained
    assert client.response().body == b"/next"


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
