"""Sends log lines to syslog as `LineWriter` writes them to a file: from a native thread, bounded, never waiting.

Each piece given to `write` is one message, which may begin with its severity: `<3>text`. Local daemons get the form
that they all read, RFC 3164 without a host name; over UDP it is RFC 5424, which says in which time zone its time is.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gevent import monkey

from .limits import SYSLOG_MESSAGE
from .linewriter import LineWriter

Socket: Callable[..., Any] = monkey.get_original("socket", "socket")
getaddrinfo: Callable[..., list[Any]] = monkey.get_original("socket", "getaddrinfo")

LOCAL_SOCKET: Final = "/var/run/syslog" if sys.platform == "darwin" else "/dev/log"
TAG: Final = "hublet"
DAEMON: Final = 3 << 3  # the facility, RFC 5424 section 6.2.1
INFORMATIONAL: Final = 6
SEVERITY = re.compile(rb"<([0-7])>")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HIGHEST_PORT: Final = 65535


class SyslogAddress(NamedTuple):
    """Where syslog listens: a Unix datagram socket, or a host and its UDP port."""

    path: str = LOCAL_SOCKET
    host: str = ""
    port: int = 0


def parse_syslog(text: str) -> SyslogAddress | None:
    """Read `syslog`, `syslog:/path` or `syslog:host:port`; None for every other text, which names a file.

    Raises ValueError for what begins so and goes on differently.
    """
    if text == "syslog":
        return SyslogAddress()
    scheme, colon, place = text.partition(":")
    if scheme != "syslog" or not colon:
        return None
    if place.startswith("/"):
        return SyslogAddress(place)
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
        raise ValueError("must be syslog, syslog:/path or syslog:host:port; a file of that name is ./syslog")
    return SyslogAddress("", host.strip("[]"), int(port))


class SyslogWriter(LineWriter):
    """Sends each line as one datagram. Raises OSError if nobody listens at the path, or the host has no address.

    A daemon that is restarted is connected to again; messages in between are lost, and counted.
    """

    def __init__(self, address: SyslogAddress, **options: Any) -> None:
        self._address = address
        self._socket = connect(address)
        super().__init__(self._socket.fileno(), **options)

    def close(self, timeout: float = 2.0) -> None:
        """Send what is pending, for at most `timeout` seconds, and close the socket."""
        super().close(timeout)
        self._socket.close()

    def _write_piece(self, lines: list[bytes]) -> bool:
        sent = [self._send(line) for line in lines]
        self._lose(sent.count(False))
        return all(sent)

    def _write_all(self, data: bytes) -> int | None:
        return None if self._send(data) else len(data)

    def _send(self, line: bytes) -> bool:
        try:
            message = format_message(line, bool(self._address.host))
            try:
                self._socket.send(message)
            except OSError:  # whatever it is, a new connection is the remedy, if there is one
                self._reconnect()
                self._socket.send(message)
        except OSError as error:
            failed, self._failed = self._failed, None
            if failed is not None:
                failed(error)
            return False
        return True

    def _reconnect(self) -> None:
        before, self._socket = self._socket, connect(self._address)
        self._fd = self._socket.fileno()
        before.close()


def connect(address: SyslogAddress) -> Any:
    """Open a datagram socket on the address. Raises OSError."""
    if address.host:
        family, kind, protocol, _, place = getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
    else:
        family, kind, protocol, place = socket.AF_UNIX, socket.SOCK_DGRAM, 0, address.path
    made = Socket(family, kind, protocol)
    try:
        made.connect(place)
    except OSError:
        made.close()
        raise
    return made


def format_message(line: bytes, remote: bool) -> bytes:
    """Put the header of a message in the place of the line's severity and newline."""
    match = SEVERITY.match(line)
    severity, text = (int(match[1]), line[match.end() :]) if match else (INFORMATIONAL, line)
    now = time.time()
    if remote:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        header = f"<{DAEMON | severity}>1 {stamp} {socket.gethostname() or '-'} {TAG} {os.getpid()} - - "
    else:
        local = time.localtime(now)
        stamp = f"{MONTHS[local.tm_mon - 1]} {local.tm_mday:2d} {time.strftime('%H:%M:%S', local)}"
        header = f"<{DAEMON | severity}>{stamp} {TAG}[{os.getpid()}]: "
    return (header.encode("ascii", "replace") + text.rstrip(b"\n"))[:SYSLOG_MESSAGE]
