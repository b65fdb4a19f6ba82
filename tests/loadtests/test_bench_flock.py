"""The client that holds thousands of connections: what counts as an answer, and what as an error."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtests.bench.clients.flock import Flock, accept_queue, is_complete
from loadtests.bench.clients.requests import get_request

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\nServer: x\r\n\r\nhello"
REQUEST = get_request("127.0.0.1", 80)
CONNECTIONS = 8

Answerer = Callable[[socket.socket, int], None]


@contextmanager
def server(answer: Answerer) -> Iterator[int]:
    """A listener whose connections each get a thread that calls `answer` with their number for every request."""
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        threads = [threading.Thread(target=serve, args=(listener, number, answer)) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        yield listener.getsockname()[1]
        for thread in threads:
            thread.join()


def serve(listener: socket.socket, number: int, answer: Answerer) -> None:
    connection, _ = listener.accept()
    with connection:
        while connection.recv(4096):
            answer(connection, number)


@contextmanager
def connected(port: int) -> Iterator[Flock]:
    flock = Flock("127.0.0.1", port, CONNECTIONS)
    try:
        flock.connect()
        yield flock
    finally:
        flock.close()


@pytest.mark.parametrize("in_flight", [1, 3, CONNECTIONS, 100])
def test_every_connection_is_answered_in_every_wave(in_flight: int) -> None:
    with server(lambda connection, _: connection.sendall(ANSWER)) as port, connected(port) as flock:
        assert accept_queue(port) == 0
        for _ in range(3):
            wave = flock.wave(REQUEST, in_flight)
            assert (len(wave.latencies), wave.errors) == (CONNECTIONS, 0)
            assert all(0 < latency < 10 for latency in wave.latencies)
        assert flock.count_lost() == 0


def test_an_answer_may_come_in_pieces() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        for byte in ANSWER:
            connection.sendall(bytes([byte]))

    with server(answer) as port, connected(port) as flock:
        assert flock.wave(REQUEST, CONNECTIONS).errors == 0


def test_a_connection_that_the_server_closes_is_an_error_in_this_and_all_later_waves() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        if number == 0:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(ANSWER)

    with server(answer) as port, connected(port) as flock:
        for _ in range(2):
            wave = flock.wave(REQUEST, CONNECTIONS)
            assert (len(wave.latencies), wave.errors) == (CONNECTIONS - 1, 1)
        assert flock.count_lost() == 1


def test_a_wrong_status_is_an_error() -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(ANSWER.replace(b"200 OK", b"503 Busy") if number < 2 else ANSWER)

    with server(answer) as port, connected(port) as flock:
        wave = flock.wave(REQUEST, CONNECTIONS)
        assert (len(wave.latencies), wave.errors) == (CONNECTIONS - 2, 2)


@pytest.mark.parametrize("end", range(len(ANSWER)))
def test_a_part_of_an_answer_is_not_yet_one(end: int) -> None:
    assert is_complete(ANSWER[:end]) is None


def test_a_whole_answer_is_complete() -> None:
    assert is_complete(ANSWER) is True


@pytest.mark.parametrize(
    "response",
    [
        ANSWER + b"H",
        ANSWER.replace(b"200", b"404"),
        ANSWER.replace(b"content-length: 5", b"transfer-encoding: chunked"),
        b"x" * 4096,
    ],
    ids=["trailing bytes", "status", "no length", "no head"],
)
def test_anything_else_is_wrong(response: bytes) -> None:
    assert is_complete(response) is False


def test_nobody_listening_has_no_accept_queue() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert accept_queue(unheard.getsockname()[1]) == 0
