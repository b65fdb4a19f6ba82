"""The server that users construct: listening sockets, an engine, and a life from start to drained.

`WSGIServer` takes the place of `gevent.pywsgi.WSGIServer`: same constructor, same methods, so that code written for the
latter changes one import. What it adds is `settings`, a list of listening sockets, and a `stop` that drains.
"""

from __future__ import annotations

import dataclasses
import logging
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from gevent import Timeout, get_hub, spawn
from gevent.event import Event

from ..runtime import limits
from ..runtime.errors import SettingsError
from .access_log import AccessLog
from .acceptor import Acceptor
from .http1.connection import Endpoint, Engine
from .http1.exchange import FileWrapper
from .listeners import open_listener
from .settings import Settings

SERVER_SOFTWARE = "hublet"


@dataclasses.dataclass(frozen=True, slots=True)
class Statistics:
    """A server's counters: what is open and running now, and sums since its start."""

    connections: int
    in_flight: int
    queued: int
    accepted: int
    requests: int
    rejected: int
    timed_out: int
    dropped_fields: int


class WSGIServer:
    """An HTTP/1.1 server for a WSGI application on the gevent hub of the thread that starts it.

    `listener` is an address `(host, port)`, a string such as `"127.0.0.1:8000"`, a listening or bound socket, or a list
    of such sockets. `spawn` bounds the requests in flight: an integer, or a `gevent.pool.Pool` whose size is taken;
    each request has a greenlet of its own whatever is given. `log` receives the access log (an object with `write`, a
    `logging.Logger`, or None), `error_log` becomes `wsgi.errors`, `environ` is added to every request's environ.
    `settings` holds everything else. Raises TypeError for arguments of pywsgi that have no meaning here.
    """

    #: How long `stop` without a timeout waits for requests in flight, in seconds; pywsgi's name and default.
    stop_timeout: float = 1

    def __init__(
        self,
        listener: Any,
        application: Callable[..., Any] | None = None,
        backlog: int | None = None,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        handler_class: None = None,
        environ: dict[str, Any] | None = None,
        *,
        settings: Settings | None = None,
        **ssl_args: Any,
    ) -> None:
        if handler_class is not None:
            raise TypeError("handler_class has no meaning here: hublet has no handler objects; wrap the application instead")
        if ssl_args:
            raise TypeError(f"unknown arguments: {', '.join(ssl_args)} (TLS ends at a proxy in front of hublet)")
        settings = settings or Settings()
        bound = spawn_limit(spawn)
        self.settings = settings if bound is None else dataclasses.replace(settings, max_in_flight=bound)
        self.application = application
        self.environ = dict(environ or {})
        self.log = log
        self.error_log = make_error_log(error_log)
        self._backlog = self.settings.backlog if backlog is None else backlog
        self._listener = listener
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._endpoints: list[Endpoint] = []
        self._engine: Engine | None = None
        self._stopped = Event()
        self._stopped.set()
        if isinstance(listener, (socket.socket, list)) or hasattr(listener, "getsockname"):
            self._adopt(listener if isinstance(listener, list) else [listener])
            self._address: Any = self._sockets[0].getsockname()
        else:
            self._address = listener

    # State.

    @property
    def started(self) -> bool:
        """Whether the server accepts connections, or is draining."""
        return not self._stopped.is_set()

    @property
    def closed(self) -> bool:
        """Whether the server has no listening socket."""
        return not self._sockets

    @property
    def socket(self) -> socket.socket:
        """The first listening socket. Raises AttributeError before `start` has opened it."""
        if not self._sockets:
            raise AttributeError("the server has no listening socket: it has not been started, or has been stopped")
        return self._sockets[0]

    @property
    def address(self) -> Any:
        """The address of the first listening socket, as `getsockname` gives it."""
        return self._address

    @property
    def server_host(self) -> str | None:
        """The host of `address`, or None for a socket without one."""
        return self._address[0] if isinstance(self._address, tuple) else None

    @property
    def server_port(self) -> int | None:
        """The port of `address`, or None for a socket without one."""
        return self._address[1] if isinstance(self._address, tuple) else None

    def statistics(self) -> Statistics:
        """Return the present counters; all zero before `start`."""
        engine = self._engine
        if engine is None:
            return Statistics(0, 0, 0, 0, 0, 0, 0, 0)
        return Statistics(
            connections=engine.open_connections,
            in_flight=engine.in_flight,
            queued=engine.queued,
            accepted=engine.accepted,
            requests=engine.requests,
            rejected=engine.rejected,
            timed_out=engine.timed_out,
            dropped_fields=sum(endpoint.parser.dropped_fields for endpoint in self._endpoints),
        )

    # Life.

    def start(self) -> None:
        """Listen and accept. Returns at once; requests are served while the hub runs. Nothing happens if started.

        Raises ListenError when the address cannot be had, and TypeError without an application.
        """
        if self.started:
            return
        if not callable(self.application):
            raise TypeError(f"the application must be callable, not {self.application!r}")
        if not self._sockets:
            self._adopt([open_listener(self._listener, self._backlog)])
            self._address = self._sockets[0].getsockname()
        engine = Engine(
            self.settings, self.application, self._on_error, make_record(self.log), connection_limit(self.settings)
        )
        self._engine = engine
        self._endpoints = [Endpoint(engine, self._base_environ(each), self.settings) for each in self._sockets]
        loop = get_hub().loop
        self._acceptors = [
            Acceptor(engine, endpoint, each, loop, self._report) for endpoint, each in zip(self._endpoints, self._sockets)
        ]
        if engine.max_connections:
            engine.on_room = self._start_accepting
        self._stopped.clear()
        self._start_accepting()

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Start if that has not been done, and return when the server has been stopped.

        `stop_timeout` is passed to `stop` when this call ends because of an exception, such as KeyboardInterrupt.
        """
        self.start()
        try:
            self._stopped.wait()
        finally:
            if self.started:
                spawn(self.stop, stop_timeout).join()

    def close(self) -> None:
        """Stop accepting and close the listening sockets; requests in flight go on."""
        for acceptor in self._acceptors:
            acceptor.stop()
        for each in self._sockets:
            each.close()
        self._acceptors = []
        self._sockets = []
        if self._engine is not None:
            self._engine.on_room = None

    def stop(self, timeout: float | None = None) -> None:
        """Stop: accept no more, close idle connections, wait for the requests in flight, then kill what is left.

        Waits `timeout` seconds at most, `stop_timeout` by default. The requests that are killed see GreenletExit.
        """
        self.close()
        engine = self._engine
        if engine is not None and self.started:
            run_on_hub(engine.drain)
            self._wait_until_idle(engine, self.stop_timeout if timeout is None else timeout)
            run_on_hub(engine.abort_all)
        self._stopped.set()

    def __enter__(self) -> WSGIServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # Details.

    def _adopt(self, sockets: list[socket.socket]) -> None:
        for each in sockets:
            each.setblocking(False)
            each.listen(self._backlog)  # says nothing new to a socket that listens already
            if each.family in (socket.AF_INET, socket.AF_INET6):
                # Accepted sockets inherit this; responses go out whole, so waiting to fill a segment only delays them.
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets = list(sockets)

    def _start_accepting(self) -> None:
        for acceptor in self._acceptors:
            acceptor.start()

    def _wait_until_idle(self, engine: Engine, timeout: float) -> None:
        if engine.in_flight + engine.queued == 0:
            return
        idle = Event()
        engine.on_idle = lambda: engine.in_flight + engine.queued == 0 and idle.set()
        with Timeout(timeout, False):
            idle.wait()
        engine.on_idle = None

    def _base_environ(self, listener: socket.socket) -> dict[str, Any]:
        name = listener.getsockname()
        host, port = (name[0], str(name[1])) if isinstance(name, tuple) else ("localhost", "")
        return {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_SOFTWARE": SERVER_SOFTWARE,
            "SERVER_NAME": host,
            "SERVER_PORT": port,
            "SCRIPT_NAME": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": self.error_log,
            "wsgi.multithread": True,  # requests interleave, as with threads, wherever one waits
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
            **self.environ,
        }

    def _report(self, text: str) -> None:
        self.error_log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} hublet: {text}\n")

    def _on_error(self, environ: dict[str, Any], error: BaseException | None, note: str) -> None:
        request = (
            f"{environ.get('REQUEST_METHOD', '-')} {environ.get('RAW_URI', '-')} "
            f"from {environ.get('REMOTE_ADDR', '-')}:{environ.get('REMOTE_PORT', '-')}"
        )
        text = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {request}: {note}\n"
        if error is not None:
            text += "".join(traceback.format_exception(error))
        self.error_log.write(text)


def run_on_hub(callback: Callable[[], object]) -> None:
    """Run `callback` in the hub, where request greenlets are started from, and wait for its end."""
    done = Event()

    def run() -> None:
        try:
            callback()
        finally:
            done.set()

    get_hub().loop.run_callback(run)
    done.wait()


def spawn_limit(spawn: Any) -> int | None:
    """Translate pywsgi's `spawn` into a bound on the requests in flight; None leaves the settings' own."""
    if spawn is None or (isinstance(spawn, str) and spawn in ("default", "raw")):
        return None
    if isinstance(spawn, int) and not isinstance(spawn, bool):
        if spawn < 1:
            raise SettingsError("spawn", spawn, "must be at least 1")
        return spawn
    size = getattr(spawn, "size", None)
    if isinstance(size, int):
        return size
    if callable(spawn) or hasattr(spawn, "spawn"):
        return None  # gevent.spawn, spawn_raw, a Group: requests have greenlets of their own without a bound
    raise TypeError(f"spawn must be an integer, a gevent pool or 'default', not {spawn!r}")


def connection_limit(settings: Settings) -> int:
    """The most connections to hold open: the setting, or what the descriptor limit leaves the server."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if settings.max_connections or soft == resource.RLIM_INFINITY:
        return settings.max_connections
    return max(soft - limits.DESCRIPTOR_RESERVE, 1)


class LoggerStream:
    """A `logging.Logger` as the file-like object that logs are written to."""

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level

    def write(self, text: str) -> None:
        """Log `text` as one record."""
        self._logger.log(self._level, "%s", text.rstrip("\n"))

    def writelines(self, lines: list[str]) -> None:
        """Log each line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Records are not held back here."""


class NullStream(LoggerStream):
    """Takes everything and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(logging.Logger("hublet.null"), logging.DEBUG)

    def write(self, text: str) -> None:
        """Do nothing."""


def make_error_log(error_log: Any) -> Any:
    """The stream behind pywsgi's `error_log` argument."""
    if error_log is None:
        return NullStream()
    if isinstance(error_log, str) and error_log == "default":
        return sys.stderr
    return LoggerStream(error_log, logging.ERROR) if isinstance(error_log, logging.Logger) else error_log


def make_record(log: Any) -> Callable[..., object] | None:
    """The access log's record function behind pywsgi's `log` argument; None when nothing is logged."""
    if log is None:
        return None
    if isinstance(log, AccessLog):
        return log.record
    if isinstance(log, str) and log == "default":
        log = sys.stderr
    stream = LoggerStream(log, logging.INFO) if isinstance(log, logging.Logger) else log
    return AccessLog("combined", lambda line: stream.write(line.decode("latin-1"))).record
