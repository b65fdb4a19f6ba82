"""Answers of one turn of the loop go out together: none waits for long, and none is lost, doubled or out of order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from geventwebsocket.resource import WebSocketApplication
from hublet import broadcast
from hublet.runtime import limits

from tests.conftest import GET, Client, Launch, Served, Serving, wait_until
from tests.servers.websocket.peer import Echo, Peer, calling, narrow, open_peer
from tests.servers.websocket.streams import TEXT, frame

COUNT = 6
BODY = b"x" * 10_000  # more than a narrow connection takes at once


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have answers wait for those of the same turn however long it takes."""
    monkeypatch.setattr(limits, "GATHER_TIME", 3600.0)


class Turn:
    """An application that knows its clients, and notes which of them have been answered when a request runs."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = acts
        self.clients: list[Client] = []
        self.begun: list[int] = []
        self.answered: list[list[int]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/":
            number = len(self.begun)
            self.answered.append([each for each in self.begun if self.is_answered(self.clients[each])])
            self.begun.append(int(environ["PATH_INFO"][1:]))
            if number < len(self.acts):
                self.acts[number]()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode() + BODY]

    @staticmethod
    def is_answered(client: Client) -> bool:
        """Whether something has come for a client that has not left."""
        return client.socket.fileno() >= 0 and not client.is_silent()

    def connect(self, served: Served, count: int = COUNT, receive_buffer: int = 0) -> None:
        """Connect clients, which have had an answer each when this returns."""
        self.clients += [served.connect(receive_buffer) for _ in range(count)]
        for client in self.clients:
            assert client.get().body == b"/" + BODY

    def ask(self, *numbers: int) -> None:
        """Send a request from each client, or those of these numbers, all in one turn of the loop."""
        for number in numbers or range(len(self.clients)):
            self.clients[number].socket._sock.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)

    def expect(self, *numbers: int) -> None:
        """Read the answers, each of which must come once."""
        for number in numbers or range(len(self.clients)):
            assert self.clients[number].response().body == b"/%d" % number + BODY
        assert all(client.is_silent() for client in self.clients)


def connect_narrow(served: Served, count: int = COUNT) -> list[Client]:
    """Connect clients that take few bytes at once, which have had an answer each when this returns."""
    clients = [narrow(served).connect(receive_buffer=4096) for _ in range(count)]
    for client in clients:
        client.get()
    return clients


def send_at_once(clients: list[Client], data: bytes) -> None:
    """Send the same from each, all in one turn of the loop."""
    for client in clients:
        client.socket._sock.sendall(data)


def nothing() -> None:
    """What most requests of a turn do."""


@pytest.mark.usefixtures("patient")
def test_answers_of_one_turn_go_out_together(serve: Serving) -> None:
    app = Turn()
    app.connect(serve(app))
    for _ in range(3):
        app.ask()
        app.expect()
    assert app.answered[:COUNT] == [[]] * COUNT
    assert len(app.answered) == 3 * COUNT


def test_no_answer_waits_when_the_time_for_it_is_nought(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GATHER_TIME", 0.0)
    app = Turn()
    app.connect(serve(app))
    app.ask()
    app.expect()
    assert app.answered == [app.begun[:number] for number in range(COUNT)]


@pytest.mark.usefixtures("patient")
def test_no_answer_waits_for_a_request_that_waits(serve: Serving) -> None:
    go_on = Event()
    app = Turn(nothing, nothing, go_on.wait)
    app.connect(serve(app))
    app.ask()
    wait_until(lambda: len(app.begun) == COUNT)
    slow = app.begun[2]
    app.expect(*(number for number in range(COUNT) if number != slow))
    go_on.set()
    app.expect(slow)


def test_no_answer_waits_for_requests_that_compute(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them may be in the way once: what is late goes out before the next one runs."""
    monkeypatch.setattr(limits, "GATHER_TIME", 0.05)
    app = Turn(nothing, nothing, lambda: time.sleep(0.06))
    app.connect(serve(app))
    app.ask()
    app.expect()
    assert app.answered[3] == app.begun[:3]


def test_no_answer_waits_for_requests_that_go_on_and_compute(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late goes out with the answer of the one that was in its way."""
    monkeypatch.setattr(limits, "GATHER_TIME", 0.05)
    answered = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["wsgi.input"].read():
            answered.append(sum(not client.is_silent() for client in clients))
            if len(answered) == 3:
                time.sleep(0.06)
        start_response("200 OK", [])
        return [BODY]

    served = serve(app)
    clients = [served.connect() for _ in range(COUNT)]
    for client in clients:
        client.get()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
    served.until(in_flight=COUNT)
    send_at_once(clients, b"x")
    assert [client.response().body for client in clients] == [BODY] * COUNT
    assert answered[3] >= 2  # the one that computes was late itself, so it may be behind them


@pytest.mark.usefixtures("patient")
def test_no_answer_waits_for_what_is_called_at_the_end_of_the_turn(serve: Serving) -> None:
    answered: list[int] = []
    app = Turn(
        lambda: gevent.spawn(lambda: answered.extend(each for each in app.begun if app.is_answered(app.clients[each])))
    )
    app.connect(serve(app))
    app.ask()
    app.expect()
    assert answered == app.begun


def test_no_answer_waits_for_a_request_that_computes_and_then_waits(
    serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GATHER_TIME", 0.05)
    go_on = Event()

    def compute_and_wait() -> None:
        time.sleep(0.06)
        go_on.wait()

    app = Turn(nothing, nothing, compute_and_wait)
    app.connect(serve(app))
    app.ask()
    wait_until(lambda: len(app.begun) == COUNT)
    go_on.set()
    app.expect()
    assert app.answered[3] == app.begun[:2]


def test_an_application_that_computes_has_its_answers_sent_at_once(serve: Serving) -> None:
    app = Turn(*[lambda: time.sleep(2 * limits.GATHER_TIME)] * COUNT)
    app.connect(serve(app))
    app.ask()
    app.expect()
    assert app.answered == [app.begun[:number] for number in range(COUNT)]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("beyond", "together"), [(-1, 3), (0, 3), (1, 4)])
def test_the_limit_of_bytes(serve: Serving, monkeypatch: pytest.MonkeyPatch, beyond: int, together: int) -> None:
    head = len(serve(Turn()).connect().send(GET)._until(b"\r\n\r\n")) + len(b"\r\n\r\n")
    monkeypatch.setattr(limits, "GATHER_BYTES", 3 * (head + len(b"/0" + BODY)) + beyond)
    app = Turn()
    app.connect(serve(app))
    app.ask()
    app.expect()
    assert app.answered[together - 1] == []
    assert app.answered[together] == app.begun[:together]


@pytest.mark.usefixtures("patient")
def test_pipelined_requests_are_answered_in_order(serve: Serving) -> None:
    app = Turn()
    app.connect(serve(app))
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(COUNT))
    for client in app.clients:
        client.socket._sock.sendall(requests + requests[:20])
    for client in app.clients:
        assert [each.body for each in client.responses(COUNT)] == [b"/%d" % each + BODY for each in range(COUNT)]
        client.send(requests[20:])
        client.responses(COUNT)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("how", ["end", "close", "reset"])
def test_a_peer_that_leaves_before_its_answer_goes_out(serve: Serving, how: str) -> None:
    app = Turn(nothing, nothing, lambda: getattr(app.clients[app.begun[0]], how)())
    served = serve(app)
    app.connect(served)
    app.ask()
    wait_until(lambda: len(app.begun) == COUNT)
    left = app.begun[0]
    for number in range(COUNT):
        if number != left:
            assert app.clients[number].response().body == b"/%d" % number + BODY
    if how == "end":
        assert app.clients[left].response().body == b"/%d" % left + BODY
        app.clients[left].expect_end()
    served.until(connections=COUNT - 1, in_flight=0)
    assert served.log == ""


# What the kernel does not take.


def stays_in_flight(served: Served) -> bool:
    """Whether a request is in flight for longer than the kernel takes to acknowledge what it has delivered."""
    end = time.monotonic() + 0.2
    while served.server.statistics().in_flight and time.monotonic() < end:
        gevent.sleep(0.002)
    return bool(served.server.statistics().in_flight)


def stall(served: Served, app: Turn) -> int:
    """Make requests of the first client, which reads nothing, until the server waits for it; how many there were."""
    app.connect(narrow(served), 2, receive_buffer=4096)
    for count in range(1, 100):
        app.ask()
        assert app.clients[1].response().body == b"/1" + BODY
        if stays_in_flight(served):
            return count
    raise AssertionError("everything went into the kernel's buffers")


@pytest.mark.usefixtures("patient")
def test_the_rest_is_sent_when_the_peer_reads(serve: Serving) -> None:
    app = Turn()
    served = serve(app)
    count = stall(served, app)
    app.ask(0)  # it waits for its turn
    assert served.get().status == 200
    assert [each.body for each in app.clients[0].responses(count + 1)] == [b"/0" + BODY] * (count + 1)
    served.until(in_flight=0)
    app.ask()
    app.expect()


@pytest.mark.usefixtures("patient")
def test_the_rests_of_many_answers(serve: Serving) -> None:
    """They are no idle connections, and their next requests are answered after them."""
    app = Turn()
    served = narrow(serve(app, keepalive_timeout=0.2))
    app.connect(served, receive_buffer=4096)
    app.ask()
    served.until(in_flight=COUNT)
    idle = served.connect()
    idle.get()
    app.ask()
    idle.expect_end()
    assert served.server.statistics().in_flight == COUNT
    for number, client in enumerate(app.clients):
        assert [each.body for each in client.responses(2)] == [b"/%d" % number + BODY] * 2
    served.until(in_flight=0)
    for client in app.clients:
        client.expect_end()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("receive_buffer", [0, 4096])
def test_a_request_that_comes_while_the_answer_to_the_one_before_it_waits(serve: Serving, receive_buffer: int) -> None:
    """Those that are pipelined wait for the next turn, in which the kernel has the other one."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/send":
            client.socket._sock.sendall(b"GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n")
        start_response("200 OK", [])
        return iter([b"chunk"]) if path == "/chunks" else [BODY if path == "/long" else b""]

    served = serve(app)
    if receive_buffer:
        narrow(served)
    client = served.connect(receive_buffer)
    client.get()
    paths = [*["/"] * limits.PIPELINE_BATCH, "/send", "/long"]
    client.send(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for path in paths))
    bodies = [each.body for each in client.responses(len(paths) + 1)]
    assert bodies == [*[b""] * (limits.PIPELINE_BATCH + 1), BODY, b"chunk"]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("end", [Client.close, Client.reset])
def test_the_rest_is_dropped_when_the_peer_leaves(serve: Serving, end: Callable[[Client], None]) -> None:
    app = Turn()
    served = serve(app)
    stall(served, app)
    end(app.clients[0])
    served.until(in_flight=0, connections=1)
    assert served.log == ""


@pytest.mark.usefixtures("patient")
def test_the_rest_is_dropped_when_the_peer_takes_nothing(serve: Serving) -> None:
    app = Turn()
    served = serve(app, write_timeout=0.5)
    stall(served, app)
    served.until(in_flight=0, connections=1, timed_out=1)
    assert served.log == ""


@pytest.mark.usefixtures("patient")
def test_the_rests_of_many_answers_are_dropped_when_nobody_takes_them(serve: Serving) -> None:
    app = Turn()
    served = narrow(serve(app, write_timeout=0.5))
    app.connect(served, receive_buffer=4096)
    app.ask()
    served.until(in_flight=COUNT)
    app.ask()  # the kernel takes the first answers in the end
    app.ask()
    served.until(in_flight=0, connections=0, timed_out=COUNT)
    assert served.log == ""


@pytest.mark.usefixtures("patient")
def test_the_rest_goes_to_a_slow_reader_whole(serve: Serving) -> None:
    """As long as it takes some of it within the write timeout."""
    app = Turn()
    served = narrow(serve(app, write_timeout=0.4))
    app.connect(served, receive_buffer=4096)
    app.ask()
    served.until(in_flight=COUNT)
    slow = app.clients[0]
    while len(slow.received) < len(BODY):
        slow.received += slow.socket.recv(500)
        gevent.sleep(0.05)
    assert slow.response().body == b"/0" + BODY
    assert slow.get().body == b"/" + BODY


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("waits", [True, False])
def test_the_rest_of_an_answer_whose_application_fails_after_it(serve: Serving, waits: bool) -> None:
    """The connection ends, but not before what was promised, and made by then, has been sent."""
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(BODY)))])
        yield BODY
        if environ["PATH_INFO"] == "/fail":
            if waits:
                go_on.wait()
            raise ValueError("too late")

    served = serve(app)
    clients = connect_narrow(served)
    send_at_once(clients, b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")
    if waits:
        wait_until(lambda: not any(client.is_silent() for client in clients))
        go_on.set()
    wait_until(lambda: served.log.count("ValueError: too late") == COUNT)
    for client in clients:
        assert client.response().body == BODY
        client.expect_end()
    served.until(connections=0, in_flight=0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("reads", [True, False])
def test_a_server_that_stops_waits_for_the_rest(serve: Serving, reads: bool) -> None:
    app = Turn()
    served = serve(app)
    count = stall(served, app)
    stopping = gevent.spawn(served.server.stop, 30 if reads else 0.05)
    if reads:
        assert len(app.clients[0].responses(count)) == count
        app.clients[0].expect_end()
    stopping.get()
    assert served.server.statistics().connections == 0
    assert served.server.statistics().in_flight == 0
    assert ("with 1 requests unfinished" in served.log) is not reads


@pytest.mark.usefixtures("patient")
def test_the_rest_of_an_answer_whose_application_has_not_ended(serve: Serving) -> None:
    """It has made the answer, and goes on to do something else before it is asked for more."""
    go_on = Event()
    closed = []

    class Result:
        def __iter__(self) -> Iterator[bytes]:
            yield BODY
            go_on.wait()

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(BODY)))])
        return Result() if environ["PATH_INFO"] == "/long" else [BODY]

    clients = connect_narrow(serve(app), 2)
    send_at_once(clients, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [each.response().body for each in clients] == [BODY, BODY]
    for client in clients:
        client.send(GET)
    assert closed == []
    go_on.set()
    assert [each.response().body for each in clients] == [BODY, BODY]
    assert closed == [True, True]


@pytest.mark.usefixtures("patient")
def test_the_rest_of_an_answer_that_was_begun_before_the_server_stops(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(1 + len(BODY)))])
        yield b"x"
        environ["wsgi.input"].read()
        yield BODY

    served = serve(app)
    clients = connect_narrow(served)
    for client in clients:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
    wait_until(lambda: not any(client.is_silent() for client in clients))
    stopping = gevent.spawn(served.server.stop, 30)
    wait_until(lambda: not served.server.started)
    send_at_once(clients, b"y")
    for client in clients:
        assert client.response().body == b"x" + BODY
        client.expect_end()
    stopping.get()


# WebSockets.


class Sending(WebSocketApplication):  # type: ignore[misc]
    """Answers a message with several, of which the middle one is sent by itself."""

    def on_message(self, message: Any, *args: Any) -> None:
        if message is not None:
            for part in ("<", message, "x" * 50_000, message, ">"):
                self.ws.send(part)
            if message == "bye":
                self.ws.close(4000, "bye")


def open_peers(served: Served, receive_buffer: int = 0) -> list[Peer]:
    """Open WebSockets, which have had an answer each when this returns."""
    return [open_peer(served, receive_buffer=receive_buffer) for _ in range(COUNT)]


def text_at_once(peers: list[Peer], text: str) -> None:
    """Send a message from each, all in one turn of the loop."""
    send_at_once([peer.client for peer in peers], frame(TEXT, text.encode()))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("receive_buffer", [0, 4096])
def test_messages_of_a_websocket_stay_in_order(serve: Serving, receive_buffer: int) -> None:
    served = serve(calling(Sending))
    if receive_buffer:
        narrow(served)
    peers = open_peers(served, receive_buffer)
    for text in ("a", "b" * 10_000, "bye"):
        text_at_once(peers, text)
        for peer in peers:
            assert peer.receive_all(5) == ["<", text, "x" * 50_000, text, ">"]
    for peer in peers:
        peer.expect_close(4000, "bye")


@pytest.mark.usefixtures("patient")
def test_messages_of_one_turn_go_out_together(serve: Serving) -> None:
    silent = []
    peers: list[Peer] = []

    class Noting(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            silent.append(all(peer.client.is_silent() for peer in peers))
            super().on_message(message)

    peers += open_peers(serve(calling(Noting)))
    text_at_once(peers, "a")
    assert [peer.receive() for peer in peers] == ["a"] * COUNT
    assert silent == [True] * COUNT
    for peer in peers:
        peer.client.close()


@pytest.mark.usefixtures("patient")
def test_a_broadcast_comes_after_the_message_that_was_sent_before_it(serve: Serving) -> None:
    class Telling(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            if message is not None:
                self.ws.send("before")
                broadcast([self.ws], "shared")
                self.ws.send("after")

    peers = open_peers(serve(calling(Telling)))
    text_at_once(peers, "a")
    for peer in peers:
        assert peer.receive_all(3) == ["before", "shared", "after"]
        peer.client.close()


@pytest.mark.usefixtures("patient")
def test_a_broadcast_to_a_peer_that_has_left_before_its_message_went_out(serve: Serving) -> None:
    delivered: list[int] = []
    peers: list[Peer] = []

    class Telling(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            if message is not None and not delivered:
                self.ws.send("before")
                for peer in peers:
                    peer.client.reset()
                delivered.append(broadcast([self.ws], "shared"))

    served = serve(calling(Telling))
    peers += open_peers(served)
    text_at_once(peers, "a")
    served.until(connections=0)
    assert delivered == [0]
    assert served.log == ""


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("end", [Client.close, Client.reset])
def test_a_websocket_whose_peer_leaves_before_its_message_goes_out(
    serve: Serving, end: Callable[[Client], None]
) -> None:
    left: list[Peer] = []

    class Leaving(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            super().on_message(message)
            if message is not None and not left:
                left.append(peers[0])
                end(peers[0].client)

    served = serve(calling(Leaving))
    peers = open_peers(served)
    text_at_once(peers, "a")
    assert [peer.receive() for peer in peers[1:]] == ["a"] * (COUNT - 1)
    served.until(connections=COUNT - 1)
    assert served.log == ""
    for peer in peers[1:]:
        peer.client.close()


@pytest.mark.usefixtures("patient")
def test_messages_to_several_websockets_stay_in_order(serve: Serving) -> None:
    """Of one message the kernel takes only part when the next one comes, and then there is room again."""
    everybody: list[Any] = []
    told: list[Any] = []
    peers: list[Peer] = []

    class Telling(WebSocketApplication):  # type: ignore[misc]
        def on_open(self) -> None:
            everybody.append(self.ws)

        def on_message(self, message: Any, *args: Any) -> None:
            if message is not None and not told:
                told.append(message)
                for text, to in (("a" * 15_000, 0), ("other", 1), ("b", 0)):
                    everybody[to].send(text)
                peers[0].client.received += peers[0].client.socket._sock.recv(1 << 16)

    peers += open_peers(narrow(serve(calling(Telling))), 4096)
    wait_until(lambda: len(everybody) == COUNT)
    text_at_once(peers, "go")
    wait_until(lambda: peers[0].client.received != b"")
    assert peers[0].receive_all(2) == ["a" * 15_000, "b"]
    assert peers[1].receive() == "other"
    for peer in peers:
        peer.client.close()


# Processes.

FORKING = """
    import os
    from hublet.runtime import limits

    limits.GATHER_TIME = 3600.0
    import gevent
    import gevent.os
    from hublet.servers.server import WSGIServer

    calls = 0

    def app(environ, start_response):
        global calls
        if environ["PATH_INFO"] != "/":
            calls += 1
            if calls == 6:  # the last: what it had not read the child would read, too
                child = gevent.os.fork()
                if child == 0:
                    gevent.sleep(0.05)
                    os._exit(0)
                gevent.os.waitpid(child, 0)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
"""


def test_a_child_does_not_send_what_waits_in_its_parent(launch: Launch) -> None:
    process = launch(FORKING)
    clients = [process.connect() for _ in range(COUNT)]
    for client in clients:
        client.get()
    process.popen.send_signal(signal.SIGSTOP)  # so that it finds all requests at once
    for number, client in enumerate(clients):
        client.send(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    process.popen.send_signal(signal.SIGCONT)
    for number, client in enumerate(clients):
        assert client.response().body == b"/%d" % number
    assert [client.get("/again").body for client in clients] == [b"/again"] * COUNT
    assert process.errors() == ""


FORKED = """
    import os
    import signal
    from hublet.runtime import limits

    limits.GATHER_TIME = 3600.0
    import gevent
    import gevent.os
    import gevent.socket
    from hublet.servers.server import WSGIServer

    def app(environ, start_response):
        body = b"%d" % os.getpid()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    clients = [gevent.socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(3)]
    for _ in range(2):
        for client in clients:
            client._sock.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        for client in clients:
            client.recv(1000)
    child = gevent.os.fork()
    if child:
        server.stop_accepting()
        gevent.signal_handler(signal.SIGTERM, os.kill, child, signal.SIGTERM)
        print(server.server_port, flush=True)
        gevent.os.waitpid(child, 0)
    else:
        gevent.signal_handler(signal.SIGTERM, server.stop)
        server.serve_forever()
"""


def test_a_child_that_serves_what_its_parent_has_started_sends_its_own_answers(launch: Launch) -> None:
    process = launch(FORKED)
    clients = [process.connect() for _ in range(COUNT)]
    (child,) = {int(client.get().body) for client in clients}
    os.kill(child, signal.SIGSTOP)  # so that it finds all requests at once
    for client in clients:
        client.send(GET)
    os.kill(child, signal.SIGCONT)
    assert {int(client.response().body) for client in clients} == {child}
    process.stop()
    assert process.errors() == ""
