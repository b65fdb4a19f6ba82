"""Runs one server in this process, from open listeners to the last request: what the command and `hublet.serve` share.

The order matters. Logs come first, since everything else reports to them. Listeners are opened before the application
is loaded: a port in use is reported at once, not after an import that takes seconds, and connections that arrive during
the import wait in the kernel instead of being refused. What needs root comes before the change of user, and that before
the application is imported, so that none of its code ever runs as root.
"""

from __future__ import annotations

import logging
import os
import platform
import resource
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
import greenlet
from gevent.event import Event

from .gunicorn_hooks import Hooks
from .loader import load_application
from .logs import open_logs, reopening_on_signal
from .patches.gevent_websocket import SERVERS
from .patches.stdlib import is_standard_library_patched
from .process import (
    change_identity,
    enter_directory,
    identity_of,
    pidfile,
    read_variables,
    settings_among,
    socket_access,
    title,
)
from .runtime.errors import SettingsError
from .runtime.io_events import READ
from .servers.error_log import keep_loggers_enabled
from .servers.listeners import listener_url, open_listeners
from .servers.server import WSGIServer
from .servers.settings_sources import OPTIONS, SourcedSettings, settings_from_keywords
from .servers.statistics_feed import StatisticsFeed
from .servers.supervisor.channel import WorkerEnds
from .servers.systemd import ServiceManager
from .servers.tls.certificates import make_ssl_context
from .supervised import Supervised
from .version import __version__

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

log = logging.getLogger("hublet.serving")

# macOS refuses a descriptor limit above this one (OPEN_MAX) even where it reports an unlimited hard limit.
DARWIN_OPEN_MAX: Final = 10240

UNPATCHED: Final = (
    "the standard library is not patched: one blocking call in the application (a socket, time.sleep, a database "
    "driver) stops every request; start with `hublet module:app`, or make "
    "`import hublet; hublet.patch_all()` the program's first line"
)


def serve(app: WSGIApplication | str, *, install_signals: bool = True, **settings: Any) -> None:
    """Serve a WSGI application until the process is told to stop.

    `app` is the application, or a target such as "module:attribute". The keywords are the fields of Settings; neither
    `HUBLET_*` variables nor a file are read. Patch the standard library first, as for any gevent program.

    SIGTERM and SIGINT let the requests in flight finish within `grace` seconds, a second SIGINT does not wait. A
    third ends even a process that an application blocks. With `install_signals=False`, necessary outside of the main
    thread, stop it by killing the greenlet that called it. Raises SettingsError, ListenError, ApplicationLoadError, or
    RuntimeError when signals cannot be handled in this thread.
    """
    if install_signals and not is_main_thread():
        raise RuntimeError("signals can be handled in the main thread only: pass install_signals=False")
    sourced = settings_from_keywords(settings)
    if sourced.settings.reload:
        rule = "needs a process outside of this one: start with `hublet --reload module:app`"
        raise SettingsError("reload", True, rule, "a keyword argument")
    warnings = () if is_standard_library_patched() else (UNPATCHED,)
    name = app if isinstance(app, str) else describe(app)
    run(sourced, name, lambda: load_application(app) if isinstance(app, str) else app, warnings, install_signals)


def run_target(
    sourced: SourcedSettings,
    target: str,
    warnings: Sequence[str] = (),
    inherited: Mapping[str, socket.socket] | None = None,
    lifeline: int | None = None,
    ends: WorkerEnds | None = None,
    hooks: Hooks | None = None,
) -> int:
    """Serve the application that a target names, as the command does. Returns the exit status.

    `lifeline` is the read end of a pipe whose end of file means what SIGTERM means. `ends` are those of a worker.
    """
    load = partial(load_application, target)
    return run(sourced, target, load, warnings, inherited=inherited, lifeline=lifeline, ends=ends, hooks=hooks)


def run(
    sourced: SourcedSettings,
    name: str,
    load: Callable[[], WSGIApplication],
    warnings: Sequence[str] = (),
    install_signals: bool = True,
    inherited: Mapping[str, socket.socket] | None = None,
    lifeline: int | None = None,
    ends: WorkerEnds | None = None,
    hooks: Hooks | None = None,
) -> int:
    """Open, load, serve, and stop; `name` is the application's in the log. Returns the exit status."""
    manager = ServiceManager()
    hooks = hooks or Hooks()
    with ExitStack() as stack:
        settings = sourced.settings
        enter_directory(sourced)
        variables, identity, access = read_variables(sourced), identity_of(sourced), socket_access(sourced)
        logs = stack.enter_context(open_logs(sourced))
        if install_signals:
            stack.enter_context(reopening_on_signal(logs.reopen))
        for warning in (*warnings, *settings_among(variables), *title(sourced)):
            log.warning("%s", warning)
        raise_descriptor_limit()
        check_certificates(sourced)
        if ends is None:
            stack.enter_context(hooks.master())
        SERVERS.apply()  # before the application imports what this replaces
        stack.callback(SERVERS.undo)
        listeners = open_listeners(settings.bind, settings.backlog, inherited, access)
        for listener in listeners.values():
            stack.callback(listener.close)
        stack.enter_context(logs.accesses(sourced))
        if ends is None:  # otherwise it is the supervisor's
            stack.enter_context(pidfile(sourced))
        if ends is None:
            hooks.call("when_ready", hooks.server)
        change_identity(sourced, identity, logs)
        os.environ.update(variables)
        stack.enter_context(hooks.work(is_alone=ends is None))
        hooks.file.configure_logging()
        application = hooks.loaded(load())
        keep_loggers_enabled()
        server = WSGIServer(
            list(listeners.values()),
            application,
            log=hooks.request_log(logs.access),
            error_log=logs.error_stream,
            settings=settings,
        )
        if settings.statistics_file:
            stack.enter_context(closing(open_statistics(sourced, server)))
        life = Life(server, settings.grace)
        scheme = "https" if server.has_tls else "http"
        if ends is not None:  # drained, it ends by itself: the supervisor's signal may follow another one
            stack.callback(signal.signal, signal.SIGTERM, signal.SIG_IGN)
        if install_signals:
            stack.enter_context(stop_signals(hooks.interrupting(life.signalled), signal.SIGQUIT))
            if settings.has_tls and ends is None:  # a supervisor takes the signal for all its workers
                stack.enter_context(reload_signal(server))
        if lifeline is not None:
            stack.enter_context(watched_lifeline(lifeline, life.signalled))
        if ends is not None:
            supervised = stack.enter_context(closing(Supervised(ends, server, life, settings)))
            life.on_start = supervised.report_ready
            life.has_successor = supervised.has_successor
        stack.enter_context(manager.watched())
        urls = [listener_url(each, scheme) for each in listeners.values()]
        serve_until_stopped(server, life, manager, name, lambda: announce(sourced, name, urls))
    return 0


def check_certificates(sourced: SourcedSettings) -> None:
    """Raise a SettingsError for certificates that cannot be used, before the application's import takes its time."""
    if sourced.settings.has_tls:
        try:
            make_ssl_context(sourced.settings)
        except SettingsError as error:
            raise sourced.error(error.name, error.rule) from None


def open_statistics(sourced: SourcedSettings, server: WSGIServer) -> StatisticsFeed:
    """Begin to write the statistics file. Raises SettingsError."""
    settings = sourced.settings
    try:
        return StatisticsFeed(server.statistics, settings.statistics_file, settings.statistics_interval)
    except OSError as error:
        raise sourced.error("statistics_file", f"cannot be opened for writing: {error.strerror}") from None


def serve_until_stopped(
    server: WSGIServer, life: Life, manager: ServiceManager, name: str, announce: Callable[[], None]
) -> None:
    """Start the server, announce it, and return when it has been told to stop and is drained."""
    server.start()
    announce()
    manager.ready(f"serves {name}")
    if life.on_start is not None:
        life.on_start()
    try:
        life.wait()
    finally:
        manager.stopping(f"finishes {server.statistics().in_flight} requests")
        life.drain()
    log.info("stopped")


class Life:
    """What a running server is told: to stop with grace, then to hurry."""

    def __init__(self, server: WSGIServer, grace: float) -> None:
        self._server = server
        self._grace = grace
        self._stopping = Event()
        self._hurrying = Event()
        self._interrupts = 0
        self._succeeded = False
        #: Asked when it stops without having been told so: whether another process serves on the same addresses.
        self.has_successor: Callable[[], bool] = bool
        #: Called when the server accepts connections.
        self.on_start: Callable[[], None] | None = None

    def succeed(self) -> None:
        """Another process has taken over: end when the requests in flight have."""
        self._succeeded = True
        self._stopping.set()

    def signalled(self, number: int) -> None:
        """Take a signal: the first one asks for the end, a second SIGINT or a SIGQUIT for the end at once."""
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1 or number == signal.SIGQUIT:
            self._hurrying.set()
        if not self._stopping.is_set():
            log.info(
                "%s: stopping; requests in flight: %d, with %g seconds to finish; a second SIGINT does not wait",
                signal.Signals(number).name,
                self._server.statistics().in_flight,
                self._grace,
            )
            self._stopping.set()

    def wait(self) -> None:
        """Return when the end has been asked for."""
        self._stopping.wait()

    def drain(self) -> None:
        """Stop the server within its grace time, or at once when hurried, or when this greenlet is interrupted."""
        succeeded = self._succeeded or self.has_successor()
        graceful = gevent.spawn(self._server.stop, self._grace, succeeded=succeeded)
        try:
            gevent.wait([graceful, self._hurrying], count=1)
        finally:
            if not graceful.ready():
                log.info("stopping at once; requests in flight cut off: %d", self._server.statistics().in_flight)
                graceful.kill()
                self._server.stop(0)


@contextmanager
def stop_signals(signalled: Callable[[int], None], *others: int) -> Iterator[None]:
    """Have a greenlet call `signalled` for SIGTERM, SIGINT and `others`; put back afterwards what they did before.

    The handlers are Python's own, which run between two instructions of whatever holds the hub; a watcher would wait
    for the hub. So the second SIGINT brings the default action back even then, and a third one ends the process.
    """
    loop = gevent.get_hub().loop
    interrupts = 0

    def handle(number: int, frame: object) -> None:
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts > 1:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        loop.run_callback_threadsafe(gevent.spawn, signalled, number)

    with waking_signals():
        before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT, *others)}
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not None:  # None: it was not installed from Python, and is gone
                    signal.signal(number, handler)


@contextmanager
def reload_signal(server: WSGIServer) -> Iterator[None]:
    """Have SIGHUP read the certificates again; put back afterwards what it did before. Within `stop_signals`."""

    def reload() -> None:
        if server.reload_certificates():
            log.info("SIGHUP: the certificates have been read again")

    loop = gevent.get_hub().loop
    before = signal.signal(signal.SIGHUP, lambda *_: loop.run_callback_threadsafe(gevent.spawn, reload))
    try:
        yield
    finally:
        if before is not None:  # None: it was not installed from Python, and is gone
            signal.signal(signal.SIGHUP, before)


@contextmanager
def waking_signals() -> Iterator[None]:
    """Wake a hub that waits in the kernel for every signal that Python handles, in whichever thread it arrives."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    watcher = gevent.get_hub().loop.io(reader, READ, ref=False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def empty() -> None:
        with suppress(BlockingIOError):  # a forked child has the pipe too, and may have been faster
            os.read(reader, select.PIPE_BUF)

    watcher.start(empty)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        watcher.stop()
        watcher.close()
        os.close(reader)
        os.close(writer)


@contextmanager
def watched_lifeline(reader: int, signalled: Callable[[int], None]) -> Iterator[None]:
    """Take the end of file of a pipe, whose write end the parent process holds, for a SIGTERM. Closes `reader`."""
    watcher = gevent.get_hub().loop.io(reader, READ, ref=False)

    def end() -> None:
        watcher.stop()
        log.warning("the process that started this one is gone")
        signalled(signal.SIGTERM)

    watcher.start(gevent.spawn, end)
    try:
        yield
    finally:
        watcher.stop()
        watcher.close()
        os.close(reader)


def is_main_thread() -> bool:
    """Whether signals can be handled here. `signal` is asked, since a patched `threading` speaks of greenlets."""
    try:
        signal.set_wakeup_fd(signal.set_wakeup_fd(-1))
    except ValueError:
        return False
    return True


def announce(sourced: SourcedSettings, name: str, urls: list[str]) -> None:
    """Log what is running, where, and with which settings."""
    versions = f"Python {platform.python_version()}, gevent {gevent.__version__}, greenlet {greenlet.__version__}"
    log.info("hublet %s serves %s (pid %d, %s)", __version__, name, os.getpid(), versions)
    for url in urls:
        log.info("listening on %s", url)
    for option in OPTIONS.values():
        value = getattr(sourced.settings, option.name)
        if value != option.default:
            origin = sourced.origins.get(option.name, "hublet")
            log.info("setting %s = %s, from %s", option.name, option.format(value), origin)


def raise_descriptor_limit() -> None:
    """Let this process have as many descriptors, and so connections, as the system grants it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, DARWIN_OPEN_MAX):
        if soft == hard or soft == resource.RLIM_INFINITY or 0 <= limit <= soft:
            return
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def describe(app: object) -> str:
    """The name of an application object in the log."""
    named = app if hasattr(app, "__qualname__") else type(app)
    return f"{named.__module__}:{named.__qualname__}"
