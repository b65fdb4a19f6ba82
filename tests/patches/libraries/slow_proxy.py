"""Stands between a client and its server, on the client's own hub, and passes on requests 200 ms late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

DELAY = 0.2  # seconds


@contextmanager
def slow_proxy(port: int) -> Iterator[int]:
    """Yield the port of a proxy to a port of this machine."""

    def passing(source: Any, sink: Any, delay: float) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                gevent.sleep(delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def connected(client: Any, _: Any) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            gevent.joinall([gevent.spawn(passing, client, server, DELAY), gevent.spawn(passing, server, client, 0)])

    proxy = StreamServer(("127.0.0.1", 0), connected)
    proxy.start()
    try:
        yield proxy.server_port
    finally:
        proxy.stop(0)
