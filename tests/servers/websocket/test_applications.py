"""Callback style: `WebSocketApplication` classes, mounted by `hublet.websockets` or by gevent-websocket's Resource."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent import GreenletExit, getcurrent
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.protocols.base import BaseProtocol
from geventwebsocket.resource import Resource, WebSocketApplication
from hublet import broadcast, websockets

from tests.conftest import GET, Application, Serving, wait_until
from tests.servers.websocket.peer import (
    Echo,
    Peer,
    blocking,
    calling,
    echo,
    handshake,
    not_found,
    open_peer,
    settle,
)
from tests.servers.websocket.streams import TEXT, frame


def mounted(kind: type, beside: Application = not_found) -> Any:
    return websockets({"/": kind}, beside)


def in_a_resource(kind: type, beside: Application = not_found) -> Any:
    return Resource([("/", kind), ("/", beside)])


ways = pytest.mark.parametrize("way", [mounted, in_a_resource])


class Noting(WebSocketApplication):  # type: ignore[misc]
    """Notes its callbacks, in the class: `fresh()` gives one with notes of its own."""

    notes: list[Any]

    @classmethod
    def fresh(cls) -> Any:
        return type(cls.__name__, (cls,), {"notes": []})

    def on_open(self) -> None:
        self.notes.append("open")

    def on_message(self, message: Any, *args: Any) -> None:
        self.notes.append(message)

    def on_close(self, *args: Any) -> None:
        self.notes.append("close")


@ways
def test_callbacks_come_in_order(serve: Serving, way: Any) -> None:
    kind = Noting.fresh()
    served = serve(way(kind))
    open_peer(served).text("one").binary(b"two").text("three").leave()
    served.until(websockets=0)
    assert kind.notes == ["open", "one", bytearray(b"two"), "three", None, "close"]
    assert served.log == ""


@ways
def test_what_is_glued_to_the_handshake(serve: Serving, way: Any) -> None:
    kind = Noting.fresh()
    served = serve(way(kind))
    client = served.connect().send(handshake() + b"".join(frame(TEXT, b"%d" % each) for each in range(200))).end()
    Peer(client).opened().expect_end()
    served.until(websockets=0)
    assert kind.notes == ["open", *(str(each) for each in range(200)), None, "close"]


@pytest.mark.parametrize("where", ["on_open", "on_message", "on_close"])
def test_callbacks_of_a_connection_do_not_overlap(serve: Serving, where: str) -> None:
    """They wait for each other, whichever blocks; other connections go on."""
    inside: list[int] = [0]
    go_on = Event()

    def step(self: Any, name: str, note: Any) -> None:
        inside[0] += 1
        assert inside[0] == 1
        if name == where and self.ws.path == "/":
            go_on.wait()
        self.notes.append(note)
        inside[0] -= 1

    class Slow(Noting):
        def on_open(self) -> None:
            step(self, "on_open", "open")

        def on_message(self, message: Any, *args: Any) -> None:
            step(self, "on_message", message)

        def on_close(self, *args: Any) -> None:
            step(self, "on_close", "close")

    kind = Slow.fresh()
    served = serve(websockets({"/": kind, "/echo": Echo}, not_found))
    peer = open_peer(served) if where != "on_open" else Peer(served.connect().send(handshake())).opened()
    for number in range(100):
        peer.text(str(number))
    peer.close(1000)
    other = open_peer(served, "/echo")
    for _ in range(5):
        other.echo("x")
    assert len(kind.notes) <= 102
    assert "close" not in kind.notes
    go_on.set()
    peer.expect_close_frame(1000)
    peer.client.close()
    other.leave()
    served.until(websockets=0)
    assert kind.notes == ["open", *map(str, range(100)), None, "close"]


def test_each_callback_runs_in_a_greenlet_that_may_block(serve: Serving) -> None:
    greenlets: list[Any] = []

    class Sleeping(Noting):
        def on_message(self, message: Any, *args: Any) -> None:
            greenlets.append(getcurrent())
            gevent.sleep(0.001)
            if message is not None:
                self.ws.send(f"{message}!")

    peer = open_peer(serve(mounted(Sleeping.fresh())))
    for number in range(5):
        peer.text(str(number))
        assert peer.receive() == f"{number}!"
        wait_until(lambda: greenlets[-1].dead)
    assert len(set(map(id, greenlets))) >= 1
    peer.leave()


def test_closing_inside_a_callback(serve: Serving) -> None:
    class Closing(Noting):
        def on_message(self, message: Any, *args: Any) -> None:
            self.notes.append(message)
            self.ws.close(4000, "enough")
            with pytest.raises(WebSocketError):
                self.ws.send("more")

    kind = Closing.fresh()
    served = serve(mounted(kind))
    peer = open_peer(served).send(frame(TEXT, b"x") * 5)
    peer.expect_close(4000, "enough")
    served.until(websockets=0)
    assert kind.notes == ["open", "x", "close"]


def test_closing_in_on_open(serve: Serving) -> None:
    class Closing(Noting):
        def on_open(self) -> None:
            self.ws.close(4000)

    kind = Closing.fresh()
    served = serve(mounted(kind))
    open_peer(served).expect_close(4000)
    served.until(websockets=0)
    assert kind.notes == ["close"]
    assert served.log == ""


@pytest.mark.parametrize("where", ["on_open", "on_message", "on_close"])
def test_a_peer_vanishes_during_a_callback(serve: Serving, where: str) -> None:
    go_on = Event()

    def hold(self: Any) -> None:
        self.notes.append(where)
        go_on.wait()
        for _ in range(3):
            gevent.idle()
            try:
                self.ws.send("is anybody there?")
            except WebSocketError:
                return

    kind: Any = type("Holding", (Noting,), {"notes": [], where: lambda self, *_: hold(self)})
    served = serve(mounted(kind))
    peer = open_peer(served).text("x")
    if where == "on_close":
        peer.close()
    wait_until(lambda: where in kind.notes)
    peer.client.reset()
    settle()
    go_on.set()
    served.until(websockets=0, connections=0)
    assert kind.notes[-1] in ("close", "on_close")
    assert served.log == ""


def test_a_killed_callback(serve: Serving) -> None:
    class Killed(Noting):
        def on_message(self, message: Any, *args: Any) -> None:
            self.notes.append(message)
            gevent.kill(getcurrent(), GreenletExit)
            gevent.sleep(1)

    kind = Killed.fresh()
    served = serve(mounted(kind))
    open_peer(served).text("x").text("y").expect_close(1001)
    served.until(websockets=0)
    assert kind.notes == ["open", "x", "close"]
    assert served.log == ""


def test_a_timeout_in_a_callback_does_not_reach_the_next(serve: Serving) -> None:
    class Forgetful(Noting):
        def on_message(self, message: Any, *args: Any) -> None:
            gevent.Timeout(0.01).start()
            self.notes.append(message)

    kind = Forgetful.fresh()
    served = serve(mounted(kind))
    peer = open_peer(served).text("x")
    wait_until(lambda: "x" in kind.notes)
    gevent.sleep(0.03)
    peer.text("y").leave()
    served.until(websockets=0)
    assert kind.notes == ["open", "x", "y", None, "close"]


def test_callbacks_do_not_receive(serve: Serving) -> None:
    """Neither when nothing is there nor what the next callback is for."""

    class Receiving(Noting):
        def on_message(self, message: Any, *args: Any) -> None:
            self.notes.append(message)
            if message is not None:
                with pytest.raises(RuntimeError, match="go to on_message"):
                    self.ws.receive()

    kind = Receiving.fresh()
    served = serve(mounted(kind))
    open_peer(served).send(frame(TEXT, b"x") * 3).leave()
    served.until(websockets=0)
    assert kind.notes == ["open", "x", "x", "x", None, "close"]
    assert served.log == ""


def test_on_open_may_receive(serve: Serving) -> None:
    class Greeting(Noting):
        def on_open(self) -> None:
            self.notes.append(("name", self.ws.receive()))

    kind = Greeting.fresh()
    served = serve(mounted(kind))
    open_peer(served).text("Ada").text("x").leave()
    served.until(websockets=0)
    assert kind.notes == [("name", "Ada"), "x", None, "close"]


def test_callbacks_that_send_to_and_close_each_other(serve: Serving) -> None:
    class Room(Noting):
        def on_message(self, message: Any, *args: Any) -> None:
            clients = [each.ws for each in self.ws.handler.server.clients.values()]
            if message == "close":
                for each in clients:
                    each.close(4000)
            elif message is not None:
                broadcast(clients, message)
                for each in clients:
                    each.send(message)

    served = serve(mounted(Room.fresh()))
    peers = [open_peer(served) for _ in range(5)]
    for peer in peers:
        peer.text("x")
    for peer in peers:
        assert peer.receive_all(10) == ["x"] * 10
    peers[0].text("close")
    for peer in peers:
        peer.expect_close(4000)
    served.until(websockets=0)
    assert served.log == ""


# Mounting.


def test_paths_and_what_is_beside_them(serve: Serving) -> None:
    beside_calls: list[str] = []

    def beside(environ: dict[str, Any], start_response: Any) -> Any:
        beside_calls.append(environ["PATH_INFO"])
        return (blocking(echo) if environ["PATH_INFO"] == "/own" else not_found)(environ, start_response)

    kind = Noting.fresh()
    served = serve(websockets({"/a": kind, "/b": Echo}, beside))
    open_peer(served, "/b").echo("x")
    open_peer(served, "/own").echo("x")
    assert served.get("/a").status == 404
    assert served.connect().send(handshake("/a/deeper")).response().status == 404
    assert served.connect().send(GET).response().status == 404
    assert beside_calls == ["/own", "/a", "/a/deeper", "/"]
    assert kind.notes == []


@pytest.mark.parametrize("way", [mounted, in_a_resource])
def test_the_subprotocol_of_a_class(serve: Serving, way: Any) -> None:
    class Protocol(BaseProtocol):  # type: ignore[misc]
        PROTOCOL_NAME = "chat"

    class Chat(Echo):
        protocol_class = Protocol

    peer = open_peer(serve(way(Chat)), "/", "Sec-WebSocket-Protocol: other, chat")
    assert peer.response["Sec-WebSocket-Protocol"] == "chat"
    peer.leave()


def test_the_subprotocol_of_the_application_beside(serve: Serving) -> None:
    class App:
        def app_protocol(self, path: str) -> str:
            return path[1:]

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            return blocking(echo)(environ, start_response)

    peer = open_peer(serve(websockets({"/": Echo}, App())), "/beside", "Sec-WebSocket-Protocol: beside")
    assert peer.response["Sec-WebSocket-Protocol"] == "beside"
    peer.leave()


@pytest.mark.parametrize(
    "classes, app", [({"chat": Echo}, not_found), ({"/": Echo(None)}, not_found), ({"/": int}, not_found), ({}, None)]
)
def test_what_cannot_be_mounted(classes: Any, app: Any) -> None:
    with pytest.raises(TypeError, match="websockets: "):
        websockets(classes, app)


def test_a_second_handle(serve: Serving) -> None:
    class Twice(Echo):
        def handle(self) -> None:
            super().handle()
            with pytest.raises(RuntimeError, match="callbacks already"):
                self.ws.serve_callbacks(self.protocol)

    open_peer(serve(calling(Twice))).echo("x")
