"""Locust users that hold a WebSocket: every message is a request of locust's, with its latency and its failure."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

import gevent
from locust import User, constant, task
from websocket import WebSocket, WebSocketException, create_connection

from .tls import ClientTls
from .users import RETRY_PAUSE, ListeningUser, fire, fire_message

Errors = (WebSocketException, OSError)


class WebSocketUser(User):
    """Connects to `path` of `host`, and connects again when the connection ends.

    Opening is reported as CONNECT, messages by the subclass with `exchange`, `send` and `receive`.
    """

    abstract = True
    path: ClassVar[str] = "/"
    wait_time = constant(0)
    timeout: ClassVar[float] = 10.0  # seconds that a handshake or a message may take
    tls: ClassVar[ClientTls] = ClientTls()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.socket: WebSocket | None = None

    @property
    def url(self) -> str:
        """The address of the WebSocket: `host` with ws for http, and wss for https."""
        return "ws" + str(self.host).rstrip("/").removeprefix("http") + self.path

    def connect(self) -> WebSocket | None:
        """The open connection; None if there is none to be had, which has been reported."""
        if self.socket is None:
            began = time.perf_counter()
            error: BaseException | None = None
            try:
                self.socket = create_connection(self.url, timeout=self.timeout, sslopt=self.tls.websocket_options())
                self.on_connect(self.socket)
            except Errors as problem:
                error = problem
                self.disconnect()
            fire(self, "CONNECT", self.path, (time.perf_counter() - began) * 1000, 0, error)
            if error is not None:
                gevent.sleep(RETRY_PAUSE)
        return self.socket

    def on_connect(self, socket: WebSocket) -> None:
        """Do what comes first on a connection, such as subscribing."""

    def disconnect(self) -> None:
        """Drop the connection."""
        socket, self.socket = self.socket, None
        if socket is not None:
            socket.shutdown()

    def on_stop(self) -> None:
        """Close the connection as RFC 6455 has it, without waiting for the answer."""
        if self.socket is not None:
            try:
                self.socket.send_close()
            except Errors:
                pass  # it has ended already
        self.disconnect()

    def failed(self, kind: str, began: float, error: BaseException) -> None:
        """Report a message that did not come or go, and drop the connection."""
        fire(self, kind, self.path, (time.perf_counter() - began) * 1000, 0, error)
        self.disconnect()


class EchoUser(WebSocketUser):
    """Sends `message` and waits for the answer, which must be the same where `same` is true."""

    abstract = True
    message: ClassVar[str] = "x" * 32
    same: ClassVar[bool] = True

    @task
    def exchange(self) -> None:
        """Send one message and receive one."""
        socket = self.connect()
        if socket is None:
            return
        began = time.perf_counter()
        try:
            socket.send(self.message)
            answer = socket.recv()
        except Errors as error:
            self.failed("WS", began, error)
            return
        error = None
        if self.same and answer != self.message:
            error = ValueError(f"the answer is not the message, but {answer[:40]!r}")
        fire(self, "WS", self.path, (time.perf_counter() - began) * 1000, len(answer), error)


class PushUser(ListeningUser, WebSocketUser):
    """Subscribes and receives: the response time of a message is how long it was on its way.

    A message says when it was `sent` in JSON (seconds since the epoch, so the clocks must agree). Of one that does not,
    the time since the message before it is reported, as INTERVAL. `subscription`, if any, is sent first.
    """

    abstract = True
    subscription: ClassVar[str] = ""

    def on_connect(self, socket: WebSocket) -> None:
        """Subscribe."""
        self.before = time.perf_counter()
        if self.subscription:
            socket.send(self.subscription)

    @task
    def receive(self) -> None:
        """Receive one message. None within `timeout` is a failure, and so is the end of the connection."""
        socket = self.connect()
        if socket is None:
            return
        try:
            message = socket.recv()
            if not message:
                raise ConnectionError("the server has closed the connection")
        except Errors as error:
            fire(self, "PUSH", self.path, None, 0, error)
            self.disconnect()
            return
        now = time.perf_counter()
        fire_message(self, "PUSH", message, now - self.before)
        self.before = now


class PublishUser(WebSocketUser):
    """Sends a message with the time `sent` every `period` seconds, for a server that passes it to its subscribers."""

    abstract = True
    period: ClassVar[float] = 0.1

    @task
    def publish(self) -> None:
        """Send one message, throw away what has come, and wait."""
        socket = self.connect()
        if socket is None:
            return
        began = time.perf_counter()
        try:
            length = socket.send(json.dumps({"sent": time.time()}))
            socket.settimeout(self.period)
            while (left := self.period - (time.perf_counter() - began)) > 0:
                socket.settimeout(left)
                if not socket.recv():
                    raise ConnectionError("the server has closed the connection")
        except TimeoutError:
            pass
        except Errors as error:
            if "timed out" not in str(error):
                self.failed("PUBLISH", began, error)
                return
        fire(self, "PUBLISH", self.path, None, length)
