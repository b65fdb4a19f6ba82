"""`--reload`: a process outside watches the sources and runs the server as its child, anew for each change.

The outer process holds the listening sockets and never imports the application: connections made while there is no
child wait in the kernel until the next one accepts them, and a broken application cannot take the reloader down.

Watched are the current directory and everything below it except hidden directories, virtual environments, node_modules
and __pycache__: Python files, templates (most engines cache them outside of their debug modes), and hublet's TOML file.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.queue import Queue
from gevent.subprocess import Popen, TimeoutExpired

from .logs import open_logs, reopening_on_signal
from .process import enter_directory, socket_access
from .runtime.errors import SettingsError
from .runtime.lifeline import LIFELINE_VARIABLE
from .servers.listeners import hand_down, open_listeners
from .servers.settings_sources import SourcedSettings
from .servers.supervisor.worker import describe_end
from .serving import stop_signals

if TYPE_CHECKING:
    import subprocess

log = logging.getLogger("hublet.reloader")

# `watchfiles.watch`: yields sets of (change, path).
Watch = Callable[..., Iterator[set[tuple[Any, str]]]]

SUFFIXES: Final = frozenset({".py", ".html", ".jinja", ".jinja2", ".j2", ".mako"})
UNWATCHED: Final = frozenset({"node_modules", "__pycache__"})
# A browser with an event stream open would hold every restart up for the whole of a production grace time.
RELOAD_GRACE: Final = 2.0
# What a child gets beyond its grace time to end by itself.
KILL_AFTER: Final = 3.0
# When a watch of new directories has surely begun, in milliseconds: what was written into them before is looked for.
BEGUN_AFTER: Final = 500


def run_reloader(sourced: SourcedSettings, directory: Path, config: Path | None) -> int:
    """Watch, and run this process's own command as a child, until a signal ends both. Returns the exit status.

    `directory` is the one in which the command was started. Raises SettingsError when the watchfiles package is
    missing, and ListenError.
    """
    watch = import_watch()
    settings = sourced.settings
    with ExitStack() as stack:
        enter_directory(sourced)
        logs = stack.enter_context(open_logs(sourced))
        stack.enter_context(reopening_on_signal(logs.reopen))
        listeners = open_listeners(settings.bind, settings.backlog, access=socket_access(sourced))
        for listener in listeners.values():
            stack.callback(listener.close)
        variables, descriptors = hand_down(listeners)
        command = [sys.executable, *sys.orig_argv[1:]]
        # Only this process has the write end, so the child reads its end when this one is gone, even by SIGKILL.
        reader, writer = os.pipe()
        for end in (reader, writer):
            stack.callback(os.close, end)
        variables[LIFELINE_VARIABLE] = str(reader)
        environ = {**os.environ, **variables}
        start = partial(Popen, command, cwd=directory, env=environ, pass_fds=(*descriptors, reader))
        reloader = Reloader(start, min(settings.grace, RELOAD_GRACE))
        sources = stack.enter_context(closing(SourceWatch(watch, Path.cwd(), config, reloader.changed)))
        stack.enter_context(stop_signals(reloader.signalled))
        reloader.run(sources)
    return 0


def settings_of_child(sourced: SourcedSettings) -> SourcedSettings:
    """The settings as a child of the reloader uses them."""
    if sourced.settings.grace <= RELOAD_GRACE:
        return sourced
    settings = dataclasses.replace(sourced.settings, grace=RELOAD_GRACE)
    return dataclasses.replace(sourced, settings=settings, origins={**sourced.origins, "grace": "--reload"})


def import_watch() -> Watch:
    """Import watchfiles, which only this option needs."""
    try:
        import watchfiles
    except ImportError:
        rule = "needs the package watchfiles: python -m pip install 'hublet[reload]'"
        raise SettingsError("reload", True, rule) from None
    watch: Watch = watchfiles.watch
    return watch


class Reloader:
    """Starts, replaces and ends the child, one event after the other, in the greenlet that calls `run`."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], grace: float) -> None:
        self._start = start
        self._grace = grace
        self._child: subprocess.Popen[bytes] | None = None
        self._events: Any = Queue()
        self._interrupts = 0
        self._ending = False

    def run(self, sources: SourceWatch) -> None:
        """Run children until a signal asks for the end."""
        sources.renew()
        self._start_child()
        try:
            while not self._ending:
                self._events.get()()
                sources.renew()
        finally:
            self._stop_child()

    def changed(self, paths: Collection[str]) -> None:
        """Take a change of the sources; without paths only directories have come or gone."""
        self._events.put(partial(self._restart, sorted(paths)) if paths else lambda: None)

    def signalled(self, number: int) -> None:
        """Take a signal: the first one ends the child and then this process, a second SIGINT does not wait."""
        self._interrupts += number == signal.SIGINT
        self._ending = True
        self._events.put(lambda: None)
        child = self._child
        if self._interrupts > 1 and child is not None and not ended_within(child, KILL_AFTER):
            child.kill()

    def _restart(self, paths: list[str]) -> None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        log.info("%s%s changed: restarting", os.path.relpath(paths[0]), more)
        self._stop_child()
        if not self._ending:
            self._start_child()

    def _start_child(self) -> None:
        self._child = self._start()
        gevent.spawn(self._await_end, self._child)

    def _await_end(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self._events.put(partial(self._ended, child))

    def _ended(self, child: subprocess.Popen[bytes]) -> None:
        if child is self._child:
            self._child = None
            log.error("the server %s; it is started again when a source file changes", describe_end(child.returncode))

    def _stop_child(self) -> None:
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.terminate()
        if not ended_within(child, self._grace + KILL_AFTER):
            log.warning("the server has not ended within its grace time: killing it")
            child.kill()
            child.wait()


def ended_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a child's end; return whether it came."""
    try:
        child.wait(timeout=seconds)
    except TimeoutExpired:
        return False
    return True


class StopFlag:
    """What watchfiles asks whether to stop; plain, since a patched Event must not be used in its native thread."""

    def __init__(self) -> None:
        self.stopped = False

    def is_set(self) -> bool:
        """Whether to stop."""
        return self.stopped


class SourceWatch:
    """Calls `changed` with the paths of source files that have changed, in the hub that made it.

    Without a path it means that directories may have come or gone, and asks for `renew`.
    """

    def __init__(
        self,
        watch: Watch,
        root: Path,
        config: Path | None,
        changed: Callable[[Collection[str]], None],
    ) -> None:
        self._watch = watch
        self._root = root
        self._config = None if config is None else config.resolve()
        self._changed = changed
        self._directories: frozenset[str] = frozenset()
        self._flag = StopFlag()

    def renew(self) -> None:
        """Watch the directories that there are now."""
        directories = frozenset(source_directories(self._root))
        if self._config is not None:
            directories |= {str(self._config.parent)}
        if directories != self._directories:
            before, self._flag = self._flag, StopFlag()
            new = directories - self._directories if self._directories else frozenset()
            gevent.spawn(self._follow, directories, new, self._flag)
            before.stopped = True
            if not self._directories:
                log.info("watching %s and %d directories in it", self._root, len(directories) - 1)
            self._directories = directories

    def close(self) -> None:
        """Watch no more."""
        self._flag.stopped = True

    def _report(self, paths: set[str]) -> None:
        sources = {path for path in paths if self._is_source(path)}
        # A directory that was removed and made again needs a new watch: forget it, and `renew` finds it new.
        self._directories -= paths - sources
        self._changed(sources)

    def _follow(self, directories: frozenset[str], new: frozenset[str], flag: StopFlag) -> None:
        hub = gevent.get_hub()
        report = partial(hub.loop.run_callback_threadsafe, self._report)
        try:
            hub.threadpool.apply(self._follow_in_thread, (directories, new, flag, report))
        except (OSError, RuntimeError) as error:
            log.error("the sources cannot be watched: %s; WATCHFILES_FORCE_POLLING=1 looks at them regularly", error)

    def _follow_in_thread(
        self, directories: frozenset[str], new: frozenset[str], flag: StopFlag, report: Callable[[set[str]], object]
    ) -> None:
        options: dict[str, Any] = {"yield_on_timeout": True, "rust_timeout": BEGUN_AFTER} if new else {}
        unseen = new
        for changes in self._watch(
            *directories,
            watch_filter=self._matters,
            stop_event=flag,
            recursive=False,
            ignore_permission_denied=True,
            **options,
        ):
            paths = {path for _, path in changes}
            if unseen:
                report(paths | {path for path in files_in(unseen) if self._is_source(path)})
                unseen = frozenset()
            elif paths:
                report(paths)

    def _matters(self, change: object, path: str) -> bool:
        if self._is_source(path) or path in self._directories:
            return True
        return is_watched(os.path.basename(path)) and os.path.isdir(path)

    def _is_source(self, path: str) -> bool:
        return Path(path).suffix in SUFFIXES or path == str(self._config)


def files_in(directories: Iterable[str]) -> Iterator[str]:
    """The files in directories, as far as these are still there."""
    for directory in directories:
        with suppress(OSError):
            yield from (entry.path for entry in os.scandir(directory) if entry.is_file())


def is_watched(name: str) -> bool:
    """Whether sources may be in a directory of this name."""
    return name not in UNWATCHED and not name.startswith(".")


def source_directories(root: Path) -> Iterator[str]:
    """The directory and those below it in which sources may be."""
    for directory, inner, files in os.walk(root):
        if "pyvenv.cfg" in files:
            inner.clear()
            continue
        inner[:] = [name for name in inner if is_watched(name)]
        yield directory
