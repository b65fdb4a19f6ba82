"""Listening sockets: opening them, and handing them to a process that is started later."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from ..runtime.errors import ListenError
from .addresses import AbstractName, BindAddress, Descriptor, UnixPath, format_address, parse_bind
from .unix_sockets import SocketAccess, check_unix_path, open_abstract_listener, open_unix_listener

LOWEST_UNPRIVILEGED_PORT: Final = 1024
# Set for a child process: a JSON object of addresses as they were asked for, and their descriptors. It does not begin
# with HUBLET_, since those are settings.
INHERITED_VARIABLE: Final = "_HUBLET_LISTENERS"


def open_listener(
    bind: str | tuple[str, int],
    backlog: int,
    access: SocketAccess = SocketAccess(),  # noqa: B008
) -> socket.socket:
    """Open a listening socket: non-blocking and closed on exec. Raises ListenError.

    `access` says who may connect to a socket in the file system.
    """
    address = parse_bind(bind) if isinstance(bind, str) else BindAddress(*bind[:2])
    match address:
        case UnixPath(path):
            return open_unix_listener(path, backlog, access)
        case AbstractName(name):
            return open_abstract_listener(name, backlog)
        case Descriptor(number):
            return adopt_descriptor(number)
        case BindAddress():
            return open_tcp_listener(address, backlog)


def check_listener(bind: str, backlog: int) -> None:
    """Raise ListenError for what would keep an address from being listened on, without ever listening there.

    A TCP port is bound for a moment, since nothing else tells whether it can be.
    """
    address = parse_bind(bind)
    if isinstance(address, UnixPath):
        check_unix_path(address.path)
    elif isinstance(address, BindAddress):
        bind_tcp_socket(address).close()
    elif isinstance(address, Descriptor):
        check_descriptor(address.number)
    else:
        open_abstract_listener(address.name, backlog).close()


def check_descriptor(number: int) -> None:
    """Raise ListenError unless a descriptor is that of a listening stream socket."""
    try:
        found = socket.socket(fileno=number)
        listens = found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        found.detach()
    except OSError as error:
        rule = f"the process was not started with this descriptor, or it is no socket ({error.strerror})"
        raise ListenError(f"fd://{number}", rule) from error
    if not listens:
        raise ListenError(f"fd://{number}", "it is no listening stream socket (systemd: ListenStream=, Accept=no)")


def adopt_descriptor(number: int) -> socket.socket:
    """Take over a listening socket that this process was started with. Raises ListenError."""
    check_descriptor(number)
    listener = socket.socket(fileno=number)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def open_tcp_listener(address: BindAddress, backlog: int) -> socket.socket:
    """Listen on a TCP address. Raises ListenError."""
    listener = bind_tcp_socket(address)
    try:
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise ListenError(str(address), problem(error, address)) from error
    return listener


def bind_tcp_socket(address: BindAddress) -> socket.socket:
    """Bind a TCP address, which can be bound again at once after a restart. Raises ListenError.

    A name stands for its first IPv4 address, or for its first IPv6 address if it has no other. An IPv6 socket takes
    IPv6 connections only, so that `[::]:8000` and `0.0.0.0:8000` can be open together.
    """
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


def listener_url(listener: socket.socket, scheme: str = "http") -> str:
    """Where an open listener is reached: `http://host:port` with the port that the kernel chose, or `unix:/path`."""
    name = listener.getsockname()
    if isinstance(name, bytes):  # an abstract name, behind a NUL
        return f"unix:@{os.fsdecode(name[1:])}"
    return f"unix:{name}" if isinstance(name, str) else f"{scheme}://{format_address(name)}"


def open_listeners(
    binds: tuple[str, ...],
    backlog: int,
    inherited: Mapping[str, socket.socket] | None = None,
    access: SocketAccess = SocketAccess(),  # noqa: B008
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
            listeners[bind] = heirlooms.pop(bind) if bind in heirlooms else open_listener(bind, backlog, access)
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
