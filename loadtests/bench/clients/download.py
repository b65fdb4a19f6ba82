"""Downloads one file again and again over a keep-alive connection and measures how fast its bytes arrive.

The first transfer is read and compared with the file; it also warms the page cache and is not counted. In the others
the kernel discards the bytes (MSG_TRUNC), so that copying them is not what is measured.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import time
from pathlib import Path
from typing import Final

from .requests import get_request

PIECE: Final = 2**20
HEAD_BYTES: Final = 16 * 1024


class Download:
    """A connection on which the same file is fetched. Every method raises RuntimeError for a wrong or short answer."""

    def __init__(self, host: str, port: int, path: str, size: int) -> None:
        # Without a timeout of its own: that would cost a poll for each recv. The benchmark bounds the client.
        self.connection = socket.create_connection((host, port))
        self.request = get_request(host, port, path)
        self.size = size
        self.buffer = bytearray(PIECE)

    def verify(self, file: Path) -> None:
        """Fetch the file and compare it byte by byte."""
        with file.open("rb") as original:
            body = self.start()
            remaining = self.size
            while True:
                if original.read(len(body)) != body:
                    raise RuntimeError(f"wrong content near byte {self.size - remaining}")
                remaining -= len(body)
                if not remaining:
                    return
                body = bytes(memoryview(self.buffer)[: self.receive(remaining)])

    def discard(self) -> None:
        """Fetch the file without looking at it."""
        remaining = self.size - len(self.start())
        while remaining:
            remaining -= self.receive(remaining, socket.MSG_TRUNC)

    def start(self) -> bytes:
        """Send the request, check the response's head and return what came of the body with it."""
        self.connection.sendall(self.request)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.connection.recv(HEAD_BYTES)
            received += piece
            if not piece or len(received) > 2 * HEAD_BYTES:
                raise RuntimeError(f"not a response: {received[:200]!r}")
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)(\r\n|$)", head, re.IGNORECASE)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None or int(length[1]) != self.size:
            raise RuntimeError(f"wrong response head: {head!r}")
        return body

    def receive(self, limit: int, flags: int = 0) -> int:
        """Receive at most `limit` bytes of a body, and give their number."""
        count = self.connection.recv_into(self.buffer, min(limit, PIECE), flags)
        if not count:
            raise RuntimeError(f"the server closed the connection {limit} bytes early")
        return count


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.clients.download", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--file", type=Path, required=True, help="the same file, to compare with")
    parser.add_argument("--size", type=int, required=True, help="its size in bytes")
    parser.add_argument("--seconds", type=float, default=1.0, help="start no further transfer after this time")
    options = parser.parse_args()
    download = Download(options.host, options.port, options.path, options.size)
    download.verify(options.file)
    transfers, started = 0, time.perf_counter()
    elapsed = 0.0
    while elapsed < options.seconds:
        download.discard()
        transfers += 1
        elapsed = time.perf_counter() - started
    print(json.dumps({"transfers": transfers, "seconds": elapsed}), flush=True)


if __name__ == "__main__":
    main()
