"""Broadcasts: to whom they go, in which order, what slow peers get, and compression beside a connection's own."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event
from hublet import broadcast

from tests.conftest import Served, Serving, wait_until
from tests.servers.websocket.peer import (
    DEFLATE,
    Echo,
    Peer,
    calling,
    handshake,
    narrow,
    open_peer,
    settle,
)

MIB = 1 << 20


class Member(Echo):
    """Echoes, and is in the room of its server while it is open."""

    def on_open(self) -> None:
        self.ws.handler.server.environ.setdefault("room", []).append(self)


def room(served: Served, count: int, *fields: str, **options: Any) -> tuple[list[Peer], list[Any]]:
    """Peers, and the objects that the server has for them, in the same order."""
    peers = [open_peer(served, "/", *fields, **options) for _ in range(count)]
    members = served.server.environ["room"]
    wait_until(lambda: len(members) == count)
    return peers, members


@pytest.mark.parametrize(
    "message, binary, expected",
    [
        ("grüße", None, "grüße"),
        (b"\xff", None, bytearray(b"\xff")),
        (bytearray(b"x"), None, bytearray(b"x")),
        ("text", True, bytearray(b"text")),
        (b"bytes", False, "bytes"),
        ("", None, ""),
        ("y" * 70_000, None, "y" * 70_000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_sent(serve: Serving, message: Any, binary: bool | None, expected: Any) -> None:
    peers, members = room(serve(calling(Member)), 3)
    assert broadcast(members, message, binary=binary) == 3
    assert [peer.receive() for peer in peers] == [expected] * 3


def test_connections_may_be_websockets_or_have_one(serve: Serving) -> None:
    served = serve(calling(Member))
    peers, members = room(served, 3)
    clients = list(served.server.clients.values())
    assert broadcast((each for each in [members[0], members[1].ws, clients[2]]), "x") == 3
    assert broadcast({members[0]}, "y") == 1
    assert broadcast([], "nobody") == 0
    assert [peer.receive() for peer in peers] == ["x"] * 3
    assert peers[0].receive() == "y"


@pytest.mark.parametrize(
    "connections, message, options, error",
    [
        ([], None, {}, TypeError),
        ([], 5, {}, TypeError),
        ([], "\ud800", {}, ValueError),
        ([], b"\xff", {"binary": False}, ValueError),
        ([], "x", {"slow": "wait"}, ValueError),
        ([None], "x", {}, TypeError),
        (["socket"], "x", {}, TypeError),
        (5, "x", {}, TypeError),
    ],
)
def test_what_is_refused(connections: Any, message: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        broadcast(connections, message, **options)


def test_who_is_passed_over(serve: Serving) -> None:
    """Those that are closed, being closed, or not yet accepted."""
    served = serve(calling(Member))
    peers, members = room(served, 4)
    peers[0].leave()
    peers[1].client.reset()
    served.until(websockets=2)
    members[2].ws.close(4000)
    assert broadcast(members, "x") == 1
    assert peers[3].receive() == "x"
    peers[2].expect_close(4000)


def test_broadcasts_and_sends_keep_their_order(serve: Serving) -> None:
    served = serve(calling(Member))
    peers, members = room(served, 5)
    expected = []
    for number in range(200):
        broadcast(members, f"b{number}")
        expected.append(f"b{number}")
        if number % 3 == 0:
            for member in members:
                member.ws.send(f"s{number}")
            expected.append(f"s{number}")
        if number % 50 == 0:
            gevent.sleep(0)
    for peer in peers:
        assert peer.receive_all(len(expected)) == expected
        peer.leave()


def test_a_broadcast_before_a_close(serve: Serving) -> None:
    """What was broadcast goes out before the close frame, although it had not gone out when the close began."""
    peers, members = room(serve(calling(Member)), 2)
    broadcast(members, "last words")
    members[0].ws.close(4000)
    peers[1].close(1000)
    assert [peer.receive() for peer in peers] == ["last words"] * 2
    peers[0].expect_close(4000)
    peers[1].expect_close_frame(1000)
    peers[1].expect_end()
    peers[1].client.close()


def test_a_ping_between_broadcasts_is_answered(serve: Serving) -> None:
    (peer,), members = room(serve(calling(Member)), 1)
    for number in range(20):
        broadcast(members, "x" * 20_000)
        peer.ping(b"%d" % number)
        gevent.idle()
    pongs: list[bytes] = []
    while pongs[-1:] != [b"19"]:
        kind, content = peer.event()
        if kind == "pong":
            pongs.append(content)
    peer.leave() if not peer.events else None


@pytest.mark.parametrize("slow", ["drop", "close"])
def test_a_slow_peer(serve: Serving, slow: Any) -> None:
    """Others get everything; it gets whole messages in order, or is closed. Nobody is waited for."""
    served = narrow(serve(calling(Member), websocket_buffer=50_000))
    (stuck,), members = room(served, 1, receive_buffer=4096)
    quick = open_peer(served)
    wait_until(lambda: len(members) == 2)
    counts = []
    for number in range(100):
        counts.append(broadcast(members, bytes([number]) * 10_000, slow=slow))
        assert quick.receive() == bytearray([number]) * 10_000
    assert counts[0] == 2
    assert counts[-1] == 1
    got = []
    while (event := stuck.event())[0] == "message":
        got.append(event[1][0])
        if slow == "drop" and len(got) == counts.count(2):
            break
    assert got == sorted(got)
    assert len(got) == counts.count(2)
    if slow == "close":
        assert event[:2] == ("close", 1013)
    else:
        stuck.echo("still open")


def test_memory_that_a_slow_peer_costs(serve: Serving) -> None:
    served = narrow(serve(calling(Member), websocket_buffer=50_000, write_timeout=0.2))
    room(served, 1, receive_buffer=4096)
    members = served.server.environ["room"]
    delivered = sum(broadcast(members, b"x" * 10_000) for _ in range(1000))
    assert delivered < 20
    served.until(websockets=0)
    assert broadcast(members, "x") == 0


def test_a_peer_that_vanishes_between_broadcast_and_flush(serve: Serving) -> None:
    served = serve(calling(Member))
    peers, members = room(served, 3)
    for peer in peers:
        peer.client.reset()
    broadcast(members, "x" * 1000)
    broadcast(members, "y" * 100_000)
    served.until(websockets=0, connections=0)
    assert served.log == ""


@pytest.mark.parametrize("compression", ["off", "message", "connection"])
@pytest.mark.parametrize("bits", [None, 9, 15])
def test_compressed_broadcasts_among_sends(serve: Serving, compression: str, bits: int | None) -> None:
    """What a peer can refer to is what it has seen, whoever compressed it."""
    served = serve(calling(Member), websocket_compression=compression)
    extension = DEFLATE if bits is None else f"{DEFLATE}; server_max_window_bits={bits}"
    peers = [open_peer(served, "/", extension), open_peer(served), open_peer(served, "/", DEFLATE)]
    members = served.server.environ["room"]
    wait_until(lambda: len(members) == 3)
    expected = []
    for number in range(30):
        for kind in "send", "broadcast", "send":
            message = f"{kind} {number % 5} " + "the same words again " * 30
            expected.append(message)
            if kind == "broadcast":
                assert broadcast(members, message) == 3
            else:
                for member in members:
                    member.ws.send(message)
    for peer in peers:
        assert peer.receive_all(len(expected)) == expected
        peer.leave()


def test_a_broadcast_is_flushed_in_turns(serve: Serving) -> None:
    """Many connections, and a broadcaster that never waits: all get everything."""
    served = serve(calling(Member))
    peers, members = room(served, 300)
    for number in range(30):
        assert broadcast(members, f"{number}") == 300
    for peer in peers:
        assert peer.receive_all(30) == [str(number) for number in range(30)]


def test_broadcast_from_callbacks_and_from_the_hub(serve: Serving) -> None:
    class Shout(Member):
        def on_message(self, message: Any, *args: Any) -> None:
            broadcast(self.ws.handler.server.environ["room"], message) if message is not None else None

    served = serve(calling(Shout))
    peers, members = room(served, 3)
    peers[0].text("hello")
    assert [peer.receive() for peer in peers] == ["hello"] * 3
    gevent.get_hub().loop.run_callback(broadcast, members, "from the hub")
    assert [peer.receive() for peer in peers] == ["from the hub"] * 3


def test_one_that_is_not_accepted_yet(serve: Serving) -> None:
    waiting: list[Any] = []
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        waiting.append(environ["wsgi.websocket"])
        go_on.wait()
        return []

    client = serve(app).connect().send(handshake())
    wait_until(lambda: waiting)
    assert broadcast(waiting, "x") == 0
    waiting[0].accept()
    assert broadcast(waiting, "y") == 1
    peer = Peer(client).opened()
    assert peer.receive() == "y"
    go_on.set()
    settle()
    peer.expect_close(1000)
