"""What is known of a server: how it is started, how its version is found, what it is able to do.

Commands and files are `string.Template` texts. Names that they may use: $python, $host, $port, $app (module:attribute),
$module and $attribute (its two parts), $directory (temporary, where the case's and the server's files are), $user and
$group (who runs the benchmark).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Final

WSGI: Final = "wsgi"  # runs a WSGI application
YIELDS: Final = "yields"  # ten thousand waiting requests cost neither threads nor processes
FILES: Final = "files"  # can send a file that is named by the request, by an application or itself
TLS: Final = "tls"  # runs a WSGI application behind the certificate of the case
WEBSOCKET: Final = "websocket"  # has a program in apps/websocket, which echoes
DEFLATE: Final = "deflate"  # speaks permessage-deflate
BROADCAST: Final = "broadcast"  # its program broadcasts

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
    """Make a version probe for Python distributions that must all be installed."""

    def probe() -> str | None:
        try:
            return ", ".join(f"{name} {metadata.version(name)}" for name in names)
        except metadata.PackageNotFoundError:
            return None

    return probe


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
