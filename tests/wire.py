"""Plays the corpus to a server over a connection, and holds the answers against what the corpus expects.

`EnvironApp` answers with what it sees, as JSON, so that expectations are checked on what went over the wire in both
directions; it also remembers its calls, since a refused request must not reach it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import gevent

from tests.conftest import Client, Response, Served
from tests.corpus import Case, Message

SECOND = b"GET /second?is=served HTTP/1.1\r\nHost: second.example\r\n\r\n"


class EnvironApp:
    """A WSGI application that answers with its environ and the request's body. `calls` has the path of each request."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.calls: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.calls.append(environ["PATH_INFO"])
        body = environ["wsgi.input"].read() if self.reads else b""
        seen = {key: value for key, value in environ.items() if isinstance(value, str)}
        answer = json.dumps({"environ": seen, "body": body.decode("latin-1")}).encode("ascii")
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]


def whole(data: bytes) -> list[bytes]:
    return [data]


def one_byte_at_a_time(data: bytes) -> list[bytes]:
    """Cut into single bytes; long data, which is long for a limit's sake, only near its end."""
    start = 0 if len(data) <= 1024 else len(data) - 64
    pieces = [data[place : min(place + 509, start)] for place in range(0, start, 509)]
    return pieces + [data[place : place + 1] for place in range(start, len(data))]


def with_a_second_request(data: bytes) -> list[bytes]:
    return [data + SECOND]


WAYS_TO_SEND = {
    "whole": whole,
    "one byte at a time": one_byte_at_a_time,
    "with a second request behind": with_a_second_request,
}


def send(client: Client, segments: list[bytes]) -> None:
    """Send `segments`, each of which the server has a chance to see alone, until it refuses to read on."""
    for segment in segments:
        try:
            client.send(segment)
        except ConnectionError:
            return  # it has answered; reading the answer shows whether that was right
        if len(segments) > 1:
            # Not sleep(0), which returns before the loop has looked at any descriptor.
            gevent.idle()


def rest_of(client: Client) -> bytes:
    """Return what comes until the end of the connection."""
    rest = client.received
    while part := client.socket.recv(65536):
        rest += part
    return rest


def final_response(client: Client, message: Message) -> Response:
    """Read a response; 100 (Continue) may come before it where the request asks for it, and nowhere else."""
    response = client.response()
    if message.expect_continue and response.status == 100:
        response = client.response()
    return response


def check_message(client: Client, message: Message) -> None:
    """Read the answer to one message and compare it with the expectation."""
    response = final_response(client, message)
    assert response.status == message.status, response
    if message.refused:
        assert response["Connection"] == "close"
        return
    seen = json.loads(response.body)
    assert {key: seen["environ"].get(key) for key in message.environ} == message.environ
    assert not set(message.absent) & set(seen["environ"])
    assert seen["body"].encode("latin-1") == message.body


def check_second(client: Client) -> None:
    """Read the answer to SECOND."""
    response = client.response()
    assert response.status == 200, response
    environ = json.loads(response.body)["environ"]
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/second", "is=served")
    assert environ["HTTP_HOST"] == "second.example"
    # Whatever the first request brought along is gone.
    assert {key for key in environ if key.startswith(("HTTP_", "CONTENT_"))} == {"HTTP_HOST"}


def check_case(served: Served, app: EnvironApp, case: Case, way: str) -> None:
    """Play a case on a connection of its own: check the answers, how often `app` ran, and how the connection goes on.

    Where it lives on, a second request on it is served, and where it does not, none is.
    """
    app.calls.clear()
    lives_on = case.messages[-1].keep_alive
    segments = WAYS_TO_SEND[way](case.request)
    with closing(served.connect()) as client:
        send(client, segments)
        for message in case.messages:
            check_message(client, message)
        if not lives_on:
            client.expect_end()
        else:
            if not segments[-1].endswith(SECOND):
                send(client, [SECOND])
            check_second(client)
    # The application runs for every message but one whose head is refused.
    assert len(app.calls) == sum(message.refused != "head" for message in case.messages) + lives_on
