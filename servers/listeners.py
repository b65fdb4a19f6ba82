"""Listening sockets: reading addresses, opening them, and handing them to a process that is started later."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from ..runtime.errors import ListenError

DEFAULT_HOST: Final = "127.0.0.1"
EVERY_IPV4_INTERFACE: Final = "0.0.0.0"  # noqa: S104  (a user asks for it by writing :port)
HIGHEST_PORT: Final = 65535
LOWEST_UNPRIVILEGED_PORT: Final = 1024
# Set for a child process: a JSON object of addresses as they were asked for, and their descriptors. It does not begin
# with HUBLET_, since those are settings.
INHERITED_VARIABLE: Final = "_HUBLET_LISTENERS"

BIND = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]+)")
FORMS: Final = "an address is host:port, [ipv6]:port, :port for every IPv4 interface, or a port alone for 127.0.0.1"


class BindAddress(NamedTuple):
    """Where to listen: a host name or address, and a port; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self)


def parse_bind(text: str) -> BindAddress:
    """Read an address as users write it: `host:port`, `[::1]:8000`, `:8000` (every IPv4 interface) or `8000`.

    A port alone means 127.0.0.1: nothing is opened to the network unless the address says so. Raises ListenError.
    """
    stripped = text.strip()
    match = BIND.fullmatch(f"{DEFAULT_HOST}:{stripped}" if re.fullmatch("[0-9]+", stripped) else stripped)
    if match is None:
        raise ListenError(text, f"{text!r} is not an address; {FORMS}")
    port = match["port"]
    if len(port) > 5 or int(port) > HIGHEST_PORT:
        raise ListenError(text, f"port {port} is out of range; ports are 0 to {HIGHEST_PORT}, 0 for any free one")
    host = match["ipv6"] or match["host"]
    return BindAddress(EVERY_IPV4_INTERFACE if host in ("", "*") else host, int(port))


def open_listener(bind: str | tuple[str, int], backlog: int) -> socket.socket:
    """Open a listening TCP socket: non-blocking, closed on exec, its address reusable at once after a restart.

    A name stands for its first IPv4 address, or for its first IPv6 address if it has no other. An IPv6 socket takes
    IPv6 connections only, so that `[::]:8000` and `0.0.0.0:8000` can be open together. Raises ListenError.
    """
    address = parse_bind(bind) if isinstance(bind, str) else parse_bind(format_address(bind))
    family, sockaddr = resolve(address)
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(str(address), problem(error, address)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(sockaddr)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise ListenError(str(address), problem(error, address)) from error
    return listener


def resolve(address: BindAddress) -> tuple[int, Any]:
    """Look up the family and the socket address to bind."""
    try:
        address.host.encode("idna")  # here, since gevent's resolver would print a traceback as well
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else error
        raise ListenError(
            str(address),
            f"the host name {address.host!r} cannot be resolved ({reason}); use an address of this machine, "
            "such as 127.0.0.1, or 0.0.0.0 for every interface",
        ) from error
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # a stable sort: IPv4 first, else the resolver's order
    family, _, _, _, sockaddr = found[0]
    return family, sockaddr


def problem(error: OSError, address: BindAddress) -> str:
    """Say why an address cannot be listened on, and what to do about it."""
    port = address.port
    if error.errno == errno.EADDRINUSE:
        finder = f"ss -ltnp 'sport = :{port}'" if sys.platform == "linux" else f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
        return f"port {port} is in use by another process; `{finder}` shows which; stop it, or choose another --bind"
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"choose a port from {LOWEST_UNPRIVILEGED_PORT} on, or give the process CAP_NET_BIND_SERVICE"
        rule = f"ports below {LOWEST_UNPRIVILEGED_PORT} need a privilege; {remedy}"
        return f"permission denied; {rule}" if port < LOWEST_UNPRIVILEGED_PORT else f"permission denied ({error})"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"no interface of this machine has the address {address.host}; `ip address` or `ifconfig` lists them; "
            "0.0.0.0 or [::] stands for all"
        )
    if error.errno == errno.EAFNOSUPPORT:
        return "this machine has no IPv6; use an IPv4 address"
    return str(error)


def format_address(address: tuple[Any, ...]) -> str:
    """Write a socket address as `host:port`, or `[ipv6]:port`."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listener_url(listener: socket.socket, scheme: str = "http") -> str:
    """The URL under which an open listener is reached, its port as the kernel chose it."""
    return f"{scheme}://{format_address(listener.getsockname())}"


def open_listeners(
    binds: tuple[str, ...], backlog: int, inherited: Mapping[str, socket.socket] | None = None
) -> dict[str, socket.socket]:
    """Open every address, or take its inherited listener; close inherited ones that are not wanted.

    On an error, a ListenError, everything is closed again.
    """
    heirlooms = dict(inherited or {})
    listeners: dict[str, socket.socket] = {}
    try:
        for bind in binds:
            if bind in listeners:
                raise ListenError(bind, "it is given twice; remove one")
            listeners[bind] = heirlooms.pop(bind) if bind in heirlooms else open_listener(bind, backlog)
    except ListenError:
        for listener in listeners.values():
            listener.close()
        raise
    finally:
        for listener in heirlooms.values():
            listener.close()
    return listeners


def hand_down(listeners: Mapping[str, socket.socket]) -> tuple[dict[str, str], tuple[int, ...]]:
    """The variables and the descriptors that a child process needs in order to inherit the listeners."""
    descriptors = {bind: listener.fileno() for bind, listener in listeners.items()}
    return {INHERITED_VARIABLE: json.dumps(descriptors)}, tuple(descriptors.values())


def is_heir(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process was started by one that opened the listeners for it."""
    return INHERITED_VARIABLE in environ


def inherit(environ: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Take over the listeners that the parent process has handed down, by the address that was asked for.

    The variable is removed and the descriptors are closed on exec, so that no process that the application starts
    inherits them in its turn.
    """
    listeners = {}
    for bind, descriptor in json.loads(environ.pop(INHERITED_VARIABLE, "{}")).items():
        listener = socket.socket(fileno=descriptor)
        listener.set_inheritable(False)
        listener.setblocking(False)
        listeners[bind] = listener
    return listeners
