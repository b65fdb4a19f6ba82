"""gunicorn's worker class: `gunicorn -k hublet.servers.gunicorn_worker.HubletWorker`, or `-k egg:hublet#worker`.

gunicorn binds, forks, reloads and logs, as ever; this runs hublet's server on its sockets. What gunicorn expects of a
worker is kept: it notifies the master while its hub turns, so that `timeout` ends one that is blocked; it calls the
hooks; it leaves after `max_requests`, or when told to, with `graceful_timeout` for the requests in flight.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any, ClassVar, Final

import gevent
from gevent.event import Event
from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker

from ..runtime.errors import SettingsError
from ..runtime.io_events import READ
from .gunicorn.hooks import observed, with_four
from .gunicorn.logs import Errors, RequestLog, join_loggers, wants_records, wants_response_fields
from .gunicorn.master import patch_master, patch_worker, signals_since_fork
from .gunicorn.names import NAMES, WORKER_NAMES
from .gunicorn.places import PlacedFile, Places
from .server import WSGIServer
from .settings import Settings
from .settings_sources import OPTIONS, merge, read_variables

PIPE_SIZE: Final = 4096
NOTIFY: Final = 1.0  # seconds between signs of life
COUNT: Final = 0.05  # seconds between looks at the count of requests, where it is bounded
QUICK: Final = 0.1  # seconds that requests get when the worker is told to quit; gunicorn's own
LEAVE: Final = frozenset((signal.SIGTERM, signal.SIGQUIT, signal.SIGINT))
# Settings of hublet that gunicorn has no name for; HUBLET_* variables set them.
GROUPS: Final = ("limits", "proxies", "timeouts", "websocket", "responses", "runtime")
ALPN: Final = ("http/1.1",)  # whatever gunicorn would offer: hublet speaks nothing else


class HubletWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """Runs hublet's server in a worker process of gunicorn."""

    #: What was imported before the patching; named when gunicorn has a log.
    early_imports: ClassVar[tuple[str, ...]] = ()
    #: Where the workers see each other's connections, so that they can take turns at accepting.
    places: ClassVar[Places | None] = None

    # In the master.

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        kind = type(self)
        kind.places = kind.places or Places()
        self.board = kind.places.board
        self.tmp.close()
        self.tmp = PlacedFile(self.cfg, kind.places)
        self.server: WSGIServer | None = None

    @classmethod
    def setup(cls) -> None:
        """Patch the standard library: gunicorn calls this when it has read its configuration."""
        cls.early_imports += patch_master()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Say once what was imported too early, and which settings do nothing."""
        for each in cls.early_imports:
            log.warning("%s", each)
        for each in NAMES:
            known = cfg.settings.get(each.name)
            if each.in_worker == "nobody" and known is not None and known.get() != type(known)().get():
                log.warning("%s is ignored by hublet's worker: %s", each.name, each.instead)
        try:
            for name in read_variables(os.environ):
                if not is_own(name):
                    log.warning("%s is ignored: it is for gunicorn to say", OPTIONS[name].variable)
            settings_of(cfg)
        except SettingsError as error:
            raise RuntimeError(str(error)) from None

    # In the worker.

    def init_process(self) -> None:
        """Make the forked process one of gevent's, and go on as every worker does."""
        for each in patch_worker():
            self.log.warning("%s", each)
        gevent.reinit()
        self._stopping = Event()
        self._hurrying = Event()
        self._is_succeeded = False
        self._draining = False
        if self.cfg.reload and self.cfg.reload_engine != "poll":
            self.cfg.set("reload_engine", "poll")  # inotify's adapter waits in C, and with it the hub
        super().init_process()

    def run(self) -> None:
        """Serve until told to leave, and finish what is in flight."""
        join_loggers(self.log)
        self.server = server = self.make_server()
        loop = gevent.get_hub().loop
        counted = self.max_requests < sys.maxsize
        interval = min(COUNT if counted else NOTIFY, self.timeout / 2 or NOTIFY)
        timer = loop.timer(interval, interval, ref=False)
        pipe = loop.io(self.PIPE[0], READ, ref=False)  # signals write there, and so does the reloader
        self.notify()
        timer.start(self.beat)
        pipe.start(self.on_signal)
        try:
            server.start()
            if self.alive:
                self._stopping.wait()
            self.drain(server)
        finally:
            for watcher in (timer, pipe):
                watcher.stop()
                watcher.close()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # an older gunicorn's master tells it again while it ends
        if self.aborted:
            sys.exit(1)

    def make_server(self) -> WSGIServer:
        """The server on gunicorn's sockets, with no more around the application than the configuration asks for."""
        cfg = self.cfg
        pre_request = hook_of(cfg, "pre_request")
        post_request = hook_of(cfg, "post_request")
        is_logged = wants_records(cfg, self.log)
        application = self.wsgi
        if pre_request or post_request or wants_response_fields(cfg, self.log):
            application = observed(application, self, pre_request)
        log = None
        if is_logged or post_request:
            log = RequestLog(self, is_logged, with_four(post_request) if post_request else None)
        server = WSGIServer(
            [listener.sock for listener in self.sockets],
            application,
            backlog=cfg.backlog,
            log=log,
            error_log=Errors(cfg, self.log),
            environ={"wsgi.multiprocess": cfg.workers > 1},
            settings=settings_of(cfg),
            ssl_context=self.make_ssl_context(),
        )
        server.patient = True
        server.share = self.share
        server.on_fewer = self.post
        return server

    def make_ssl_context(self) -> Any:
        """gunicorn's context, which its hook may have made, or None without TLS."""
        if not self.cfg.is_ssl:
            return None
        context = ssl_context(self.cfg)
        context.set_alpn_protocols(list(ALPN))
        return context

    def beat(self) -> None:
        """On the hub, which therefore turns: tell the master, and leave if it is time."""
        self.notify()
        if self.server is not None:
            self.nr = self.server.statistics().requests
            self.post()
        if self.nr >= self.max_requests and self.alive:
            gevent.spawn(self.log.info, "Autorestarting worker after current request.")
            self._is_succeeded = True
            self.leave()
        elif self.ppid != os.getppid() and self.alive:
            gevent.spawn(self.log.info, "Parent changed, shutting down: %s", self)
            self.leave()

    def share(self) -> int | None:
        """How many connections to accept now, once the other workers know how many there are."""
        self.post()
        return self.board.share(self.tmp.place)

    def post(self) -> None:
        """Tell the other workers how many connections there are, unless this one accepts no more."""
        if self.server is not None and not self._draining:
            self.board.post(self.tmp.place, self.server.statistics().connections)

    def on_signal(self) -> None:
        """On the hub: something was written into the pipe that wakes it."""
        os.read(self.PIPE[0], PIPE_SIZE)
        if not self.alive:
            self._stopping.set()

    def leave(self) -> None:
        """Have `run` end."""
        self.alive = False
        self._stopping.set()

    def drain(self, server: WSGIServer) -> None:
        """Finish the requests in flight within `graceful_timeout`, or at once when told to hurry."""
        self._draining = True
        self.board.clear(self.tmp.place)
        if not self.aborted:
            graceful = gevent.spawn(server.stop, self.cfg.graceful_timeout, succeeded=self._is_succeeded)
            gevent.wait([graceful, self._hurrying], count=1)
            if graceful.ready():
                return
            graceful.kill()
        server.stop(QUICK if self._hurrying.is_set() and not self.aborted else 0)

    # Signals: Python's handlers, which run in whatever greenlet is current.

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: finish and leave."""
        self.alive = False
        wake(self._stopping)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGQUIT, SIGINT: call `worker_int` and leave at once."""
        self.alive = False
        if self.server is None:  # still importing the application
            super().handle_quit(sig, frame)
        gevent.get_hub().loop.run_callback_threadsafe(gevent.spawn, self._quit)

    def _quit(self) -> None:
        try:
            self.cfg.worker_int(self)
        finally:
            self._hurrying.set()
            self._stopping.set()

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """SIGUSR1: have the log files opened anew, in a greenlet: their locks may be held."""
        gevent.get_hub().loop.run_callback_threadsafe(gevent.spawn, self.log.reopen_files)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """SIGABRT, from the master when the hub has been blocked for `timeout`: say where, and end."""
        self.alive = False
        self.aborted = True
        where = "".join(traceback.format_stack(frame))
        self.log.critical("the hub is blocked, so that nobody is served; this is where:\n%s", where)
        self.cfg.worker_abort(self)
        wake(self._stopping)
        sys.exit(1)

    def handle_winch(self, sig: int, frame: FrameType | None) -> None:
        """SIGWINCH: nothing."""

    def init_signals(self) -> None:
        """As every worker; a hub that waits in the kernel is woken through the pipe.

        Whoever was told to leave before that leaves: the master would wait `graceful_timeout` for it to end.
        """
        masters = signal.getsignal(signal.SIGTERM)
        super().init_signals()
        signal.set_wakeup_fd(self.PIPE[1], warn_on_full_buffer=False)
        if not LEAVE.isdisjoint(signals_since_fork(masters)):
            sys.exit(0)


def hook_of(cfg: Any, name: str) -> Any:
    """A hook that the configuration has set, or None. gunicorn's own `pre_request` logs, but only for debugging."""
    known = cfg.settings[name]
    value = known.get()
    if value is not known.default:
        return value
    return value if name == "pre_request" and cfg.loglevel.lower() == "debug" else None


def settings_of(cfg: Any) -> Settings:
    """gunicorn's settings as hublet's, and over them what HUBLET_* variables say that gunicorn has no name for.

    Raises SettingsError.
    """
    layer: dict[str, tuple[Any, str]] = {}
    for each in WORKER_NAMES:
        known = cfg.settings.get(each.name)  # an older gunicorn need not have it
        if known is not None:
            source = f"gunicorn's {each.name}"
            layer |= {name: (value, source) for name, value in each.converted(known.get()).items()}
    own = {name: given for name, given in read_variables(os.environ).items() if is_own(name)}
    return merge(layer, own).settings


def is_own(name: str) -> bool:
    """Whether a setting of hublet's is none that gunicorn minds."""
    return OPTIONS[name].group in GROUPS and name != "reload"


def wake(event: Event) -> None:
    """Set an event from a signal handler."""
    gevent.get_hub().loop.run_callback_threadsafe(event.set)
