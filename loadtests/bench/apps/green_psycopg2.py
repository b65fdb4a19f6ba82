"""psycopg2 under gevent: its waits yield to the hub, where gevent has patched the process and nothing else does it."""

from __future__ import annotations

import gevent.socket
import psycopg2
from gevent import monkey
from psycopg2 import extensions


def wait(connection: extensions.connection) -> None:
    """Wait until an operation is done, as `set_wait_callback` asks of its callback."""
    while (state := connection.poll()) != extensions.POLL_OK:
        if state == extensions.POLL_READ:
            gevent.socket.wait_read(connection.fileno())
        elif state == extensions.POLL_WRITE:
            gevent.socket.wait_write(connection.fileno())
        else:
            raise psycopg2.OperationalError(f"unknown state {state} of a connection")


def make_green() -> None:
    """Install the callback where the process is patched and has none."""
    if monkey.is_module_patched("socket") and extensions.get_wait_callback() is None:
        extensions.set_wait_callback(wait)
