"""What users do, as given on the command line: `KIND[=PATH][*WEIGHT]`, made into classes of locust."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from .recorder import USER_KEY
from .tls import ClientTls

# The kind's module, class, and the path that it has by default.
KINDS: Final = {
    "page": ("users", "PageUser", "/"),
    "json": ("users", "JsonUser", "/json"),
    "wait": ("users", "WaitingUser", "/sleep"),
    "upload": ("users", "UploadUser", "/upload"),
    "download": ("users", "DownloadUser", "/download"),
    "events": ("users", "EventsUser", "/events"),
    "websocket": ("websocket_users", "EchoUser", "/echo"),
    "push": ("websocket_users", "PushUser", "/push"),
    "publish": ("websocket_users", "PublishUser", "/push"),
    "socketio": ("socketio_user", "SocketIOUser", "/socket.io"),
}

# These ask once, and then hear what the server sends by itself.
LISTENING: Final = ("events", "push")
# The methods of what they ask: all others are messages.
OPENING: Final = ("GET", "CONNECT")


class Visit(NamedTuple):
    """What one kind of user does, and how many of all users are of it, by weight."""

    kind: str
    path: str
    weight: int

    @property
    def label(self) -> str:
        """The name of its users: `page=/about`."""
        return f"{self.kind}={self.path}"


def parse_visit(text: str) -> Visit:
    """Read `page`, `page=/about` or `page=/about*3`. Raises ValueError."""
    match = re.fullmatch(r"(?P<kind>\w+)(?:=(?P<path>/[^*\s]*))?(?:\*(?P<weight>[1-9][0-9]{0,5}))?", text)
    if match is None:
        raise ValueError(f"{text!r} must be KIND, KIND=/path or KIND=/path*WEIGHT, such as page=/about*3")
    if match["kind"] not in KINDS:
        raise ValueError(f"there is no kind of user {match['kind']!r}; there are {', '.join(KINDS)}")
    return Visit(match["kind"], match["path"] or KINDS[match["kind"]][2], int(match["weight"] or 1))


def make_users(visits: Iterable[Visit], pause: float) -> list[type[Any]]:
    """A class of locust for each visit, named as it is; its users pause for so many seconds after each request."""
    from_locust = import_module("locust")
    weights: dict[str, int] = {}
    classes: dict[str, type[Any]] = {}
    for visit in visits:
        module, name, _ = KINDS[visit.kind]
        base = getattr(import_module(f".{module}", __package__), name)
        weights[visit.label] = weights.get(visit.label, 0) + visit.weight
        fields: dict[str, Any] = {"abstract": False, "path": visit.path, "weight": weights[visit.label]}
        if visit.kind != "push":  # it waits for the server anyway
            fields["wait_time"] = from_locust.constant(pause)
        classes[visit.label] = type(visit.label, (base,), fields | {"__module__": base.__module__})
    return list(classes.values())


def equip(user: type[Any], host: str | None, tls: ClientTls) -> None:
    """Give a class of users the server's address and the TLS options, and have its requests tell of which class."""
    context = user.context

    def context_with_class(self: Any) -> dict[str, Any]:
        return {**context(self), USER_KEY: type(self).__name__}

    user.context = context_with_class
    user.host = host or user.host
    user.tls = tls
    if issubclass(user, import_module("locust").FastHttpUser) and not isinstance(user.insecure, property):
        # One of locust's own, which would accept any certificate.
        user.insecure = tls.insecure
        user.ssl_context_factory = staticmethod(tls.context)


def load_users(path: Path) -> list[type[Any]]:
    """The users of somebody's own locustfile. Raises ValueError, and whatever the file raises."""
    specification = importlib.util.spec_from_file_location("locustfile", path)
    if specification is None or specification.loader is None or not path.exists():
        raise ValueError(f"the locustfile {path} cannot be read: it must be a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules["locustfile"] = module
    specification.loader.exec_module(module)
    user = import_module("locust").User
    found: list[Any] = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, user)]
    found = [each for each in found if not each.abstract]
    if not found:
        raise ValueError(f"the locustfile {path} has no user: a class derived from locust's User")
    return found
