"""A private NATS server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .process import accepts, folder, free_port, program, running, unprivileged


@contextmanager
def nats_server() -> Iterator[int]:
    """Run a server; gives its port."""
    port = free_port()
    with folder() as place:
        command = [program("nats-server", "nats-server"), "--addr", "127.0.0.1", "--port", str(port)]
        with running(unprivileged(command), lambda: accepts(port), place / "log"):
            yield port
