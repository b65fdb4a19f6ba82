"""Peers that do not read, peers that flood, applications that do not receive: bounded memory, and everybody's turn."""

from __future__ import annotations

import gc
import time
from typing import Any

import gevent
import pytest
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from greenlet import greenlet
from hublet.servers.websocket.websocket import WebSocket

from tests.conftest import Serving, wait_until
from tests.servers.websocket.peer import (
    ECHOES,
    Echo,
    blocking,
    calling,
    narrow,
    open_peer,
    resident,
    settle,
)
from tests.servers.websocket.streams import PING, TEXT, frame

styles = pytest.mark.parametrize("style", ECHOES)
MIB = 1 << 20


def slow_receiver(begin: Event, found: list[Any]) -> dict[str, Any]:
    """Applications that take messages only from `begin` on."""

    class Slow(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            begin.wait()
            found.append(message)

    def use(ws: WebSocket) -> None:
        ws.accept()
        begin.wait()
        found.extend(ws)
        found.append(None)

    return {"blocking": blocking(use), "callbacks": calling(Slow)}


@styles
@pytest.mark.parametrize("size", [0, 10, 50_000])
def test_an_application_that_does_not_receive(serve: Serving, style: str, size: int) -> None:
    """The peer is slowed down, and nothing is lost."""
    found: list[Any] = []
    begin = Event()
    served = narrow(serve(slow_receiver(begin, found)[style]), receives=8192)
    peer = open_peer(served)
    count = 4 * MIB // max(size, 64)
    messages = [b"%d" % number + b"x" * size for number in range(count)]
    data = b"".join(frame(TEXT, message) for message in messages)
    sent = peer.send_until_stalled(data)
    assert sent < len(data)
    sender = gevent.spawn(peer.send, data[sent:])
    begin.set()
    sender.get()
    peer.close(1000)
    wait_until(lambda: None in found)
    assert found == [message.decode() for message in messages] + [None]
    peer.expect_close_frame(1000)


def test_pings_of_a_peer_that_does_not_read(serve: Serving) -> None:
    served = narrow(serve(ECHOES["blocking"]))
    peer = open_peer(served, receive_buffer=4096)
    pings = frame(PING, b"x" * 125) * 500
    peer.send(pings)
    before = resident()
    for _ in range(200):
        peer.send(pings)
        gevent.idle()
    assert resident() - before < 4 * MIB
    peer.ping(b"last")
    while peer.event() != ("pong", b"last"):
        pass
    peer.echo("alive")


@styles
def test_echoes_to_a_peer_that_does_not_read(serve: Serving, style: str) -> None:
    served = narrow(serve(ECHOES[style], websocket_buffer=50_000), receives=8192)
    peer = open_peer(served, receive_buffer=4096)
    messages = [b"%d" % number + b"x" * 20_000 for number in range(300)]
    data = b"".join(frame(TEXT, message) for message in messages)
    before = resident()
    sent = peer.send_until_stalled(data)
    assert sent < len(data)
    assert resident() - before < 4 * MIB
    sender = gevent.spawn(peer.send, data[sent:])
    assert peer.receive_all(300) == [message.decode() for message in messages]
    sender.get()
    peer.leave()


def test_send_waits_for_room_and_goes_on(serve: Serving) -> None:
    sent: list[int] = []

    def use(ws: WebSocket) -> None:
        for number in range(100):
            ws.send(f"{number}" + "x" * 10_000)
            sent.append(number)

    peer = open_peer(narrow(serve(blocking(use), websocket_buffer=50_000)), receive_buffer=4096)
    settle(turns=50)
    waiting_at = len(sent)
    assert 5 <= waiting_at < 50
    settle(turns=50)
    assert len(sent) == waiting_at
    assert [str(peer.receive()).rstrip("x") for _ in range(100)] == [str(number) for number in range(100)]


def test_many_waiting_senders_all_go_on(serve: Serving) -> None:
    def use(ws: WebSocket) -> None:
        gevent.joinall([gevent.spawn(ws.send, f"{number:4}" * 5000) for number in range(50)], raise_error=True)

    peer = open_peer(narrow(serve(blocking(use), websocket_buffer=1)), receive_buffer=4096)
    assert {str(peer.receive())[:4] for _ in range(50)} == {f"{number:4}" for number in range(50)}


@pytest.mark.parametrize("style", ["blocking", "callbacks"])
def test_a_peer_that_stops_reading_is_dropped(serve: Serving, style: str) -> None:
    ends: list[Any] = []

    def flood(ws: WebSocket) -> None:
        try:
            while True:
                ws.send("x" * 50_000)
        except WebSocketError as error:
            ends.append((error, ws.close_code))
            raise

    class Flood(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            flood(self.ws)

    app = {"blocking": blocking(flood), "callbacks": calling(Flood)}[style]
    served = narrow(serve(app, write_timeout=0.1))
    peer = open_peer(served, receive_buffer=4096).text("begin")
    began = time.monotonic()
    served.until(websockets=0)
    assert 0.1 <= time.monotonic() - began < 2
    assert ends[0][1] == 1006
    assert served.log == ""
    peer.client.close()


def test_a_slow_reader_is_not_dropped(serve: Serving) -> None:
    served = narrow(serve(blocking(lambda ws: ws.send("x" * MIB)), write_timeout=0.05), sends=65536)
    peer = open_peer(served, receive_buffer=32768)
    data = peer.client.received
    while len(data) < MIB:
        data += peer.client.socket.recv(16384) or pytest.fail("it was dropped")
        gevent.sleep(0.005)
    assert peer.reader.feed(data)[0] == ("message", "x" * MIB)


@styles
@pytest.mark.parametrize(
    "flood", [frame(TEXT, b""), frame(PING, b""), frame(TEXT, b"x" * 5000)], ids=["empty", "ping", "text"]
)
def test_a_flood_leaves_others_their_turn(serve: Serving, style: str, flood: bytes) -> None:
    """An echo takes few turns of the loop, however much another peer sends."""
    served = serve(ECHOES[style])
    greedy, modest = open_peer(served), open_peer(served)
    data = flood * (2 * MIB // len(flood))
    sender = gevent.spawn(greedy.send, data)

    def take() -> None:
        while greedy.client.socket.recv(1 << 18):
            pass

    reader = gevent.spawn(take)
    longest = 0.0
    for number in range(30):
        began = time.perf_counter()
        modest.echo(str(number))
        longest = max(longest, time.perf_counter() - began)
    assert longest < 0.25
    sender.get()
    reader.kill()
    greedy.client.close()


def test_no_greenlet_is_held_while_a_connection_is_idle(serve: Serving) -> None:
    served = serve(ECHOES["callbacks"])
    before = sum(1 for each in gc.get_objects() if isinstance(each, greenlet) and each)
    peers = [open_peer(served) for _ in range(100)]
    for peer in peers:
        peer.echo("x")
    settle()
    assert sum(1 for each in gc.get_objects() if isinstance(each, greenlet) and each) - before < 5
    for peer in peers:
        peer.leave()


def test_pings_to_a_peer_that_does_not_read_wait_like_messages(serve: Serving) -> None:
    sent = 0

    def ping_for_ever(ws: WebSocket) -> None:
        nonlocal sent
        while True:
            ws.ping(b"x" * 125)
            sent += 1

    served = narrow(serve(blocking(ping_for_ever), websocket_buffer=4096), receives=4096)
    peer = open_peer(served, receive_buffer=4096)
    wait_until(lambda: sent)
    before = -1
    while before != sent:
        before = sent
        settle()
    assert sent < 10_000
    peer.client.reset()
    served.until(connections=0, websockets=0)
