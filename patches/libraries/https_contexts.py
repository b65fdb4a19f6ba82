"""One TLS context for all the HTTPS connections of http.client that were given nothing of their own.

Such a context never leaves its connection, so nobody can tell whether another has it too. It is made anew when the
authorities' files change, or the variables that name them (SSL_CERT_FILE, SSL_CERT_DIR), and not shared at all once
somebody has put another function in the place of `ssl._create_default_https_context`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Any, Final

#: Arguments with which a connection has a context of its own, or changes the one it makes.
OWN: Final = ("context", "check_hostname", "key_file", "cert_file")
DEFAULT: Final[Any] = vars(ssl)["_create_default_https_context"]
#: By the version of HTTP, what the context was made of, and the context.
shared: Final[dict[int, tuple[Any, ssl.SSLContext]]] = {}


def authorities() -> tuple[object, ...]:
    """What the default authorities are at present: the places, and when each last changed."""
    paths = ssl.get_default_verify_paths()
    return tuple((path, os.stat(path).st_mtime_ns) for path in (paths.cafile, paths.capath) if path)


def connecting(original: Callable[..., None]) -> Callable[..., None]:
    """What takes the place of HTTPSConnection.__init__."""

    def __init__(self: Any, host: str, port: int | None = None, *more: Any, **named: Any) -> None:
        is_default = vars(ssl)["_create_default_https_context"] is DEFAULT
        if more or not is_default or any(named.get(name) is not None for name in OWN):
            original(self, host, port, *more, **named)
            return
        made_of = authorities()
        found, context = shared.get(self._http_vsn, (None, None))
        if found == made_of:
            named["context"] = context
        original(self, host, port, **named)
        if found != made_of:
            shared[self._http_vsn] = made_of, self._context

    return __init__
