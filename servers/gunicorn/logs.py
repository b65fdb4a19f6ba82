"""What a server writes, through gunicorn's logger: access records, its own reports, and wsgi.errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from gevent import get_hub, getcurrent, spawn
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import WSGIErrorsWrapper
from gunicorn.instrument.statsd import Statsd

from ..access_log import AccessLog
from ..error_log import LOGGER, ErrorStream
from .hooks import KEY, Request, Response

# A client that went away before there was a status; nginx's number for it, since gunicorn's loggers want one.
CLIENT_GONE: Final = "499 Client Closed Request"
# What gunicorn's atoms take for granted, and a request that was refused may not have.
ATOMS: Final = {"REQUEST_METHOD": "-", "RAW_URI": "-", "SERVER_PROTOCOL": "-"}

PostRequest = Callable[[Any, Any, Any, Any], object]


def wants_records(cfg: Any, log: Any) -> bool:
    """Whether the logger does anything with a request. One of the user's own may."""
    if type(log) is Logger:
        return bool(
            cfg.accesslog
            or cfg.logconfig
            or cfg.logconfig_dict
            or getattr(cfg, "logconfig_json", None)
            or (cfg.syslog and not cfg.disable_redirect_access_to_syslog)
        )
    return True


def wants_response_fields(cfg: Any, log: Any) -> bool:
    """Whether the logger looks at the fields of responses."""
    return wants_records(cfg, log) and (type(log) not in (Logger, Statsd) or "}o)" in cfg.access_log_format)


class RequestLog(AccessLog):
    """Hands each request, when its response has been sent, to gunicorn's logger and to the `post_request` hook."""

    def __init__(self, worker: Any, is_logged: bool, post_request: PostRequest | None) -> None:
        self._worker = worker
        self._log = worker.log if is_logged else None
        self._post_request = post_request

    def record(
        self, environ: Mapping[str, Any], status: str, sent: int, started: float, first_byte: float, total: float
    ) -> None:
        """Log one request. Loggers and hooks may wait, so this leaves the hub if it is called there."""
        if getcurrent() is get_hub():
            spawn(self._record, environ, status, sent, total)
        else:
            self._record(environ, status, sent, total)

    def _record(self, environ: Mapping[str, Any], status: str, sent: int, total: float) -> None:
        environ = dict(environ)
        pair = environ.pop(KEY, None)
        request, response = pair or (Request(environ), Response())
        response.status = CLIENT_GONE if status == "-" else status
        response.sent = sent
        if self._log is not None:
            try:
                self._log.access(response, request, {**ATOMS, **environ}, timedelta(seconds=total))
            except Exception:
                self._worker.log.exception("Exception in the access log")
        if self._post_request is not None and pair is not None:
            try:
                self._post_request(self._worker, request, environ, response)
            except Exception:
                self._worker.log.exception("Exception in post_request hook")

    def reopen(self) -> None:
        """gunicorn reopens its files itself."""


class Errors(ErrorStream):
    """`wsgi.errors`, which goes where gunicorn's error log goes, and the server's reports, which go through it."""

    def __init__(self, cfg: Any, log: Any) -> None:
        stream = WSGIErrorsWrapper(cfg)
        super().__init__(lambda data: stream.write(data.decode("utf-8", "backslashreplace")))
        self._log = log

    def report(self, record: logging.LogRecord) -> None:
        """Log a record of the server's."""
        if getcurrent() is get_hub():
            spawn(self._report, record)
        else:
            self._report(record)

    def _report(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._log.exception("%s", record.getMessage(), exc_info=record.exc_info)
        else:
            self._log.log(record.levelno, "%s", record.getMessage())


def join_loggers(log: Any) -> None:
    """Have hublet's own loggers write to gunicorn's error log."""
    errors = getattr(log, "error_log", None)
    if isinstance(errors, logging.Logger):
        own = logging.getLogger(LOGGER)
        own.handlers = list(errors.handlers)
        own.setLevel(errors.level)
        own.propagate = False
