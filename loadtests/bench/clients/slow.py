"""Many slow clients at once: each uploads a small body piece by piece and checks the answer, again and again.

They go on until the standard input is closed, and then tell how many requests were answered, how many failed, and how
long answers took after the last piece. Whoever waits longer than is reasonable has failed, too.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from dataclasses import dataclass
from typing import Final

from ..stats import percentile
from .requests import post_request

PIECES: Final = 20
PIECE_SECONDS: Final = 0.05
BODY: Final = 1000
ANSWER: Final = b"\r\n\r\n" + str(BODY).encode()
PATIENCE_SECONDS: Final = 5.0


@dataclass(slots=True)
class SlowClient:
    """One client; `sent` pieces of its request are on the way."""

    connection: socket.socket
    sent: int = 0
    answer: bytes = b""
    finished: float = 0.0


class Herd:
    """All slow clients of one server."""

    def __init__(self, address: tuple[str, int], size: int) -> None:
        request = post_request(*address, BODY) + b"s" * BODY
        step = -(-len(request) // PIECES)
        self.pieces = [request[start : start + step] for start in range(0, len(request), step)]
        self.address = address
        self.clients = [self.new_client() for _ in range(size)]
        self.latencies: list[float] = []
        self.errors = 0

    def new_client(self) -> SlowClient:
        """Connect one client."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self.address)
        return SlowClient(connection)

    def step(self) -> None:
        """Let each client send a piece, or look for its answer."""
        for number, client in enumerate(self.clients):
            try:
                good = self.send(client) if client.sent < len(self.pieces) else self.receive(client)
            except BlockingIOError:
                good = not client.finished or time.perf_counter() - client.finished < PATIENCE_SECONDS
            except OSError:
                good = False
            if not good:
                self.errors += 1
            if not good or client.answer.endswith(ANSWER):
                client.connection.close()
                self.clients[number] = self.new_client()

    def send(self, client: SlowClient) -> bool:
        """Send the next piece."""
        client.connection.send(self.pieces[client.sent])
        client.sent += 1
        if client.sent == len(self.pieces):
            client.finished = time.perf_counter()
        return True

    def receive(self, client: SlowClient) -> bool:
        """Take what has come; False if the server has closed or the answer is wrong."""
        piece = client.connection.recv(4096)
        client.answer += piece
        if client.answer.endswith(ANSWER):
            self.latencies.append(time.perf_counter() - client.finished)
            return client.answer.startswith(b"HTTP/1.1 200 ")
        return bool(piece)

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.connection.close()


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.clients.slow", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    options = parser.parse_args()
    herd = Herd((options.host, options.port), options.connections)
    print(json.dumps({"connections": float(options.connections)}), flush=True)
    while not select.select([sys.stdin], [], [], PIECE_SECONDS)[0]:
        herd.step()
    slowest = percentile(herd.latencies, 99) * 1000 if herd.latencies else 0.0
    answer = {"answered": len(herd.latencies), "errors": herd.errors, "p99_ms": slowest}
    print(json.dumps(answer), flush=True)
    herd.close()


if __name__ == "__main__":
    main()
