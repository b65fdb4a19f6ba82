"""A locust user that speaks Socket.IO: it emits an event and waits for the acknowledgement."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import gevent
import requests
import socketio
from locust import User, constant, task

from .tls import ClientTls
from .users import RETRY_PAUSE, fire


class SocketIOUser(User):
    """Connects to the Socket.IO server of `host` under `path`, and emits `event` with `data` again and again."""

    abstract = True
    path: ClassVar[str] = "/socket.io"
    event: ClassVar[str] = "echo"
    data: ClassVar[Any] = "x" * 32
    transports: ClassVar[list[str]] = ["websocket"]
    wait_time = constant(0)
    timeout: ClassVar[float] = 10.0
    tls: ClassVar[ClientTls] = ClientTls()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        session = requests.Session()
        self.tls.prepare(session)
        # Without handle_sigint it would take the signal away from the command.
        self.client = socketio.Client(
            reconnection=False,
            handle_sigint=False,
            http_session=session,
            ssl_verify=not self.tls.insecure,
            websocket_extra_options={"sslopt": self.tls.websocket_options()},
        )

    @task
    def emit(self) -> None:
        """Emit the event; its response time ends with the acknowledgement."""
        if not self.client.connected and not self.connect():
            return
        began = time.perf_counter()
        error: BaseException | None = None
        try:
            self.client.call(self.event, self.data, timeout=self.timeout)
        except (socketio.exceptions.SocketIOError, OSError) as problem:
            error = problem
        fire(self, "SOCKET.IO", self.event, (time.perf_counter() - began) * 1000, len(str(self.data)), error)

    def connect(self) -> bool:
        """Connect, and report that; whether it worked."""
        began = time.perf_counter()
        error: BaseException | None = None
        try:
            self.client.connect(
                str(self.host), socketio_path=self.path, transports=self.transports, wait_timeout=self.timeout
            )
        except (socketio.exceptions.SocketIOError, OSError) as problem:
            error = problem
        fire(self, "CONNECT", self.path, (time.perf_counter() - began) * 1000, 0, error)
        if error is not None:
            gevent.sleep(RETRY_PAUSE)
        return error is None

    def on_stop(self) -> None:
        """Disconnect."""
        if self.client.connected:
            self.client.disconnect()
