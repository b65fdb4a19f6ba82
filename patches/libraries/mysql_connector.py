"""MySQL's connector without its C extension, which holds the interpreter's lock in COMMIT, ping and autocommit."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Any

from mysql.connector.connection import MySQLConnection
from mysql.connector.errors import Error


def in_python(original: Any) -> Any:
    """The connection class written in Python in place of the one in C; None where there is no extension."""
    return MySQLConnection if original else original


def closing_if_interrupted(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method that sends or receives; it closes the socket if its greenlet is killed or times out meanwhile.

    Otherwise the next query gets the answer that nobody waited for.
    """

    @functools.wraps(original)
    def call(self: Any, sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, sock, *args, **kwargs)
        except Error:
            raise
        except BaseException:
            sock.close()
            raise

    return call
