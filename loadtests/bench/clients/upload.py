"""Uploads a body again and again over a keep-alive connection and measures how fast the server takes it.

The body comes from a small file in memory by `sendfile`, which spares the client a copy. The first transfer is not
counted. Every answer must be the number of bytes that were sent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import time
from typing import Final

from .requests import post_request

SOURCE_BYTES: Final = 16 * 2**20


def make_source() -> int:
    """A descriptor of a file in memory with random content."""
    descriptor = os.memfd_create("upload")
    block = os.urandom(2**20)
    for _ in range(SOURCE_BYTES // len(block)):
        os.write(descriptor, block)
    return descriptor


def upload(connection: socket.socket, source: int, request: bytes, size: int) -> None:
    """Send one request with a body of `size` bytes and check the answer. Raises RuntimeError for a wrong one."""
    connection.sendall(request)
    remaining = size
    while remaining:
        offset = (size - remaining) % SOURCE_BYTES
        sent = os.sendfile(connection.fileno(), source, offset, min(remaining, SOURCE_BYTES - offset))
        remaining -= sent
    response = http.client.HTTPResponse(connection)
    response.begin()
    answer = response.read()
    if response.status != 200 or answer != str(size).encode():
        raise RuntimeError(f"wrong answer to {size} bytes: {response.status} {answer[:80]!r}")


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.clients.upload", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="of the body, in bytes")
    parser.add_argument("--seconds", type=float, default=1.0, help="start no further transfer after this time")
    options = parser.parse_args()
    source = make_source()
    request = post_request(options.host, options.port, options.size)
    # Without a timeout of its own: that would make the socket non-blocking underneath. The benchmark bounds the client.
    connection = socket.create_connection((options.host, options.port))
    upload(connection, source, request, options.size)
    transfers, elapsed, started = 0, 0.0, time.perf_counter()
    while elapsed < options.seconds:
        upload(connection, source, request, options.size)
        transfers += 1
        elapsed = time.perf_counter() - started
    print(json.dumps({"transfers": transfers, "seconds": elapsed}), flush=True)


if __name__ == "__main__":
    main()
