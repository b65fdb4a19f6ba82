"""gunicorn's hooks without gunicorn: who calls them, when, and with what.

Hooks of the master (`on_starting`, `when_ready`, `pre_fork`, `child_exit`, ...) are called by the supervisor, those of
workers by the workers, and all of them by the one process where there is one. Each process executes the configuration
file for itself: a worker is a new process here, not a fork.

An error in a hook that is called before requests are served keeps the server, or the new worker, from starting; later
ones are logged.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import Any, Final

from .gunicorn_file import NO_FILE, GunicornFile
from .loader import traceback_text
from .runtime.errors import ApplicationLoadError
from .servers.access_log import AccessLog
from .servers.gunicorn.hooks import PostRequestLog, observed
from .servers.settings import Settings

log = logging.getLogger("hublet.hooks")

# Tells a worker how many were started before it.
AGE_VARIABLE: Final = "_HUBLET_AGE"
STARTING: Final = {"on_starting", "when_ready"}
EARLY: Final = STARTING | {"pre_fork", "post_fork", "post_worker_init"}


class Server:
    """What hooks get for gunicorn's master."""

    def __init__(self, cfg: Any, workers: int) -> None:
        self.log = log
        self.cfg = cfg
        self.pid = os.getpid()
        self.num_workers = workers
        self.worker_age = 0
        #: The workers that were started and have not ended, by pid.
        self.WORKERS: dict[int, Worker] = {}


class Worker:
    """What hooks get for one of gunicorn's workers."""

    def __init__(self, cfg: Any, age: int, ppid: int, pid: Any) -> None:
        self.log = log
        self.cfg = cfg
        self.age = age
        self.pid = pid
        self.ppid = ppid
        self.alive = True
        self.wsgi: Any = None

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"


class Hooks:
    """The hooks of a configuration file, and the objects that they are called with."""

    def __init__(self, file: GunicornFile = NO_FILE, workers: int = 1, environ: Mapping[str, str] = os.environ) -> None:
        self.file = file
        #: In a supervisor that has executed itself anew: nothing that its own hooks raise may end what serves.
        self.are_workers_serving = False
        cfg = SimpleNamespace(**file.values)
        age = int(environ.get(AGE_VARIABLE, 1))
        self.server = Server(cfg, workers)
        self.worker = Worker(cfg, age, os.getppid() if AGE_VARIABLE in environ else os.getpid(), os.getpid())

    def call(self, name: str, *arguments: Any) -> None:
        """Call a hook, if there is one. Raises ApplicationLoadError for one that fails before anything is served."""
        hook = self.file.hooks.get(name)
        if hook is None:
            return
        try:
            hook(*arguments)
        except Exception as error:
            if name in EARLY and not (self.are_workers_serving and name in STARTING):
                raise ApplicationLoadError(name, f"the hook failed:\n{traceback_text(error)}") from None
            log.exception("the hook %s failed", name)

    # In the supervisor, or the only process.

    @contextmanager
    def master(self) -> Iterator[None]:
        """The life of gunicorn's master."""
        self.call("nworkers_changed", self.server, self.server.num_workers, None)
        self.call("on_starting", self.server)
        try:
            yield
        finally:
            self.call("on_exit", self.server)

    def before_worker(self) -> Worker:
        """A worker is about to be started."""
        self.server.worker_age += 1
        worker = Worker(self.server.cfg, self.server.worker_age, os.getpid(), "[booting]")
        self.call("pre_fork", self.server, worker)
        return worker

    def worker_started(self, worker: Worker, pid: int) -> None:
        """It runs."""
        worker.pid = pid
        self.server.WORKERS[pid] = worker

    def worker_ended(self, pid: int) -> None:
        """It has ended."""
        worker = self.server.WORKERS.pop(pid, None)
        if worker is not None:
            self.call("child_exit", self.server, worker)

    def signalled(self, number: int) -> None:
        """Another number of workers is wanted."""
        step = {signal.SIGTTIN: 1, signal.SIGTTOU: -1}.get(signal.Signals(number), 0)
        before, after = self.server.num_workers, max(self.server.num_workers + step, 1)
        if after != before:
            self.server.num_workers = after
            self.call("nworkers_changed", self.server, after, before)

    # In a worker.

    @contextmanager
    def work(self, is_alone: bool) -> Iterator[None]:
        """The life of a worker; `is_alone` if it is the only process, and so the master too."""
        if is_alone:
            self.call("pre_fork", self.server, self.worker)
        self.call("post_fork", self.server, self.worker)
        try:
            with self._aborting():
                yield
        finally:
            self.worker.alive = False
            self.call("worker_exit", self.server, self.worker)
            if is_alone:
                self.call("child_exit", self.server, self.worker)

    def loaded(self, application: Any) -> Any:
        """The application has been imported; returns what is to be served."""
        self.worker.wsgi = application
        self.call("post_worker_init", self.worker)
        pre_request = self.file.hooks.get("pre_request")
        if pre_request is None and "post_request" not in self.file.hooks:
            return application
        return observed(application, self.worker, pre_request)

    def request_log(self, access: AccessLog | None) -> AccessLog | None:
        """The access log, with `post_request` behind it if there is one."""
        hook = self.file.hooks.get("post_request")
        if hook is None:
            return access
        return PostRequestLog(self.worker, hook, access, lambda: log.exception("the hook post_request failed"))

    def interrupting(self, signalled: Callable[[int], None]) -> Callable[[int], None]:
        """`signalled`, with `worker_int` called for the signals that do not wait."""
        if "worker_int" not in self.file.hooks:
            return signalled

        def interrupt(number: int) -> None:
            if number in (signal.SIGINT, signal.SIGQUIT):
                self.call("worker_int", self.worker)
            signalled(number)

        return interrupt

    @contextmanager
    def _aborting(self) -> Iterator[None]:
        """Call `worker_abort` when the supervisor ends this process because its hub is blocked."""
        if "worker_abort" not in self.file.hooks:
            yield
            return

        def abort(number: int, frame: FrameType | None) -> None:
            self.call("worker_abort", self.worker)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        before = signal.signal(signal.SIGABRT, abort)
        try:
            yield
        finally:
            signal.signal(signal.SIGABRT, before)


def hooks_of(file: GunicornFile, settings: Settings) -> Hooks:
    """The hooks of a file for this process."""
    return Hooks(file, settings.workers or len(os.sched_getaffinity(0)))
