"""What the constructor arguments of `gevent.pywsgi.WSGIServer` mean here: listener, spawn, log, error_log, TLS."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import ssl
import sys
from collections.abc import Callable
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET
from socket import socket as Socket
from typing import Any, Final

from gevent.pywsgi import LoggingLogAdapter

from ..runtime import limits
from ..runtime.errors import SettingsError
from .access_log import AccessLog
from .settings import Settings


def bound_socket(family: int, address: Any) -> Socket:
    """Bind a stream socket as pywsgi does: an empty host, which parse_address takes for IPv6, means every interface."""
    listener = Socket(family, SOCK_STREAM)
    try:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL and family == AF_INET6 and address[0] == "":
            return bound_socket(AF_INET, address)  # this machine has no IPv6
        raise OSError(error.errno, f"{error.strerror}: {address}") from error
    return listener


def spawn_limit(spawn: Any) -> int | None:
    """Translate pywsgi's `spawn` into a bound on the requests in flight; None leaves the settings' own."""
    if spawn is None or (isinstance(spawn, str) and spawn in ("default", "raw")):
        return None
    if isinstance(spawn, int) and not isinstance(spawn, bool):
        if spawn < 1:
            raise SettingsError("spawn", spawn, "must be at least 1")
        return spawn
    size = getattr(spawn, "size", None)
    if isinstance(size, int):
        return size
    if callable(spawn) or hasattr(spawn, "spawn"):
        return None  # gevent.spawn, spawn_raw, a Group: requests have greenlets of their own without a bound
    raise TypeError(f"spawn must be an integer, a gevent pool or 'default', not {spawn!r}")


def connection_limit(settings: Settings) -> int:
    """The most connections to hold open: the setting, or what the descriptor limit leaves the server."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if settings.max_connections or soft == resource.RLIM_INFINITY:
        return settings.max_connections
    return max(soft - min(limits.DESCRIPTOR_RESERVE, soft // 2), 1)


# By `cert_reqs` of pywsgi, which has them from ssl.
CLIENT_CERTIFICATES: Final = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required"}
# The arguments of ssl that say how a blocking socket behaves, or what is always so here.
IGNORED: Final = {"server_side", "do_handshake_on_connect", "suppress_ragged_eofs", "ssl_version"}
FILES: Final = ("certfile", "keyfile", "ca_certs", "ciphers")


def tls_settings(settings: Settings, ssl_args: dict[str, Any]) -> tuple[Settings, ssl.SSLContext | None]:
    """Translate pywsgi's TLS arguments into settings, or a context that is used as it is. Raises TypeError."""
    known = {*FILES, "ssl_context", "cert_reqs"}
    unknown = [name for name in ssl_args if name not in known | IGNORED]
    if unknown:
        raise TypeError(f"unknown arguments: {', '.join(unknown)}")
    given = {name: value for name, value in ssl_args.items() if name in known and value is not None}
    ssl_context = given.pop("ssl_context", None)
    if ssl_context is not None:
        if given:
            raise TypeError(f"ssl_context is complete in itself: set {', '.join(given)} there instead")
        return settings, ssl_context
    changes: dict[str, Any] = {name: os.fspath(given[name]) for name in FILES if name in given}
    if "cert_reqs" in given:
        changes["client_certificates"] = CLIENT_CERTIFICATES[given["cert_reqs"]]
    return (dataclasses.replace(settings, **changes) if changes else settings), None


class NullStream:
    """Takes everything and keeps nothing."""

    def write(self, text: str) -> None:
        """Do nothing."""

    def writelines(self, lines: list[str]) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


def make_stream(log: Any, level: int) -> Any:
    """What stands behind pywsgi's `log` and `error_log` arguments: something to write lines of text to."""
    if log is None:
        return NullStream()
    if isinstance(log, str) and log == "default":
        return sys.stderr
    if hasattr(log, "log") and not hasattr(log, "write"):
        return LoggingLogAdapter(log, level)
    return log


def make_record(log: Any) -> Callable[..., None] | None:
    """The access log's record function, or None where nothing is logged."""
    if isinstance(log, NullStream):
        return None
    if isinstance(log, AccessLog):
        return log.record
    return AccessLog("combined", lambda line: log.write(line.decode("ascii"))).record
