"""Stands in for `pywsgi.Input`: the `wsgi.input` of a request that hublet is really serving.

The suite feeds `pywsgi.Input` from a file in memory. hublet's request body reads from a connection and from nothing
else, so each input made here has a server, a client that sends the file's bytes, and a request that waits until
`close_all`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import IO, Any

from gevent import socket
from gevent.event import AsyncResult, Event
from hublet.servers.server import WSGIServer

# What the open inputs hold on to; closed in reverse order.
_opened = contextlib.ExitStack()


def live_input(rfile: IO[bytes], content_length: int | None = None, chunked_input: bool = False) -> Any:
    """The `wsgi.input` of a POST whose body is sent as `rfile` holds it, and after which the client sends no more."""
    served: AsyncResult = AsyncResult()
    done = Event()

    def hand_over(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        served.set(environ["wsgi.input"])
        done.wait()
        start_response("204 No Content", [])
        return []

    server = WSGIServer(("127.0.0.1", 0), hand_over, log=None)
    server.start()
    _opened.callback(server.stop)
    client = _opened.enter_context(socket.create_connection(server.address))
    _opened.callback(done.set)
    framing = "Transfer-Encoding: chunked" if chunked_input else f"Content-Length: {content_length}"
    client.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode() + rfile.read())
    client.shutdown(socket.SHUT_WR)
    return served.get(timeout=5)


def close_all() -> None:
    """End the requests behind the inputs, and their servers."""
    _opened.close()
