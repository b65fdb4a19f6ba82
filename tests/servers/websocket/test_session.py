"""Messages on an open WebSocket: sizes, frames, how they may be cut, and what `receive` and `send` promise."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from hublet.runtime import limits
from hublet.servers.websocket.frames import encode_frame
from hublet.servers.websocket.websocket import WebSocket

from tests.conftest import GET, Serving, wait_until
from tests.servers.websocket.peer import (
    DEFLATE,
    ECHOES,
    Peer,
    blocking,
    echo,
    handshake,
    narrow,
    open_peer,
    settle,
)
from tests.servers.websocket.streams import BINARY, CLOSE, CONTINUATION, PING, TEXT, deflate, frame

styles = pytest.mark.parametrize("style", ECHOES)

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 200_000]
MAX = 100_000


def payload(size: int) -> bytes:
    """Bytes that do not compress to nothing, and are ASCII."""
    return random.Random(size).randbytes(size // 2 + 1).hex().encode()[:size]


# Sizes.


@styles
@pytest.mark.parametrize("compression", ["off", "message", "connection"])
def test_every_size_comes_back(serve: Serving, style: str, compression: str) -> None:
    peer = open_peer(serve(ECHOES[style], websocket_compression=compression), "/", DEFLATE)
    for compressed in [False] if compression == "off" else [False, True]:
        for size in SIZES:
            message = payload(size)
            assert peer.binary(message, compressed=compressed).receive() == bytearray(message)
            assert peer.text(message.decode(), compressed=compressed).receive() == message.decode()
    peer.leave()


@styles
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_largest_message(serve: Serving, style: str, compressed: bool, fragments: int, excess: int) -> None:
    served = serve(ECHOES[style], websocket_max_message=MAX)
    peer = open_peer(served, "/", DEFLATE)
    message = b"a" * (MAX + excess)
    data = deflate(message) if compressed else message
    cuts = [len(data) * each // fragments for each in range(fragments + 1)]
    for number in range(fragments):
        part = data[cuts[number] : cuts[number + 1]]
        first, last = number == 0, number == fragments - 1
        peer.send(frame(BINARY if first else CONTINUATION, part, fin=last, rsv1=compressed and first))
    if excess <= 0:
        assert peer.receive() == bytearray(message)
        peer.leave()
    else:
        peer.expect_close_frame(1009)
        peer.client.close()
    served.until(websockets=0)
    assert served.log == ""


def test_a_bomb_is_stopped_at_the_limit(serve: Serving) -> None:
    peer = open_peer(serve(ECHOES["blocking"], websocket_max_message=MAX), "/", DEFLATE)
    bomb = deflate(bytes(64 << 20))
    assert len(bomb) < MAX
    peer.send(frame(BINARY, bomb, rsv1=True))
    peer.expect_close_frame(1009)


@pytest.mark.parametrize("data", [b"\xff" * 50, deflate(b"x" * 500)[:-2], b"\x00"[:0] + b"\x06"], ids=repr)
def test_broken_deflate_data_close_the_connection(serve: Serving, data: bytes) -> None:
    peer = open_peer(serve(ECHOES["blocking"]), "/", DEFLATE)
    peer.send(frame(TEXT, data, rsv1=True))
    assert peer.event()[:2] in (("close", 1007), ("close", 1002))


def test_what_was_compressed_can_be_read_by_zlib_alone(serve: Serving) -> None:
    """A message that refers to those before it, unless that was not agreed on."""
    peer = open_peer(serve(blocking(echo), websocket_compression="connection"), "/", DEFLATE)
    message = payload(1500).decode()
    sizes = []
    for _ in range(3):
        peer.text(message)
        data = peer.client.socket.recv(1 << 18)
        sizes.append(len(data))
        ((_, received),) = peer.reader.feed(data)
        assert received == message
    assert sizes[1] < sizes[0] / 4, "the context is kept"
    alone = open_peer(serve(blocking(echo), websocket_compression="message"), "/", DEFLATE)
    assert "server_no_context_takeover" in alone.response["Sec-WebSocket-Extensions"]
    for _ in range(3):
        alone.text(message)
        data = alone.client.socket.recv(1 << 18)
        assert zlib.decompressobj(-15).decompress(data[4:]) == message.encode()


@pytest.mark.parametrize("size", [limits.DEFLATE_FROM - 1, limits.DEFLATE_FROM])
def test_small_messages_are_not_compressed(serve: Serving, size: int) -> None:
    client = open_peer(serve(ECHOES["blocking"]), "/", DEFLATE).text("a" * size).client
    compressed = client.socket.recv(1 << 16)[0] & 0x40
    assert bool(compressed) == (size >= limits.DEFLATE_FROM)


# Frames, and how the stream may be cut.


@styles
def test_byte_by_byte(serve: Serving, style: str) -> None:
    client = serve(ECHOES[style]).connect()
    client.send_bytewise(handshake() + frame(TEXT, "grüße".encode()) + frame(BINARY, payload(130)) + frame(PING, b"p"))
    peer = Peer(client).opened()
    assert [peer.event() for _ in range(3)] == [
        ("message", "grüße"),
        ("message", bytearray(payload(130))),
        ("pong", b"p"),
    ]
    peer.leave()


@styles
@pytest.mark.parametrize("count", [1, 31, 32, 33, 500])
def test_frames_glued_to_the_handshake(serve: Serving, style: str, count: int) -> None:
    data = b"".join(frame(TEXT, b"%d" % number) for number in range(count))
    client = serve(ECHOES[style]).connect().send(handshake() + data + frame(CLOSE))
    peer = Peer(client).opened()
    assert peer.receive_all(count) == [str(number) for number in range(count)]
    peer.expect_close_frame(1005)
    peer.expect_end()


@styles
@pytest.mark.parametrize("chance", range(3))
def test_cut_anywhere(serve: Serving, style: str, chance: int) -> None:
    pick = random.Random(chance)
    messages = [payload(pick.choice([0, 1, 100, 125, 126, 3000, 70_000])).decode() for _ in range(60)]
    data = b"".join(frame(TEXT, message.encode()) for message in messages)
    peer = open_peer(serve(ECHOES[style]))

    def send() -> None:
        start = 0
        while start < len(data):
            end = start + pick.choice([1, 3, 7, 500, 20_000, 100_000])
            peer.send(data[start:end])
            start = end
            gevent.idle()

    sender = gevent.spawn(send)
    assert peer.receive_all(len(messages)) == messages
    sender.get()
    peer.leave()


def test_control_frames_between_fragments(serve: Serving) -> None:
    peer = open_peer(serve(ECHOES["blocking"]))
    peer.send(frame(TEXT, b"one ", fin=False)).ping(b"1").send(frame(CONTINUATION, b"two ", fin=False)).pong(b"2")
    peer.ping(b"3").send(frame(CONTINUATION, b"three"))
    assert [peer.event() for _ in range(3)] == [("pong", b"1"), ("pong", b"3"), ("message", "one two three")]


def test_very_many_fragments_of_an_allowed_message(serve: Serving) -> None:
    peer = open_peer(serve(ECHOES["blocking"]))
    data = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"a", fin=False) * 65_534 + frame(CONTINUATION, b"a")
    gevent.spawn(peer.send, data)
    assert peer.receive() == "a" * 65_536


@pytest.mark.parametrize(
    "data, code",
    [
        (encode_frame(TEXT, b"bare"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xf4\x90", fin=False), 1007),
        (frame(3), 1002),
        (frame(CONTINUATION), 1002),
        (frame(TEXT, rsv1=True), 1002),
        (frame(PING, bytes(126)), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
    ],
    ids=["unmasked", "not UTF-8", "never UTF-8", "opcode", "continuation", "RSV1", "long ping", "half code", "1005"],
)
@styles
def test_a_peer_that_breaks_the_protocol(serve: Serving, style: str, data: bytes, code: int) -> None:
    served = serve(ECHOES[style])
    peer = open_peer(served)
    peer.send(frame(TEXT, b"before") + data + frame(TEXT, b"behind"))
    assert peer.receive() == "before"
    peer.expect_close_frame(code)
    peer.expect_end()
    peer.client.close()
    served.until(websockets=0, connections=0)
    assert served.log == ""


# receive().


def received(ws: WebSocket) -> Any:
    """What `receive` gives, or the class of what it raises."""
    try:
        return ws.receive()
    except Exception as error:
        return type(error)


def test_receive_gives_none_once(serve: Serving) -> None:
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        found.extend(received(ws) for _ in range(5))

    peer = open_peer(serve(blocking(use))).text("a").text("b").close(4000, "bye")
    peer.expect_close_frame(4000)
    wait_until(lambda: len(found) == 5)
    assert found == ["a", "b", None, WebSocketError, WebSocketError]


def test_binary_messages_are_bytearrays(serve: Serving) -> None:
    found: list[Any] = []
    peer = open_peer(serve(blocking(lambda ws: found.extend(ws))))
    peer.text("text").binary(b"").binary(b"bytes").leave()
    assert [(type(each), each) for each in found] == [
        (str, "text"),
        (bytearray, bytearray()),
        (bytearray, bytearray(b"bytes")),
    ]


def test_a_timeout_loses_nothing(serve: Serving) -> None:
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        with pytest.raises(TimeoutError, match="no message within 0.01 s"):
            ws.receive(timeout=0.01)
        with pytest.raises(TimeoutError):
            ws.receive(timeout=0)
        ws.send("late")
        found.append(ws.receive(timeout=5))
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
            ws.receive()
        ws.send("later")
        found.extend(ws)

    served = serve(blocking(use))
    peer = open_peer(served)
    assert peer.receive() == "late"
    peer.send(frame(TEXT, b"cut", fin=False))
    settle()
    peer.send(frame(CONTINUATION, b" apart"))
    assert peer.receive() == "later"
    peer.text("last").leave()
    assert found == ["cut apart", "last"]
    assert served.log == ""


def test_a_message_and_a_timeout_at_the_same_time(serve: Serving) -> None:
    """Whichever comes first, each message is received once."""
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        while True:
            try:
                message = ws.receive(timeout=0.001)
            except TimeoutError:
                continue
            if message is None:
                return
            found.append(message)

    peer = open_peer(serve(blocking(use)))
    for number in range(100):
        peer.text(str(number))
        gevent.sleep(0.001)
    peer.leave()
    assert found == [str(number) for number in range(100)]


def test_a_killed_receiver_loses_nothing(serve: Serving) -> None:
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        for _ in range(3):
            first = gevent.spawn(ws.receive)
            gevent.sleep(0)
            first.kill()
        assert isinstance(first.value, GreenletExit)
        found.extend(ws)

    peer = open_peer(serve(blocking(use))).text("a").text("b")
    peer.leave()
    assert len(found) <= 2
    assert found[-1:] in (["b"], [])


def test_only_one_may_receive(serve: Serving) -> None:
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        first = gevent.spawn(received, ws)
        gevent.sleep(0)
        found.append(received(ws))
        first.join()
        found.append(first.value)
        found.append(received(ws))

    open_peer(serve(blocking(use))).text("one").text("two")
    wait_until(lambda: len(found) == 3)
    assert found == [RuntimeError, "one", "two"]


def test_everything_before_the_end_of_the_stream_is_delivered(serve: Serving) -> None:
    """Neither a full inbox nor an application that comes late loses what was sent before a bare end."""
    found: list[Any] = []
    begin = Event()

    def use(ws: WebSocket) -> None:
        begin.wait()
        found.extend(ws)
        found.append(ws.close_code)

    served = serve(blocking(use))
    client = served.connect().send(handshake() + frame(TEXT, b"m") * 500).end()
    served.until(requests=1)
    settle()
    begin.set()
    wait_until(lambda: found and found[-1] == 1006)
    assert found == ["m"] * 500 + [1006]
    assert Peer(client).opened().event() == ("end",)


# send().


@pytest.mark.parametrize(
    "message, binary, expected",
    [
        ("text", None, "text"),
        ("text", True, bytearray(b"text")),
        (b"bytes", None, bytearray(b"bytes")),
        ("grüße".encode(), False, "grüße"),
        (bytearray(b"array"), None, bytearray(b"array")),
        (memoryview(b"abcdef")[::2], None, bytearray(b"ace")),
        ("\0 \U0001f600", None, "\0 \U0001f600"),
    ],
)
def test_what_can_be_sent(serve: Serving, message: Any, binary: bool | None, expected: Any) -> None:
    peer = open_peer(serve(blocking(lambda ws: ws.send(message, binary))))
    assert peer.receive() == expected


@pytest.mark.parametrize(
    "message, binary, error",
    [(None, None, TypeError), (5, None, TypeError), ("\ud800", None, ValueError), (b"\xff", False, ValueError)],
)
def test_what_cannot_be_sent(serve: Serving, message: Any, binary: bool | None, error: type[Exception]) -> None:
    def use(ws: WebSocket) -> None:
        with pytest.raises(error):
            ws.send(message, binary)
        ws.send("fine")

    assert open_peer(serve(blocking(use))).receive() == "fine"


@pytest.mark.parametrize("compression", ["off", "connection"])
def test_messages_of_many_senders_do_not_mix(serve: Serving, compression: str) -> None:
    def use(ws: WebSocket) -> None:
        def send(number: int) -> None:
            for size in (10, 5_000, 40_000):
                ws.send(chr(ord("a") + number) * size)
                ws.ping(b"%d" % number)

        gevent.joinall([gevent.spawn(send, number) for number in range(20)], raise_error=True)

    served = narrow(serve(blocking(use), websocket_buffer=20_000, websocket_compression=compression))
    peer = open_peer(served, "/", DEFLATE, receive_buffer=4096)
    messages: list[str] = []
    while len(messages) < 60:
        kind, content = peer.event()
        if kind == "message":
            messages.append(content)
    assert all(len(set(message)) == 1 for message in messages)
    assert sorted(map(len, messages)) == [10] * 20 + [5_000] * 20 + [40_000] * 20
    for number in range(20):
        own = [len(each) for each in messages if each[0] == chr(ord("a") + number)]
        assert own == [10, 5_000, 40_000], "each sender's own order is kept"


def test_a_timeout_or_a_kill_while_sending_leaves_the_stream_whole(serve: Serving) -> None:
    outcomes: list[str] = []

    def attempt(ws: WebSocket, number: int) -> None:
        try:
            with gevent.Timeout(0.002):
                ws.send(f"{number} " + "x" * 30_000)
            outcomes.append(str(number))
        except (gevent.Timeout, GreenletExit):
            outcomes.append("")

    def use(ws: WebSocket) -> None:
        for number in range(60):
            attempt(ws, number)
        killed = gevent.spawn(attempt, ws, 60)
        gevent.sleep(0)
        killed.kill()
        ws.send("end")

    peer = open_peer(narrow(serve(blocking(use), websocket_buffer=30_000)), receive_buffer=4096)
    wait_until(lambda: outcomes.count("") > 3)
    messages = []
    while (message := peer.receive()) != "end":
        messages.append(str(message).split(" ")[0])
    assert messages == [each for each in outcomes if each], "what was not sent did not go out, in part or in whole"


def test_sending_from_the_hub(serve: Serving) -> None:
    """A callback of the hub may send as long as it need not wait."""
    raised: list[BaseException] = []

    def use(ws: WebSocket) -> None:
        gevent.get_hub().loop.run_callback(ws.send, "from the hub")

        def fill() -> None:
            try:
                while True:
                    ws.send("x" * 10_000)
            except BaseException as error:
                raised.append(error)

        ws.receive()
        gevent.get_hub().loop.run_callback(fill)
        ws.receive()

    peer = open_peer(narrow(serve(blocking(use), websocket_buffer=20_000)), receive_buffer=4096)
    assert peer.receive() == "from the hub"
    peer.text("go on")
    wait_until(lambda: raised)
    assert "event loop callback" in str(raised[0])
    peer.text("end")
    while (event := peer.event())[0] == "message":
        assert event[1] == "x" * 10_000
    assert event[:2] == ("close", 1000)


@pytest.mark.parametrize("work", ["send", "echo"])
def test_a_loop_that_never_waits_lets_others_run(serve: Serving, work: str) -> None:
    sent = [0]

    def flood(ws: WebSocket) -> None:
        while not ws.closed:
            ws.send("x" * 100)
            sent[0] += 1

    def app(ws: WebSocket) -> Callable[[WebSocket], None]:
        return flood if ws.path == "/flood" else echo

    served = serve(blocking(lambda ws: app(ws)(ws)))
    greedy = open_peer(served, "/flood" if work == "send" else "/")
    if work == "echo":
        gevent.spawn(greedy.send, frame(TEXT, b"x") * 20_000)
    reader = gevent.spawn(lambda: [greedy.event() for _ in range(20_000)])
    modest = open_peer(served)
    for number in range(20):
        before = sent[0]
        modest.echo(str(number))
        assert sent[0] - before < 10_000
    assert served.connect().send(GET)
    reader.get()
