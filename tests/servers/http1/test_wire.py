"""The corpus over real connections: whole, one byte at a time, and with a second request behind it.

What an application sees and how often it runs, what the peer is answered, and whether the connection lives on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import pytest
from gevent import get_hub, socket
from hublet.runtime.errors import RequestBodyError

from tests.conftest import Client, Serving
from tests.corpus import Case, load
from tests.servers.http1.verdicts import Accepted, read_head
from tests.wire import SECOND, WAYS_TO_SEND, EnvironApp, check_case, check_second, rest_of, send

CASES = load()
TOPICS = sorted({case.topic for case in CASES})


@pytest.mark.parametrize("way", WAYS_TO_SEND)
@pytest.mark.parametrize("topic", TOPICS)
def test_case(serve: Serving, subtests: pytest.Subtests, topic: str, way: str) -> None:
    app = EnvironApp()
    served = serve(app)
    for case in CASES:
        if case.topic == topic:
            with subtests.test(case.id):
                check_case(served, app, case, way)
    served.until(connections=0)


def test_segments_reach_the_server_one_by_one() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with closing(listener), closing(Client(listener.getsockname())) as client, closing(listener.accept()[0]) as peer:
        seen: list[bytes] = []
        watcher = get_hub().loop.io(peer.fileno(), 1)
        watcher.start(lambda: seen.append(peer.recv(100)))
        send(client, [b"G", b"E", b"T "])
        watcher.stop()
        watcher.close()
    assert seen == [b"G", b"E", b"T "]


def cases_with_body() -> list[Case]:
    """The cases of one message whose head is good and announces a body, and whose peer does not wait for 100."""
    found = []
    for case in CASES:
        head = read_head(case.request)
        if len(case.messages) > 1 or not isinstance(head, Accepted) or head.expect_continue:
            continue
        if head.chunked or head.content_length > 0:
            found.append(case)
    return found


def test_a_body_that_the_application_leaves_unread(serve: Serving, subtests: pytest.Subtests) -> None:
    # A well-formed one is skipped, so that the second request is served; nothing is made of what follows a broken one.
    app = EnvironApp(reads=False)
    served = serve(app)
    for case in cases_with_body():
        lives_on = case.messages[0].keep_alive
        with subtests.test(case.id), closing(served.connect()) as client:
            app.calls.clear()
            send(client, [case.request + SECOND])
            assert client.response().status == 200
            if lives_on:
                check_second(client)
            else:
                client.expect_end()
            assert len(app.calls) == 1 + lives_on
    served.until(connections=0)


def test_a_broken_body_that_the_application_answers_itself(serve: Serving, subtests: pytest.Subtests) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except RequestBodyError as error:
            start_response(f"{error.status + 22} Told by the application", [("Content-Length", "0")])
        return []

    served = serve(app)
    for case in CASES:
        if case.messages[0].refused == "body":
            with subtests.test(case.id), closing(served.connect()) as client:
                send(client, [case.request + SECOND])
                assert client.response().status == 422
                client.expect_end()
    served.until(connections=0)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_head_that_is_cut_short(serve: Serving, subtests: pytest.Subtests, topic: str) -> None:
    # The application sees whole heads only; the last byte makes the difference.
    app = EnvironApp()
    served = serve(app)
    for case in CASES:
        head = read_head(case.request)
        if case.topic == topic and isinstance(head, Accepted):
            with subtests.test(case.id), closing(served.connect()) as client:
                send(client, [case.request[: head.size - 1]])
                served.until(connections=1)
                client.end()
                assert not rest_of(client).startswith(b"HTTP/1.1 2")
                assert app.calls == []
    served.until(connections=0)
