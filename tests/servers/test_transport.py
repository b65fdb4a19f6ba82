"""The transport: peers that are slow or gone, senders that are interrupted, and files sent by the kernel."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent

from tests.conftest import GET, Application, Client, CutShort, Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, Tracked, answering, assert_in_sync

# Peers that are slow or gone.


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_a_stream_closes_it_without_an_error(serve: Serving, how: str) -> None:
    body = Tracked(*[b"x" * 65536] * 1000)
    served = serve(answering(lambda: body))
    client = served.connect().send(GET)
    wait_until(lambda: not client.is_silent())
    getattr(client, how)()
    wait_until(lambda: body.closed)
    served.until(connections=0, in_flight=0)
    assert (body.closed, served.log) == (1, "")


def test_a_reader_that_stops_holds_up_nobody_else(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [BIG] if environ["PATH_INFO"] == "/big" else []

    served = serve(app)
    slow = served.connect(receive_buffer=4096)
    slow.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: not slow.is_silent())
    for _ in range(10):
        assert served.get("/small").status == 200
    assert served.server.statistics().in_flight == 1
    assert slow.response().body == BIG
    assert_in_sync(slow)


def test_a_reader_that_takes_nothing_is_closed_after_the_write_timeout(serve: Serving) -> None:
    body = Tracked(BIG, BIG)
    served = serve(answering(lambda: body), write_timeout=0.1)
    client = served.connect(receive_buffer=4096).send(GET)
    served.until(connections=0, timed_out=1)
    assert (body.closed, served.log) == (1, "")
    with pytest.raises(CutShort):
        client.response()


def test_a_reader_that_is_slow_but_steady_is_not_timed_out(serve: Serving) -> None:
    served = serve(answering(lambda: [BIG]), write_timeout=0.2)
    client = served.connect(receive_buffer=4096).send(GET)
    received = 0
    deadline = time.monotonic() + 1.0  # five times the timeout
    while time.monotonic() < deadline:
        received += len(client.socket.recv(1024))
        gevent.sleep(0.002)
    assert served.server.statistics().timed_out == 0
    assert served.server.statistics().in_flight == 1
    while part := client.socket.recv(1 << 20):
        received += len(part)
        if received > len(BIG):
            break
    assert received > len(BIG)


# Senders that are interrupted.


class Interrupted(Exception):
    """Thrown into an application while it sends."""


def assert_only_whole_responses(client: Client, count: int) -> None:
    """Responses of `<` with an ascending X-Number, until the connection ends: nothing between or instead of them."""
    for number in range(count):
        try:
            response = client.response()
        except (EOFError, CutShort, ConnectionResetError):
            return
        assert (response["X-Number"], set(response.body)) == (str(number), {ord("<")})


def pipeline(count: int) -> bytes:
    """GET requests with ascending numbers in their queries."""
    return b"".join(b"GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(count))


def test_a_piece_that_was_sent_counts_even_if_the_sender_is_interrupted_then(serve: Serving) -> None:
    interrupted: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Length", str(2 * MIB)), ("X-Number", environ["QUERY_STRING"])])
        write(b"<" * MIB)  # as much as one may send without letting others run
        get_hub().loop.run_callback(getcurrent().throw, Interrupted)
        try:
            write(b"<" * MIB)
        except Interrupted:
            interrupted.append(environ["QUERY_STRING"])
        return [b"<" * MIB]

    client = serve(app).connect().send(pipeline(5))
    assert_only_whole_responses(client, 5)
    assert interrupted


def fill_send_buffer(client: Client) -> int:
    """Fill the kernel's buffer towards `client` to the last byte, behind the server's back; return the size of that."""
    sent = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
        except FileNotFoundError:
            continue
        with socket.socket(fileno=os.dup(int(name))) as duplicate:
            try:
                if duplicate.getpeername() != client.socket.getsockname():
                    continue
            except OSError:
                continue
            for size in (65536, 1):
                try:
                    while True:
                        sent += duplicate.send(b"-" * size)
                except BlockingIOError:
                    pass
    return sent


@pytest.mark.parametrize("fields", [[("Content-Length", "10")], []], ids=["length", "chunked"])
def test_a_head_that_could_not_be_sent_is_not_left_out(serve: Serving, fields: list[tuple[str, str]]) -> None:
    """An application that gives up its first write() for a timeout must not go on with a response that has no head."""
    filled: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("X-Number", "0"), *fields])
        filled.append(fill_send_buffer(client))
        with gevent.Timeout(0.02, Interrupted), pytest.raises(Interrupted):
            write(b"<" * 5)
        filled.append(0)
        write(b"<" * 5)
        return [b"<" * 5]

    client = serve(app).connect().send(GET)
    wait_until(lambda: len(filled) == 2)
    while filled[0]:
        filled[0] -= len(client.socket.recv(min(filled[0], MIB)))
    assert_only_whole_responses(client, 1)


def test_a_piece_that_was_partly_sent_ends_the_connection(serve: Serving) -> None:
    interrupted: list[bool] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        with gevent.Timeout(0.02, Interrupted), pytest.raises(Interrupted):
            write(BIG)
        interrupted.append(True)
        return [b"more"]

    client = serve(app).connect(receive_buffer=4096).send(GET)
    wait_until(lambda: interrupted)
    with pytest.raises(CutShort) as cut:
        client.response()
    assert b"more" not in cut.value.response.body[-10:]


@pytest.mark.parametrize("fields", [[("Content-Length", str(len(BIG)))], []], ids=["length", "chunked"])
def test_a_greenlet_that_still_writes_when_its_request_ends(serve: Serving, fields: list[tuple[str, str]]) -> None:
    """What it has not sent yet must not get between the responses that follow, nor make another request fail."""
    outcome: list[Any] = []

    def write_on(write: Callable[[bytes], None]) -> None:
        try:
            write(b"<" * len(BIG))
        except ConnectionError as error:
            outcome.append(error)
        else:
            outcome.append("written")

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        number = ("X-Number", environ["QUERY_STRING"])
        if number[1] == "0":
            gevent.spawn(write_on, start_response("200 OK", [number, *fields]))
            gevent.sleep(0)
            return []
        start_response("200 OK", [number])
        return [b"<" * 1000]

    served = serve(app)
    client = served.connect(receive_buffer=4096).send(pipeline(20))
    wait_until(lambda: not client.is_silent())
    gevent.idle()
    assert_only_whole_responses(client, 20)
    wait_until(lambda: outcome)
    assert not re.findall(r"GET /\?[1-9]", served.log)


def test_pieces_of_every_size_reach_a_slow_reader(serve: Serving) -> None:
    chance = random.Random(1)
    pieces = [BIG[:size] for size in [chance.choice([1, 100, 10_000, 16_384, 16_385, 70_000]) for _ in range(300)]]
    client = serve(answering(lambda: iter(pieces))).connect(receive_buffer=4096)
    assert client.get().body == b"".join(pieces)
    assert_in_sync(client)


def test_slow_readers_get_each_their_own(serve: Serving) -> None:
    """Small pieces go through a buffer that all connections share."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return (environ["QUERY_STRING"].encode() * 10_000 for _ in range(300))

    served = serve(app)
    letters = "abcdefghijkl"
    clients = [served.connect(receive_buffer=4096) for _ in letters]
    for client, letter in zip(clients, letters, strict=True):
        client.send(f"GET /?{letter} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    served.until(in_flight=len(letters))
    responses = gevent.joinall([gevent.spawn(client.response) for client in clients], raise_error=True)
    assert [response.value.body for response in responses] == [letter.encode() * 3_000_000 for letter in letters]


def test_a_request_that_is_killed_while_it_sends(serve: Serving) -> None:
    greenlets: list[Any] = []
    body = Tracked(BIG, BIG)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        greenlets.append(getcurrent())
        start_response("200 OK", [])
        return body

    served = serve(app)
    client = served.connect(receive_buffer=4096).send(GET)
    wait_until(lambda: not client.is_silent())
    greenlets[0].kill()
    with pytest.raises(CutShort):
        client.response()
    assert body.closed == 1
    served.until(connections=0)


# Files.


def named_file(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


def temporary(kind: Callable[..., Any]) -> Callable[[Path, bytes], Any]:
    """A temporary file of this kind, as an application writes one and sends it."""

    def make(folder: Path, data: bytes) -> Any:
        file = kind(dir=folder)
        file.write(data)
        file.seek(0)
        return file

    return make


def compressed(folder: Path, data: bytes) -> Any:
    path = folder / "file.gz"
    path.write_bytes(gzip.compress(data, 1))
    return gzip.open(path)


class Reader:
    """The least that a file is: read()."""

    def __init__(self, folder: Path, data: bytes) -> None:
        self.read = io.BytesIO(data).read


FILES: dict[str, Callable[[Path, bytes], Any]] = {
    "plain": lambda folder, data: named_file(folder, data).open("rb"),
    "unbuffered": lambda folder, data: named_file(folder, data).open("rb", buffering=0),
    "writable": lambda folder, data: named_file(folder, data).open("r+b"),
    "temporary": temporary(tempfile.TemporaryFile),
    "named temporary": temporary(tempfile.NamedTemporaryFile),
    "spooled temporary": temporary(tempfile.SpooledTemporaryFile),
    "in memory": lambda folder, data: io.BytesIO(data),
    "compressed": compressed,
    "reader": Reader,
}
CONTENTS = {"empty": b"", "small": b"hello", "big": BIG + b"tail"}


def sending(open_file: Callable[[], Any], *fields: tuple[str, str]) -> Application:
    """An application that sends what `open_file()` returns by wsgi.file_wrapper."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(fields))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open_file(), 65536)
        return wrapped

    return app


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_sent_whole_and_closed(serve: Serving, tmp_path: Path, kind: str, content: str) -> None:
    files: list[Any] = []

    def open_file() -> Any:
        files.append(FILES[kind](tmp_path, CONTENTS[content]))
        return files[-1]

    client = serve(sending(open_file)).connect()
    for _ in range(2):
        assert client.get().body == CONTENTS[content]
    assert client.get(method="HEAD").body == b""
    assert client.get("/", version="1.0").body == CONTENTS[content]
    client.expect_end()
    assert all(file.closed for file in files if kind != "reader")


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "reader"])
@pytest.mark.parametrize("offset", [1, len(BIG) - 5, len(BIG), len(BIG) + 5])
def test_a_file_is_sent_from_its_position_on(serve: Serving, tmp_path: Path, kind: str, offset: int) -> None:
    def open_file() -> Any:
        file = FILES[kind](tmp_path, BIG)
        file.seek(offset)
        return file

    client = serve(sending(open_file)).connect()
    assert client.get().body == BIG[offset:]
    assert_in_sync(client)


def test_a_file_is_sent_from_behind_what_the_application_read(serve: Serving, tmp_path: Path) -> None:
    def open_file() -> Any:
        file = FILES["plain"](tmp_path, b"first\nsecond\n")
        file.readline()
        return file

    assert serve(sending(open_file)).get().body == b"second\n"


@pytest.mark.parametrize("kind", FILES)
def test_no_more_of_a_file_is_sent_than_declared(serve: Serving, tmp_path: Path, kind: str) -> None:
    client = serve(sending(lambda: FILES[kind](tmp_path, BIG), ("Content-Length", "1000"))).connect()
    for _ in range(2):
        assert client.get().body == BIG[:1000]


@pytest.mark.parametrize("kind", FILES)
def test_a_file_shorter_than_declared_ends_the_connection(serve: Serving, tmp_path: Path, kind: str) -> None:
    served = serve(sending(lambda: FILES[kind](tmp_path, b"hello"), ("Content-Length", "9")))
    with pytest.raises(CutShort) as cut:
        served.connect().get()
    assert cut.value.response.body == b"hello"
    assert "5 of 9 bytes" in served.log


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(serve: Serving, tmp_path: Path) -> None:
    path = named_file(tmp_path, BIG * 2)
    served = serve(sending(lambda: path.open("rb")))
    client = served.connect(receive_buffer=4096).send(GET)
    wait_until(lambda: not client.is_silent())
    os.truncate(path, 10)
    with pytest.raises(CutShort):
        client.response()
    assert f"of {len(BIG) * 2} bytes" in served.log


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs Linux's /proc")
def test_a_file_whose_size_says_nothing_is_read(serve: Serving) -> None:
    version = Path("/proc/version")
    assert serve(sending(lambda: version.open("rb"))).get().body == version.read_bytes()


def test_a_closed_file_is_an_error(serve: Serving, tmp_path: Path) -> None:
    def open_file() -> Any:
        file = FILES["plain"](tmp_path, b"hello")
        file.close()
        return file

    served = serve(sending(open_file))
    assert served.get().status == 500
    assert "ValueError" in served.log


def test_a_client_that_leaves_a_download_closes_the_file(serve: Serving, tmp_path: Path) -> None:
    file = FILES["plain"](tmp_path, BIG * 2)
    served = serve(sending(lambda: file))
    client = served.connect(receive_buffer=4096).send(GET)
    wait_until(lambda: not client.is_silent())
    client.reset()
    wait_until(lambda: file.closed)
    assert served.log == ""


def test_a_download_holds_up_nobody_else(serve: Serving, tmp_path: Path) -> None:
    """A fast reader on the same machine never makes the sender wait, so only its turn-taking lets others in."""
    path = named_file(tmp_path, b"")
    os.truncate(path, 1 << 30)
    send_file = sending(lambda: path.open("rb"))

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return (send_file if environ["PATH_INFO"] == "/file" else answering(list))(environ, start_response)

    served = serve(app)
    downloader = served.connect().send(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: not downloader.is_silent())
    for _ in range(10):
        assert served.get("/").status == 200
    assert served.server.statistics().in_flight == 1
