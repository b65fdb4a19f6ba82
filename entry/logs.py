"""The logs of a process: opens what the settings ask for, reports what goes wrong with them, opens files anew."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, Final

import gevent

from .runtime.linewriter import LineWriter
from .runtime.syslogwriter import SyslogWriter, parse_syslog
from .servers.access_log import LOST_REPORTS, AccessLog
from .servers.error_log import ErrorStream, Form, error_logging
from .servers.settings_sources import SourcedSettings

log = logging.getLogger("hublet.logs")

# By number: sys.stdout and sys.stderr may have been replaced, and their buffers would bypass the writers.
STDOUT: Final = 1
STDERR: Final = 2


class Logs:
    """The writers of the error log and of the access log, and what the server writes to."""

    def __init__(self, errors: LineWriter, form: Form) -> None:
        self.errors = errors
        self.error_stream = ErrorStream(errors.write, form, errors.reopen)
        self.access: AccessLog | None = None
        self._writers = [errors]

    @contextmanager
    def accesses(self, sourced: SourcedSettings) -> Iterator[None]:
        """Open the access log that the settings ask for. Raises SettingsError when that cannot be done.

        Lines that it loses are reported to the error log: the first error of the file at once, their number at the end.
        """
        settings = sourced.settings
        if settings.access_log == "off":
            yield
            return
        on_hub = gevent.get_hub().loop.run_callback_threadsafe
        writer = open_writer(
            sourced,
            "access_log_file",
            STDOUT if sys.stdout is not None else None,
            report=LOST_REPORTS[settings.access_log],
            failed=partial(on_hub, report_failure),
            not_reopened=partial(on_hub, report_reopening, settings.access_log_file),
        )
        try:
            with closing(writer):
                self.access = AccessLog(settings.access_log, writer.write, writer.reopen)
                self._writers.append(writer)
                yield
        finally:
            if writer.lost:
                log.warning("access log: %d lines were lost", writer.lost)

    def reopen(self) -> None:
        """Open the files anew. Returns at once, and may be called by a signal handler."""
        for writer in self._writers:
            writer.reopen()

    def give_to(self, uid: int, gid: int) -> None:
        """Give the files to a user, who may later have to open them anew."""
        for writer in self._writers:
            with suppress(OSError):  # a file system without owners; whoever cannot open it anew keeps the old one
                writer.give_to(uid, gid)


@contextmanager
def open_logs(sourced: SourcedSettings) -> Iterator[Logs]:
    """Open the error log, and have the `hublet` loggers write to it. Raises SettingsError when that cannot be done."""
    settings = sourced.settings
    form: Form = settings.log_format
    if form == "text" and parse_destination(sourced, "log_file") is not None:
        form = "syslog"
    writer = open_writer(
        sourced,
        "log_file",
        STDERR if sys.stderr is not None else None,
        report=LOST_REPORTS["json" if form == "json" else "combined"],
        failed=partial(complain, settings.log_file, "lines are lost, since writing fails"),
        not_reopened=partial(complain, settings.log_file, "it cannot be opened anew, and goes on in the old file"),
    )
    with closing(writer), error_logging(settings.log_level, writer.write, form):
        logs = Logs(writer, form)
        try:
            yield logs
        finally:
            logs.error_stream.flush()


@contextmanager
def reopening_on_signal(reopen: Callable[[], object]) -> Iterator[None]:
    """Call `reopen` for SIGUSR1, as log rotation sends it to servers; put back afterwards what it did before."""
    before = signal.signal(signal.SIGUSR1, lambda number, frame: reopen())
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)


def open_writer(sourced: SourcedSettings, name: str, standard: int | None, **options: Any) -> LineWriter:
    """Open what a setting names: the standard stream, syslog or a file. Raises SettingsError."""
    place: str = getattr(sourced.settings, name)
    address = parse_destination(sourced, name)
    try:
        if address is not None:
            return SyslogWriter(address, **options)
        if place == "-":
            return LineWriter(os.devnull if standard is None else standard, **options)
        return LineWriter(place, **options)
    except OSError as error:
        raise sourced.error(name, f"cannot be opened for writing: {error.strerror}") from error


def parse_destination(sourced: SourcedSettings, name: str) -> Any:
    """The address of syslog if a setting names one. Raises SettingsError."""
    try:
        return parse_syslog(getattr(sourced.settings, name))
    except ValueError as error:
        raise sourced.error(name, str(error)) from None


def report_failure(error: OSError) -> None:
    """Log that the access log loses lines."""
    log.error("access log: lines are lost, since writing fails: %s", error.strerror)


def report_reopening(path: str, error: OSError) -> None:
    """Log that the access log's file could not be opened anew."""
    log.error("access log: %s cannot be opened anew, and goes on in the old file: %s", path, error.strerror)


def complain(path: str, problem: str, error: OSError) -> None:
    """Say on standard error what is wrong with the error log itself; nothing else is left to say it to."""
    if path != "-":
        with suppress(OSError):
            os.write(STDERR, f"hublet: error log {path}: {problem}: {error.strerror}\n".encode())
