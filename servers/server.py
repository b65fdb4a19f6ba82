"""The server that users construct: listening sockets, an engine, and a life from start to drained.

`WSGIServer` takes the place of `gevent.pywsgi.WSGIServer`: same constructor, same methods, so that code written for the
latter changes one import. What it adds is `settings`, a list of listening sockets, and a `stop` that drains.
"""

from __future__ import annotations

import dataclasses
import logging
import ssl
from collections.abc import Callable
from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, TCP_NODELAY
from socket import socket as Socket
from typing import Any

from gevent import get_hub, getcurrent, spawn
from gevent.baseserver import parse_address
from gevent.event import Event
from geventwebsocket.handler import WebSocketHandler

from ..patches.gevent_websocket import CALLBACK_STYLE
from ..runtime import limits, stackcache
from ..runtime.errors import SettingsError
from ..runtime.heap import keep_heap
from ..runtime.offload import POOL
from ..runtime.request_greenlet import RequestGreenlet
from .acceptor import Acceptor
from .access_log import UNIX_PEER, AccessLog
from .error_log import ErrorStream, RecordFormatter
from .http1.endpoint import Endpoint
from .http1.engine import Engine
from .http1.exchange import FileWrapper
from .proxies import TrustedProxies
from .pywsgi_arguments import bound_socket, connection_limit, make_record, make_stream, spawn_limit, tls_settings
from .settings import Settings
from .tls.certificates import make_ssl_context
from .tls.channel import TlsContext
from .tls.environ import BASE, environ_of
from .websocket.clients import Clients
from .websocket.session import WebSocketContext
from .websocket.upgrader import Upgrader

SERVER_SOFTWARE = "hublet"
LOGGER = "hublet.server"
FORMATTER = RecordFormatter()
# A server that can hold fewer connections than this says so.
FEW_CONNECTIONS = 256

log = logging.getLogger(LOGGER)


@dataclasses.dataclass(frozen=True, slots=True)
class Statistics:
    """A server's counters: what is open and running now, and sums since its start.

    `offloaded` and `offload_queued` are the calls of blocking libraries that run on native threads and wait for one.
    """

    connections: int
    in_flight: int
    queued: int
    websockets: int
    accepted: int
    requests: int
    rejected: int
    timed_out: int
    dropped_fields: int
    untrusted_fields: int
    failed_handshakes: int
    offloaded: int
    offload_queued: int


class WSGIServer:
    """An HTTP/1.1 server for a WSGI application on the gevent hub of the thread that starts it.

    `listener` is an address `(host, port)`, a string such as `"127.0.0.1:8000"`, a listening or bound socket, or a list
    of such sockets. `spawn` bounds the requests in flight: an integer, or a `gevent.pool.Pool` whose size is taken;
    each request has a greenlet of its own whatever is given. `log` receives the access log (an object with `write`, a
    `logging.Logger`, or None), `error_log` becomes `wsgi.errors`, `environ` is added to every request's environ.
    `ssl_context`, or `certfile`, `keyfile`, `ca_certs`, `cert_reqs` and `ciphers`, turn TLS on, as the settings do.
    `settings` holds everything else. Raises TypeError for arguments of pywsgi that have no meaning here, SettingsError
    for certificates that cannot be used.
    """

    #: How long `stop` without a timeout waits when `spawn` bounds the requests, in seconds; pywsgi's name and default.
    stop_timeout: float = 1
    #: Says, where other processes accept from the same sockets, how many connections are ours (see `Acceptor`).
    share: Callable[[], int | None] | None = None
    #: Called on the hub when connections were closed, once for all of a turn, until the server accepts no more.
    on_fewer: Callable[[], object] | None = None
    #: Whether `stop` lets connections that were used a moment ago have one more request: others serve new ones.
    patient: bool = False
    #: The address family and the address of the first listening socket, which `start` completes with the real port.
    family: int
    address: Any
    _application: Callable[..., Any] | None = None

    def __init__(
        self,
        listener: Any,
        application: Callable[..., Any] | None = None,
        backlog: int | None = None,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        handler_class: type | None = None,
        environ: dict[str, Any] | None = None,
        *,
        settings: Settings | None = None,
        **ssl_args: Any,
    ) -> None:
        if not (handler_class is None or is_websocket_handler(handler_class)):
            raise TypeError(
                "handler_class has no meaning here: hublet has no handler objects; wrap the application instead "
                "(gevent-websocket's WebSocketHandler is accepted: WebSockets are always served)"
            )
        settings, ssl_context = tls_settings(settings or Settings(), ssl_args)
        bound = spawn_limit(spawn)
        self.settings = settings if bound is None else dataclasses.replace(settings, max_in_flight=bound)
        self._engine: Engine | None = None
        self._websockets: WebSocketContext | None = None
        self._proxies: TrustedProxies | None = None
        self._retired = False  # the engine belongs to a life that has ended
        self._idle = Event()
        if application is not None:  # a subclass may have it as a method
            self.application = application
        self.environ = dict(environ or {})
        self.log = log if isinstance(log, AccessLog) else make_stream(log, logging.INFO)
        self.error_log = make_stream(error_log, logging.ERROR)
        self._owns_certificates = ssl_context is None
        self._tls = self._make_tls(ssl_context)
        self._backlog = self.settings.backlog if backlog is None else backlog
        self._sockets: list[Socket] = []
        self._acceptors: list[Acceptor] = []
        self._endpoints: list[Endpoint] = []
        self._stop_event = Event()
        self._stop_event.set()
        self._listens = listener != []
        if isinstance(listener, list) or hasattr(listener, "getsockname"):
            self._adopt(listener if isinstance(listener, list) else [listener])
        else:
            self.family, self.address = parse_address(listener)

    # State.

    @property
    def started(self) -> bool:
        """Whether the server accepts connections."""
        return not self._stop_event.is_set()

    @property
    def closed(self) -> bool:
        """Whether the server has no listening socket."""
        return not self._sockets

    @property
    def application(self) -> Callable[..., Any] | None:
        """The application; one that is assigned while the server runs answers the next request."""
        return self._application

    @application.setter
    def application(self, application: Callable[..., Any] | None) -> None:
        self._application = application
        if self._engine is not None and application is not None:
            self._engine.app = application

    @property
    def socket(self) -> Socket:
        """The first listening socket. Raises AttributeError before `start` has opened it."""
        if not self._sockets:
            raise AttributeError("the server has no listening socket: it has not been started, or has been stopped")
        return self._sockets[0]

    @property
    def server_host(self) -> str | None:
        """The host of `address`, or None for a socket without one."""
        return self.address[0] if isinstance(self.address, tuple) else None

    @property
    def server_port(self) -> int | None:
        """The port of `address`, or None for a socket without one."""
        return self.address[1] if isinstance(self.address, tuple) else None

    def statistics(self) -> Statistics:
        """Return the present counters; all zero before `start`."""
        engine = self._engine
        if engine is None:
            return Statistics(*[0] * len(dataclasses.fields(Statistics)))
        offloads = POOL.statistics()
        return Statistics(
            connections=engine.open_connections,
            in_flight=engine.in_flight,
            queued=engine.queued,
            websockets=0 if self._websockets is None else self._websockets.open_sessions,
            accepted=engine.accepted,
            requests=engine.requests,
            rejected=engine.rejected,
            timed_out=engine.timed_out,
            dropped_fields=sum(endpoint.parser.dropped_fields for endpoint in self._endpoints),
            untrusted_fields=0 if self._proxies is None else self._proxies.untrusted_fields,
            failed_handshakes=engine.failed_handshakes,
            offloaded=offloads.running,
            offload_queued=offloads.queued,
        )

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self._tls is not None

    @property
    def clients(self) -> Clients:
        """The open WebSockets by the address of their peers, as gevent-websocket's server has them."""
        return Clients(self._websockets)

    def reload_certificates(self) -> bool:
        """Read the files of the certificates again; connections from now on use them, those that are open go on.

        If they cannot be used, the ones in use stay, the error log says why, and the result is False. So it is for a
        server without TLS, or with an `ssl_context` of its caller's, which the caller may change at any time.
        """
        if self._tls is None or not self._owns_certificates:
            self._report("there are no certificates to be read again: the settings name none")
            return False
        try:
            self._tls.ssl_context, warnings = make_ssl_context(self.settings)
        except SettingsError as error:
            self._report(f"the certificates in use stay, since the new ones cannot be used: {error}")
            return False
        for warning in warnings:
            self._report(warning)
        return True

    # Life.

    def init_socket(self) -> None:
        """Open the listening socket, unless sockets were given. Part of `start`; on its own for servers that fork.

        Raises OSError when the address cannot be had.
        """
        if not self._sockets and self._listens:
            self._adopt([bound_socket(self.family, self.address)])

    def start(self) -> None:
        """Listen and accept. Returns at once; requests are served while the hub runs. Nothing happens if started.

        Raises OSError when the address cannot be had, and TypeError without an application.
        """
        if not self.started:
            self.init_socket()
            self._stop_event.clear()
            try:
                self.start_accepting()
            except BaseException:
                self.close()
                raise

    def start_accepting(self) -> None:
        """Accept connections on the hub of this thread. Part of `start`; on its own for servers that fork."""
        if self._engine is None or self._retired:
            if not callable(self.application):
                raise TypeError(f"the application must be callable, not {self.application!r}")
            limit = connection_limit(self.settings)
            if self.settings.stack_cache:
                stackcache.install(self.settings.stack_cache)
            keep_heap()
            self._engine = Engine(self.settings, self.application, self._on_error, make_record(self.log), limit)
            self._websockets = WebSocketContext(self._engine, self.settings, self._on_error, self)
            self._engine.upgrader = Upgrader(self._websockets, self.settings, self._on_error)
            self._proxies = TrustedProxies(
                self.settings.trusted_proxies, self.settings.proxy_fields, self.settings.max_proxy_hops, self._on_error
            )
            self._engine.forwarded = self._proxies.apply
            CALLBACK_STYLE.apply()
            if log.isEnabledFor(logging.DEBUG):
                self._engine.on_refuse = self._on_refuse
                self._engine.on_shake_failed = self._on_shake_failed
            if 0 < limit < FEW_CONNECTIONS and not self.settings.max_connections:
                self._report(f"the descriptor limit (ulimit -n) leaves room for {limit} connections only")
            self._retired = False
        if not self._acceptors:
            engine, loop = self._engine, get_hub().loop
            self._endpoints = [
                Endpoint(engine, self._base_environ(each), self.settings, self._tls) for each in self._sockets
            ]
            self._acceptors = [
                Acceptor(endpoint, each, loop, self._report, self.share)
                for endpoint, each in zip(self._endpoints, self._sockets, strict=True)
            ]
            if engine.max_connections:
                engine.on_room = self._resume_accepting
            engine.on_fewer = self.on_fewer
        self._resume_accepting()

    def serve_connection(self, socket: Socket, address: Any = None) -> None:
        """Serve a connection that was accepted elsewhere. Returns at once; requests are served while the hub runs.

        The server takes a duplicate of the descriptor: the caller may close its own. `address` is that of the peer. A
        server that has no other connections needs no listener: `WSGIServer([], app)`. Raises RuntimeError unless the
        server has been started, and OSError for a connection without an address that has ended.
        """
        if self._engine is None or not self.started:
            raise RuntimeError("the server has not been started")
        if hasattr(socket, "getpeercert"):
            raise TypeError("the connection is decrypted already: hublet needs the socket under it")
        endpoint = Endpoint(self._engine, self._base_environ(socket), self.settings, self._tls)
        own = socket.dup()
        own.setblocking(False)
        if address is None and socket.family != AF_UNIX:
            address = socket.getpeername()  # not to be taken for a peer on a Unix socket, who may be trusted
        host, port = address[:2] if isinstance(address, tuple) else ("", "")
        endpoint.adopt(own.detach(), host, str(port))

    def stop_accepting(self) -> None:
        """Leave new connections in the kernel's backlog; those that are open go on."""
        for acceptor in self._acceptors:
            acceptor.stop()
        self._acceptors = []
        if self._engine is not None:
            self._engine.on_room = None
            self._engine.on_fewer = None

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Start if that has not been done, and return when the server has been stopped or closed.

        `stop_timeout` is passed to `stop`, which is called when this ends because of an exception such as
        KeyboardInterrupt.
        """
        self.start()
        try:
            self._stop_event.wait()
        finally:
            if self.started:
                spawn(self.stop, stop_timeout).join()

    def close(self) -> None:
        """Stop accepting and close the listening sockets; requests in flight go on."""
        self.stop_accepting()
        for each in self._sockets:
            each.close()
        self._sockets = []
        self._stop_event.set()

    def stop(self, timeout: float | None = None, *, succeeded: bool = False) -> None:
        """Stop: accept no more, close idle connections, and let requests in flight finish.

        With a `timeout` (seconds), wait that long for them at the most and then kill what is left, which sees
        GreenletExit. Without one, return at once, as pywsgi does; if `spawn` bounds the requests, that means
        `stop_timeout`. WebSockets are closed with 1001; if the server is being `succeeded` by another process, with
        1012, not all at once, so that their clients come back one after the other. Called by a request's own greenlet
        it returns at once too, and goes on in the background.
        """
        self.close()
        engine, websockets = self._engine, self._websockets
        if engine is None or websockets is None:
            return
        self._retired = True
        if timeout is None and self.settings.max_in_flight:
            timeout = self.stop_timeout
        if isinstance(getcurrent(), RequestGreenlet):
            spawn(self._drain, engine, websockets, timeout, succeeded)
        else:
            self._drain(engine, websockets, timeout, succeeded)

    def reopen_logs(self) -> None:
        """Open the files of the access log and the error log anew, after they were renamed; SIGUSR1 of the command.

        It returns at once. Streams and loggers that were given to the constructor are left to whoever made them.
        """
        for each in (self.log, self.error_log):
            if isinstance(each, AccessLog | ErrorStream):
                each.reopen()

    def __enter__(self) -> WSGIServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # Details.

    def _make_tls(self, ssl_context: ssl.SSLContext | None) -> TlsContext | None:
        warnings: tuple[str, ...] = ()
        if ssl_context is None:
            if not self.settings.has_tls:
                return None
            ssl_context, warnings = make_ssl_context(self.settings)
        for warning in warnings:
            self._report(warning)
        return TlsContext(ssl_context, environ_of)

    def _adopt(self, sockets: list[Socket]) -> None:
        for each in sockets:
            each.setblocking(False)
            each.listen(self._backlog)  # says nothing new to a socket that listens already
            if each.family in (AF_INET, AF_INET6):
                # Accepted sockets inherit this; responses go out whole, so waiting to fill a segment only delays them.
                each.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._sockets = list(sockets)
        if sockets:
            self.family = sockets[0].family
            self.address = sockets[0].getsockname()

    def _drain(
        self, engine: Engine, websockets: WebSocketContext, timeout: float | None, succeeded: bool = False
    ) -> None:
        websockets.spreading = succeeded
        engine.patient = self.patient
        run_on_hub(engine.drain)
        if succeeded:
            spread = limits.RECONNECT_SPREAD if timeout is None else min(limits.RECONNECT_SPREAD, timeout / 2)
            spawn(websockets.restart_clients, spread)
        # Connections that were in use a moment ago are idle by then, or have had their last request.
        second_pass = get_hub().loop.timer(limits.DRAIN_IDLE + limits.DRAIN_SLACK)
        second_pass.start(engine.drain)
        if timeout is not None:
            try:
                self._wait_until_idle(engine, websockets, timeout)
            finally:
                second_pass.stop()
                second_pass.close()
            run_on_hub(engine.abort_all)
            run_on_hub(websockets.abort_orphans)
            if engine.cut_off:
                self._report(f"stopped after {timeout:g} s with {engine.cut_off} requests unfinished")

    def _resume_accepting(self) -> None:
        for acceptor in self._acceptors:
            acceptor.start()

    def _wait_until_idle(self, engine: Engine, websockets: WebSocketContext, timeout: float) -> None:
        def is_idle() -> bool:
            busy = engine.in_flight + engine.queued + websockets.open_sessions
            return busy == 0 and not (engine.patient and engine.open_connections)

        if is_idle():
            return
        if engine.on_idle is None:
            idle = self._idle = Event()
            engine.on_idle = lambda: is_idle() and idle.set()
        self._idle.wait(timeout)

    def _base_environ(self, listener: Socket) -> dict[str, Any]:
        name = listener.getsockname()
        # A Unix socket has neither, but PEP 3333 wants both never to be empty: what a URL without a port means.
        host, port = (name[0], str(name[1])) if isinstance(name, tuple) else ("localhost", "80")
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
            **(BASE if self.has_tls else {}),
            **self.environ,
        }

    def _report(self, text: str, error: BaseException | None = None) -> None:
        """Write one record to the error log, in one piece."""
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        level = logging.WARNING if error is None else logging.ERROR
        record = logging.LogRecord(LOGGER, level, "", 0, text, (), exc_info)
        if isinstance(self.error_log, ErrorStream):
            self.error_log.report(record)
        else:
            self.error_log.write(FORMATTER.format(record) + "\n")

    def _on_refuse(self, environ: dict[str, Any], status: int, reason: str) -> None:
        log.debug("%s: refused with %d: %s", request_name(environ), status, reason)

    def _on_shake_failed(self, host: str, port: str, reason: str) -> None:
        log.debug("%s:%s: the TLS handshake failed: %s", host or "-", port or "-", reason)

    def _on_error(self, environ: dict[str, Any], error: BaseException | None, note: str) -> None:
        self._report(f"{request_name(environ)}: {note}", error)


def is_websocket_handler(handler_class: type) -> bool:
    """Whether a handler class asks for what is always there, and for nothing that would be ignored."""
    own = "hublet.servers.gevent_websocket"  # its replacement for the former, which is made of this module
    return handler_class is WebSocketHandler or handler_class.__module__ == own


def request_name(environ: dict[str, Any]) -> str:
    """Name a request for the error log: what was asked for, and by whom."""
    get = environ.get
    address, port = get("REMOTE_ADDR"), get("REMOTE_PORT")
    peer = (f"{address}:{port}" if port else address) or UNIX_PEER
    return f"{get('REQUEST_METHOD', '-')} {get('RAW_URI', '-')} from {peer}"


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
