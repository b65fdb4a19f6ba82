"""Stands between a client and its server, and passes on requests 200 ms late."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

from .process import accepts, folder, free_port, running

DELAY = 0.2  # seconds


@contextmanager
def slow_proxy(port: int, listening: int = 0) -> Iterator[int]:
    """Run a proxy to a port of this machine on this thread's hub; yield its port, which is free unless it is given."""

    def passing(source: Any, sink: Any, delay: float) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                gevent.sleep(delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def connected(client: Any, _: Any) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            gevent.joinall([gevent.spawn(passing, client, server, DELAY), gevent.spawn(passing, server, client, 0)])

    proxy = StreamServer(("127.0.0.1", listening), connected)
    proxy.start()
    try:
        yield proxy.server_port
    finally:
        proxy.stop(0)


@contextmanager
def slow_proxy_process(port: int) -> Iterator[int]:
    """The same in a process of its own, for clients that stop the hub of theirs."""
    listening = free_port()
    with folder() as place:
        command = [sys.executable, "-c", f"import {__name__} as it; it.serve({port}, {listening})"]
        with running(command, lambda: accepts(listening), place / "log"):
            yield listening


def serve(port: int, listening: int) -> None:
    """Stand between a port and clients of another until the process ends."""
    with slow_proxy(port, listening):
        gevent.get_hub().join()
