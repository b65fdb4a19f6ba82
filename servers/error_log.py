"""The error log: the `hublet` loggers and `wsgi.errors`, both through one writer that never makes the hub wait."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from gevent import getcurrent, monkey

Write = Callable[[bytes], object]

LOGGER: Final = "hublet"
WSGI_ERRORS: Final = "wsgi.errors"  # the logger that JSON names for what an application writes there
RECORD: Final = "%(asctime)s [%(process)d] %(levelname)s %(message)s"
INDENT: Final = "\n    "
# Control characters, line breaks that only Unicode knows included; tabs are harmless, newlines are indented.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# `wsgi.errors` keeps an unfinished line up to this many characters.
UNFINISHED_LINE: Final = 8192


class RecordFormatter(logging.Formatter):
    """Writes `2026-05-01 12:00:00.123 +0200 [pid] LEVEL message`.

    Control characters are escaped and further lines indented, so that nothing that a peer sent and a message quotes can
    pass for a record of its own.
    """

    def __init__(self) -> None:
        super().__init__(RECORD)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Write the local time with milliseconds and the offset from UTC."""
        local = time.localtime(record.created)
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{int(record.msecs):03d} {time.strftime('%z', local)}"

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, its traceback included."""
        text = CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", super().format(record))
        return text.replace("\n", INDENT)


class JSONFormatter(logging.Formatter):
    """Writes one JSON object: time (RFC 3339, UTC, milliseconds), level, logger, pid, message, perhaps traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"))


class SyslogFormatter(RecordFormatter):
    """Writes what syslog does not add itself: the message, behind its severity as in `<6>`."""

    # RFC 5424 section 6.2.1, for Python's levels.
    SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def __init__(self) -> None:
        logging.Formatter.__init__(self, "%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, its traceback included."""
        severity = next((number for level, number in self.SEVERITIES if record.levelno >= level), 7)
        return f"<{severity}>{super().format(record)}"


Form = Literal["text", "json", "syslog"]
FORMATTERS: Final[dict[Form, Callable[[], logging.Formatter]]] = {
    "text": RecordFormatter,
    "json": JSONFormatter,
    "syslog": SyslogFormatter,
}


class LineHandler(logging.Handler):
    """Hands each record as one piece, traceback included, to a LineWriter's `write`.

    It has no lock of its own: `write` takes calls from any thread, and logging's lock, cooperative in a patched
    process, could make a greenlet wait for a native thread.
    """

    def __init__(self, write: Write, form: Form = "text") -> None:
        super().__init__()
        self._write = write
        self.setFormatter(FORMATTERS[form]())

    def createLock(self) -> None:
        """Make no lock."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit the record if the filters let it pass."""
        passed = self.filter(record)
        if isinstance(passed, logging.LogRecord):  # since Python 3.12 a filter may replace the record
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        try:
            self._write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:  # a message whose arguments do not fit must not fail its caller: logging's own rule
            self.handleError(record)


@contextmanager
def error_logging(level: str, write: Write, form: Form = "text") -> Iterator[None]:
    """Let the `hublet` loggers write their records of `level` and above; put back afterwards what was there.

    A program that has given the `hublet` logger handlers of its own keeps them, and its level.
    """
    logger = logging.getLogger(LOGGER)
    if logger.handlers:
        yield
        return
    handler = LineHandler(write, form)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(before[0])
        logger.propagate = before[1]


def keep_loggers_enabled() -> None:
    """Undo what `logging.config` does to loggers that it is not told about, unless the program asked otherwise.

    Call it when the application has been loaded: by default `dictConfig` and `fileConfig` silence every logger that
    exists.
    """
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if (name == LOGGER or name.startswith(LOGGER + ".")) and isinstance(logger, logging.Logger):
            logger.disabled = False


class ErrorStream(io.TextIOBase):
    """`wsgi.errors` (PEP 3333) for all requests: takes text and hands whole lines to a LineWriter's `write`.

    It never waits. Lines of greenlets and threads are not mixed: an unfinished line is ended when another greenlet
    writes. Lines stay as they are, except that `json` makes a record of each, so that every line is an object.
    """

    def __init__(self, write: Write, form: Form = "text", reopen: Callable[[], object] | None = None) -> None:
        super().__init__()
        self._write = write
        self._reopen = reopen
        self._form = form
        self._formatter = FORMATTERS[form]()
        self._lock = monkey.get_original("_thread", "RLock")()
        self._unfinished = ""
        self._author = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Take text; what ends in a newline is written at once, as one piece."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        author = id(getcurrent())
        with self._lock:
            if self._unfinished and author != self._author:
                self._emit(self._unfinished + "\n")
                self._unfinished = ""
            self._author = author
            lines, newline, rest = (self._unfinished + text).rpartition("\n")
            if newline:
                self._emit(lines + newline)
            self._unfinished = rest
            if len(rest) > UNFINISHED_LINE:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """End an unfinished line and write it. Returns at once: the writer does the waiting."""
        with self._lock:
            rest, self._unfinished = self._unfinished, ""
            if rest:
                self._emit(rest + "\n")

    def report(self, record: logging.LogRecord) -> None:
        """Write a record of the server's own, in the form of the log."""
        self._write((self._formatter.format(record) + "\n").encode("utf-8", "backslashreplace"))

    def reopen(self) -> None:
        """Have the file behind `write` opened anew, where there is one."""
        if self._reopen is not None:
            self._reopen()

    def close(self) -> None:
        """Flush. The stream stays open: it belongs to the server, not to the request that closes it."""
        self.flush()

    def _emit(self, text: str) -> None:
        if self._form == "json":
            for line in text.splitlines():
                self.report(logging.LogRecord(WSGI_ERRORS, logging.ERROR, "", 0, "%s", (line,), None))
            return
        self._write(text.encode("utf-8", "backslashreplace"))
