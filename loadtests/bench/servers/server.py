"""What is known of a server: how it is started, how its version is found, what it is able to do.

Commands and files are `string.Template` texts. Names that they may use: $python (the interpreter that has hublet),
$peers (that of the other servers), $scripts (the folder of that), $host, $port, $app (module:attribute), $module and
$attribute (its two parts), $directory (temporary, where the case's and the server's files are), $user and $group (who
runs the benchmark).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Final

WSGI: Final = "wsgi"  # runs a WSGI application
YIELDS: Final = "yields"  # ten thousand waiting requests cost neither threads nor processes
FILES: Final = "files"  # can send a file that is named by the request, by an application or itself
TLS: Final = "tls"  # runs a WSGI application behind the certificate of the case
WEBSOCKET: Final = "websocket"  # has a program in apps/websocket, which echoes
DEFLATE: Final = "deflate"  # speaks permessage-deflate
BROADCAST: Final = "broadcast"  # its program broadcasts
LIBRARY: Final = "library"  # no server, but a library of which operations are measured
POOL: Final = "pool"  # nor is this: native threads that calls are made on

GRANIAN_THREADS: Final = "granian 64 threads"  # granian, where requests wait

# The interpreters that have hublet and the other servers installed, each in an environment of its own: this one has
# much else, part of which every process imports at its start.
HUBLET: Final = os.environ.get("BENCH_HUBLET", sys.executable)
PEERS: Final = os.environ.get("BENCH_PEERS", sys.executable)

# Debian keeps nginx where only root's PATH leads.
SEARCH_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


@dataclass(frozen=True, slots=True)
class Server:
    """One server as the benchmark knows it.

    `version` answers None where the server is not installed, and then `why_missing` says more than that, if it can.
    `start_seconds` is how long it may take until it answers.
    """

    name: str
    command: tuple[str, ...]
    version: Callable[[], str | None]
    abilities: frozenset[str]
    files: Mapping[str, str] = field(default_factory=dict)
    why_missing: Callable[[], str] = str
    start_seconds: float = 15.0


def distributions(*names: str) -> Callable[[], str | None]:
    """Make a version probe for distributions of this interpreter that must all be installed."""
    return lambda: versions(names, sys.path)


def hublet_distributions(*names: str) -> Callable[[], str | None]:
    """Make a version probe for distributions of hublet's interpreter that must all be installed."""
    return lambda: versions(names, import_path(HUBLET))


def peer_distributions(*names: str) -> Callable[[], str | None]:
    """Make a version probe for distributions of the other servers' interpreter that must all be installed."""
    return lambda: versions(names, import_path(PEERS))


def versions(names: Sequence[str], path: Sequence[str]) -> str | None:
    """Give the versions of distributions on an import path, or None unless all are there."""
    found = []
    for name in names:
        distribution = next(iter(metadata.distributions(name=name, path=list(path))), None)
        if distribution is None:
            return None
        found.append(f"{name} {distribution.version}")
    return ", ".join(found)


@cache
def import_path(interpreter: str) -> tuple[str, ...]:
    """Give the import path of an interpreter; nothing where it cannot be run."""
    try:
        shown = subprocess.run(
            [interpreter, "-c", "import sys; print(*sys.path, sep='\\n')"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(shown.stdout.splitlines())


def program(name: str, *arguments: str) -> Callable[[], str | None]:
    """Make a version probe for a program on PATH that prints a dotted version number."""

    def probe() -> str | None:
        path = shutil.which(name, path=SEARCH_PATH)
        if path is None:
            return None
        shown = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
        found = re.search(r"\d+(\.\d+)+", shown.stdout + shown.stderr)
        return f"{name} {found.group()}" if found else f"{name} of unknown version"

    return probe
