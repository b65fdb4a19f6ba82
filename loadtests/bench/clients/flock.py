"""Thousands of keep-alive connections in one thread: raw non-blocking sockets and one epoll object.

A request is known beforehand and the same for all, and a response is small, so a connection's whole state is the bytes
of the response that have come so far. Whatever goes wrong on a connection closes it and counts as one error, now and in
every later wave.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RESPONSE_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 60.0
# The kernel drops connection requests while the server's accept queue is full, and the next try is a second later.
# The queue is looked at after so many connections; the backlogs of all servers are larger than both figures together.
CONNECT_BATCH: Final = 64
ACCEPT_QUEUE_BOUND: Final = 256
RECV_SIZE: Final = 4096
LISTEN_STATE: Final = "0A"  # of /proc/net/tcp
HEAD: Final = re.compile(
    rb"HTTP/1\.1 200 [^\r]*\r\n(?:[^\r]+\r\n)*?content-length: *(\d+)\r\n(?:[^\r]+\r\n)*\r\n", re.IGNORECASE
)


@dataclass(slots=True)
class Wave:
    """What a request on every connection gave: seconds from sending to the last byte, and the number that failed."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0


class Flock:
    """`size` connections to one server. Call `connect`, then `wave` as often as wanted, then `close`."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self.address = (host, port)
        self.size = size
        self.connections: dict[int, socket.socket] = {}
        self.epoll = select.epoll(size)

    def connect(self) -> None:
        """Make the connections, and wait until the server has accepted them all."""
        for number in range(self.size):
            if number % CONNECT_BATCH == 0:
                wait_for_accept_queue(self.address[1], ACCEPT_QUEUE_BOUND)
            try:
                connection = socket.create_connection(self.address, timeout=CONNECT_SECONDS)
            except OSError:
                continue  # a wave counts every connection that is not there
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            self.connections[connection.fileno()] = connection
            self.epoll.register(connection, select.EPOLLIN)
        wait_for_accept_queue(self.address[1], 0)

    def wave(self, request: bytes, in_flight: int) -> Wave:
        """Send `request` once on every connection, as fast as possible with at most `in_flight` unanswered."""
        result = Wave(errors=self.size - len(self.connections))
        started: dict[int, float] = {}
        received: dict[int, bytes] = {}
        unsent = iter(list(self.connections))
        for _ in range(in_flight):
            self.send_next(unsent, request, started, result)
        deadline = time.perf_counter() + RESPONSE_SECONDS
        while started:
            events = self.epoll.poll(max(0.0, deadline - time.perf_counter()))
            if not events:
                for descriptor in list(started):
                    self.give_up(descriptor, started, result)
            for descriptor, _ in events:
                self.read(descriptor, started, received, result)
                if descriptor not in started:
                    self.send_next(unsent, request, started, result)
        return result

    def send_next(self, unsent: Iterator[int], request: bytes, started: dict[int, float], result: Wave) -> None:
        """Send the request on the next connection that takes it."""
        for descriptor in unsent:
            connection = self.connections.get(descriptor)
            if connection is None:
                continue  # the server has closed it since the wave began; that has been counted
            started[descriptor] = time.perf_counter()
            try:
                if connection.send(request) == len(request):
                    return
            except OSError:
                pass
            self.give_up(descriptor, started, result)

    def read(self, descriptor: int, started: dict[int, float], received: dict[int, bytes], result: Wave) -> None:
        """Take what has come on a connection; note the latency if that completes the response."""
        connection = self.connections.get(descriptor)
        if connection is None:
            return  # closed earlier in this batch of events
        try:
            piece = connection.recv(RECV_SIZE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        response = received.pop(descriptor, b"") + piece
        if not piece or descriptor not in started:
            self.give_up(descriptor, started, result)
            return
        complete = is_complete(response)
        if complete is None:
            received[descriptor] = response
        elif complete:
            result.latencies.append(time.perf_counter() - started.pop(descriptor))
        else:
            self.give_up(descriptor, started, result)

    def give_up(self, descriptor: int, started: dict[int, float], result: Wave) -> None:
        """Close a connection and count it as an error."""
        started.pop(descriptor, None)
        self.epoll.unregister(descriptor)
        self.connections.pop(descriptor).close()
        result.errors += 1

    def count_lost(self) -> int:
        """How many of the connections the server has closed, or has sent something on, since the last wave."""
        return self.size - len(self.connections) + len(self.epoll.poll(0, self.size))

    def close(self) -> None:
        """Close all connections."""
        for connection in self.connections.values():
            connection.close()
        self.epoll.close()


def is_complete(response: bytes) -> bool | None:
    """True for exactly one whole 200 response with a Content-Length, None for a part of one, False for all else."""
    head, separator, body = response.partition(b"\r\n\r\n")
    if not separator:
        return None if len(response) < RECV_SIZE else False
    match = HEAD.fullmatch(head + separator)
    if match is None or len(body) > int(match[1]):
        return False
    return True if len(body) == int(match[1]) else None


def wait_for_accept_queue(port: int, bound: int) -> None:
    """Wait until at most `bound` connections to `port` wait for the server to accept them. Raises TimeoutError."""
    deadline = time.perf_counter() + CONNECT_SECONDS
    while accept_queue(port) > bound:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"the server has not accepted its connections within {CONNECT_SECONDS:g} s")
        time.sleep(0.001)


def accept_queue(port: int) -> int:
    """The length of the accept queues of the listeners on `port`: their rx_queue in /proc/net/tcp, listeners first."""
    length = 0
    with Path("/proc/net/tcp").open() as table:
        next(table)
        for line in table:
            _, local, _, state, queues = line.split(maxsplit=5)[:5]
            if state != LISTEN_STATE:
                break
            if int(local.rpartition(":")[2], 16) == port:
                length += int(queues.rpartition(":")[2], 16)
    return length
