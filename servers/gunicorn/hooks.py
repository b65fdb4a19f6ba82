"""What gunicorn's hooks and log formats see of a request and its response, and how they get to see it.

The objects have what gunicorn documents and its own loggers read. `req` of `pre_request` is that of `post_request` too:
hooks keep things on it. Where no hook and no log format asks for it, nothing here runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ..access_log import AccessLog

KEY: Final = "hublet.gunicorn"  # of the environ: the pair of a request and its response

Application = Callable[..., Iterable[bytes]]


class Request:
    """A request as gunicorn's hooks know it; made of the environ."""

    def __init__(self, environ: dict[str, Any]) -> None:
        get = environ.get
        self._environ = environ
        self.method: str = get("REQUEST_METHOD", "-")
        self.uri: str = get("RAW_URI", "-")
        self.path, _, self.query = self.uri.partition("?")
        self.fragment = ""
        self.scheme: str = get("wsgi.url_scheme", "http")
        protocol = str(get("SERVER_PROTOCOL", "HTTP/1.1")).rpartition("/")[2]
        self.version = tuple(int(part) for part in protocol.split(".") if part.isdecimal())
        self.remote_addr = self.peer_addr = (get("REMOTE_ADDR", ""), int(get("REMOTE_PORT") or 0))
        self.trailers: list[tuple[str, str]] = []
        self.proxy_protocol_info = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields, their names in capitals."""
        return [(name, value) for key, value in self._environ.items() if (name := field_name(key))]

    @property
    def body(self) -> Any:
        """The stream of the body, which is the application's to read."""
        return self._environ.get("wsgi.input")


class Response:
    """A response as gunicorn's hooks know it. `sent` is the size of the body in bytes, once it is sent."""

    def __init__(self) -> None:
        self.status: str = ""
        self.headers: list[tuple[str, str]] = []
        self.sent = 0

    @property
    def status_code(self) -> int:
        """The number in the status."""
        return int(self.status[:3]) if self.status[:3].isdecimal() else 0

    @property
    def response_length(self) -> int:
        """The size of the body in bytes."""
        return self.sent


def field_name(key: str) -> str:
    """The name of the field that stands in the environ under a key; empty if none does."""
    if key.startswith("HTTP_"):
        return key[5:].replace("_", "-")
    return key.replace("_", "-") if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else ""


def observed(
    application: Application, worker: Any, pre_request: Callable[[Any, Any], object] | None = None
) -> Application:
    """The application, with its response's head noted, and with `pre_request` called before it."""

    def observe(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request, response = environ[KEY] = Request(environ), Response()
        if pre_request is not None:
            pre_request(worker, request)

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            response.status, response.headers = status, headers
            return start_response(status, headers, *error)

        return application(environ, start)

    return observe


def with_four(hook: Callable[..., object]) -> Callable[..., object]:
    """A `post_request` hook, which may take two, three or four arguments, as one that takes four."""
    try:
        parameters = inspect.signature(hook).parameters.values()
    except ValueError:  # a compiled one
        return hook
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return hook
    count = len([each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)])
    return lambda *arguments: hook(*arguments[:count])


class PostRequestLog(AccessLog):
    """Calls a `post_request` hook for each request when its response has been sent, behind another log if there is one.

    `failed` is called when the hook raises, while the exception is being handled.
    """

    def __init__(
        self, worker: Any, hook: Callable[..., object], log: AccessLog | None, failed: Callable[[], object]
    ) -> None:
        self._worker = worker
        self._hook = with_four(hook)
        self._log = log
        self._failed = failed

    def record(
        self, environ: Mapping[str, Any], status: str, sent: int, started: float, first_byte: float, total: float
    ) -> None:
        """Log one request, and call the hook."""
        environ = dict(environ)
        pair = environ.pop(KEY, None)
        if self._log is not None:
            self._log.record(environ, status, sent, started, first_byte, total)
        if pair is None:  # refused: `pre_request` was not called either
            return
        request, response = pair
        response.status, response.sent = status, sent
        try:
            self._hook(self._worker, request, environ, response)
        except Exception:
            self._failed()

    def reopen(self) -> None:
        """Have the file behind the other log opened anew."""
        if self._log is not None:
            self._log.reopen()
