"""Applications in callback style: `geventwebsocket.WebSocketApplication` and what mounts it beside a WSGI application.

`handle` of gevent-websocket's class loops over `receive` and so keeps a greenlet for as long as the connection lasts.
The one here calls `on_open`, registers the other callbacks and returns. It takes that one's place by a patch
(`hublet.patches.gevent_websocket`), for whoever calls it: gevent-websocket's `Resource` or the `Mount` below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from geventwebsocket.resource import WebSocketApplication

from .websocket import WebSocket

handle_in_a_loop = WebSocketApplication.handle

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def handle(application: Any) -> None:
    """Run a WebSocketApplication: `on_open` now, `on_message` and `on_close` when there is reason to call them.

    Each runs in a request greenlet that may wait; those of one connection come in order and never overlap.
    """
    if not isinstance(application.ws, WebSocket):  # another server's
        handle_in_a_loop(application)
        return
    application.ws.accept()
    application.protocol.on_open()
    application.ws.serve_callbacks(application.protocol)


class Mount:
    """A WSGI application that gives WebSocket requests for some paths to callback classes, and the rest to another."""

    def __init__(self, classes: Mapping[str, type], app: WSGIApplication) -> None:
        for path, each in classes.items():
            if not (isinstance(path, str) and path.startswith("/")):
                raise TypeError(f'websockets: {path!r} must be a path such as "/chat"')
            if not (isinstance(each, type) and issubclass(each, WebSocketApplication)):
                raise TypeError(f"websockets: at {path} must be a subclass of WebSocketApplication, not {each!r}")
        if not callable(app):
            raise TypeError(f"websockets: the application beside them must be callable, not {app!r}")
        self.classes = dict(classes)
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """PEP 3333."""
        found = self.classes.get(environ.get("PATH_INFO", ""))
        if found is None or environ.get("wsgi.websocket") is None:
            return self.app(environ, start_response)  # without a reference of ours: it would look as if the app held it
        found(environ["wsgi.websocket"]).handle()
        return []

    def app_protocol(self, path: str) -> str | Iterable[str] | None:
        """Say which subprotocol the class at `path` speaks, or what the other application says to that."""
        found = self.classes.get(path)
        if found is not None:
            named: str = found.protocol_name()  # type: ignore[attr-defined]
            return named
        inner = getattr(self.app, "app_protocol", None)
        protocols: str | Iterable[str] | None = None if inner is None else inner(path)
        return protocols


def websockets(classes: Mapping[str, type], app: WSGIApplication) -> Mount:
    """Mount WebSocketApplication classes, by path, beside a WSGI application; returns a WSGI application.

    A WebSocket request whose PATH_INFO is one of the paths is served by a new instance of the class there; every other
    request goes to `app`, those for the same paths that are not for a WebSocket too. Raises TypeError for what is
    no path, no such class, or no application.
    """
    return Mount(classes, app)
