"""A worker of a few lines that accepts in one of three ways: `prototype.py WAY PORT|DESCRIPTOR`. SIGTERM ends it.

It answers like the application of loadtests/chaos. Once told to end it accepts no more, closes its listening socket,
finishes what it has, and leaves.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import sys
import time
from typing import Final

BACKLOG: Final = 1024
LINGER_SECONDS: Final = 0.5  # for what has been accepted and has not been asked on yet
HOST: Final = "127.0.0.1"
BODY: Final = f"prototype {os.getpid()}"


def open_own(port: int) -> socket.socket:
    """Listen with SO_REUSEPORT."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((HOST, port))
    listener.listen(BACKLOG)
    return listener


def answer(client: socket.socket, closing: bool) -> None:
    """Send the answer."""
    ending = "Connection: close\r\n" if closing else ""
    client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n{ending}\r\n{BODY}".encode())


def run(way: str, number: int) -> None:
    """Serve until told to end."""
    listener = open_own(number) if way == "reuseport" else socket.socket(fileno=number)
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN | (select.EPOLLEXCLUSIVE if way == "exclusive" else 0))
    clients: dict[int, socket.socket] = {}
    due: list[tuple[float, int, bool]] = []
    ending = False

    def end(number: int, frame: object) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    end_by = float("inf")
    while not ending or due or (clients and time.monotonic() < end_by):
        if ending and listener.fileno() >= 0:
            poller.unregister(listener)
            listener.close()
            end_by = time.monotonic() + LINGER_SECONDS
        timeout = max(due[0][0] - time.monotonic(), 0) if due else 0.05
        for descriptor, _ in poller.poll(timeout):
            if listener.fileno() == descriptor:
                try:
                    client, _ = listener.accept()
                except BlockingIOError:
                    continue  # another worker was faster
                clients[client.fileno()] = client
                poller.register(client, select.EPOLLIN)
                continue
            client = clients[descriptor]
            data = client.recv(4096)
            if not data:
                clients.pop(descriptor).close()
            elif data.startswith(b"GET /?"):
                seconds = float(data.split()[1].partition(b"?")[2])
                heapq.heappush(due, (time.monotonic() + seconds, descriptor, b"close" in data))
            else:
                answer(client, ending or b"close" in data)
        while due and due[0][0] <= time.monotonic():
            _, descriptor, closing = heapq.heappop(due)
            answer(clients[descriptor], closing or ending)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
