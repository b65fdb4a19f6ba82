"""What systemd gives a service and wants to hear from it: sockets, readiness, status, the watchdog. No library needed.

Sockets: sd_listen_fds(3), descriptors from 3 on. Everything else: sd_notify(3), one datagram each. The variables are
removed once they are read, since a process that the application starts would take them for its own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import gevent
from gevent import socket

log = logging.getLogger("hublet.systemd")

FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
# systemd reads these in its main loop; one that takes longer is in trouble itself.
SEND_TIMEOUT: Final = 5.0
MICROSECONDS: Final = 1_000_000
VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def activated_sockets(environ: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """The sockets that systemd passes to this process: their addresses, `fd://3` and so on, with their units' names.

    They are closed on exec from here on.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    for each in descriptors:
        os.set_inheritable(each, False)
    names += [""] * (len(descriptors) - len(names))
    return {f"fd://{each}": name for each, name in zip(descriptors, names, strict=False)}


class ServiceManager:
    """The way to systemd, or to nobody where the process was not started by it: then every method does nothing."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        #: What was found, for this process when it executes another program.
        self.variables = {name: environ.pop(name) for name in VARIABLES if name in environ}
        path = self.variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        interval, pid = self.variables.get("WATCHDOG_USEC", ""), self.variables.get("WATCHDOG_PID", "")
        #: How often systemd wants a sign of life, in seconds; 0: not at all.
        self.watchdog = 0.0
        if self._address and interval.isdecimal() and pid in ("", str(os.getpid())):
            self.watchdog = int(interval) / MICROSECONDS

    def notify(self, *assignments: str) -> None:
        """Send assignments such as `READY=1` in one message. A failure is logged and nothing else."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_TIMEOUT)
                sender.connect(self._address)
                sender.sendall("\n".join(assignments).encode())
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", " ".join(assignments), error)

    def ready(self, status: str) -> None:
        """The server accepts connections, for the first time or again after `reloading`."""
        self.notify("READY=1", f"STATUS={status}")

    def reloading(self, status: str) -> None:
        """A reload has begun, which `ready` ends; the time tells systemd which request for one this answers."""
        self.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", f"STATUS={status}")

    def stopping(self, status: str) -> None:
        """The server accepts no more, and finishes what it has."""
        self.notify("STOPPING=1", f"STATUS={status}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Give the signs of life of the watchdog from this hub: one that is blocked gives none, and is restarted."""
        if not self.watchdog:
            yield
            return
        ticker: Any = gevent.spawn(self._tick)
        try:
            yield
        finally:
            ticker.kill()

    def _tick(self) -> None:
        while True:
            self.notify("WATCHDOG=1")
            gevent.sleep(self.watchdog / 2)
