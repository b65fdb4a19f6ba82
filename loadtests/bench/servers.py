"""The servers that are compared, as data: how each is started, how its version is found, what it is able to do.

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

# Debian keeps nginx where only root's PATH leads.
SEARCH_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


@dataclass(frozen=True, slots=True)
class Server:
    """One server as the benchmark knows it. `version` answers None where the server is not installed."""

    name: str
    command: tuple[str, ...]
    version: Callable[[], str | None]
    abilities: frozenset[str]
    files: Mapping[str, str] = field(default_factory=dict)


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


def gunicorn(worker: str, *options: str) -> tuple[str, ...]:
    """Write gunicorn's command for a class of workers."""
    return (
        "$python", "-m", "gunicorn", "--worker-class", worker, "--workers", "1", "--bind", "$host:$port",
        "--no-control-socket", "--log-level", "error", *options, "$app",
    )  # fmt: skip


# Defaults meant for production are kept, except where a server would refuse the load itself: gunicorn takes 1,000
# connections and ends idle ones after 2 s unless told otherwise.
GUNICORN_MANY: Final = ("--worker-connections", "19000", "--keep-alive", "300", "--timeout", "300")

NGINX_CONF: Final = """\
daemon off;
user $user $group;
worker_processes 1;
pid $directory/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path $directory/nginx-body;
    proxy_temp_path $directory/nginx-proxy;
    fastcgi_temp_path $directory/nginx-fastcgi;
    uwsgi_temp_path $directory/nginx-uwsgi;
    scgi_temp_path $directory/nginx-scgi;
    server {
        listen $host:$port;
        root $directory;
    }
}
"""

SERVERS: Final = (
    Server(
        "hublet",
        ("$python", "-m", "hublet", "$app", "--bind", "$host:$port"),
        distributions("hublet", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "bjoern",
        ("$python", "-c", "import bjoern, $module; bjoern.run($module.$attribute, '$host', $port)"),
        distributions("bjoern"),
        frozenset({WSGI}),
    ),
    Server(
        "fastwsgi",
        ("$python", "-c", "import fastwsgi, $module; fastwsgi.run($module.$attribute, '$host', $port, 0)"),
        distributions("fastwsgi"),
        frozenset({WSGI}),
    ),
    Server(
        "granian",
        (
            "$python", "-m", "granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", "1",
            "--host", "$host", "--port", "$port", "--log-level", "error", "$app",
        ),
        distributions("granian"),
        frozenset({WSGI}),
    ),
    Server(
        "gunicorn gevent",
        gunicorn("gevent", *GUNICORN_MANY),
        distributions("gunicorn", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "gunicorn gevent_pywsgi",
        gunicorn("gevent_pywsgi", *GUNICORN_MANY),
        distributions("gunicorn", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "gunicorn gthread",
        gunicorn("gthread", "--threads", "64"),
        distributions("gunicorn"),
        frozenset({WSGI, FILES}),
    ),
    Server(
        "waitress",
        ("$python", "-m", "waitress", "--threads=64", "--listen=$host:$port", "$app"),
        distributions("waitress"),
        frozenset({WSGI}),
    ),
    Server(
        "cheroot",
        ("$python", "-m", "cheroot", "--threads", "64", "--bind", "$host:$port", "$app"),
        distributions("cheroot"),
        frozenset({WSGI}),
    ),
    Server(
        "uvicorn",
        (
            "$python", "-m", "uvicorn", "--interface", "wsgi", "--host", "$host", "--port", "$port",
            "--no-access-log", "--log-level", "error", "$app",
        ),
        distributions("uvicorn"),
        frozenset({WSGI}),
    ),
    Server(
        "nginx",
        ("nginx", "-p", "$directory", "-e", "stderr", "-c", "$directory/nginx.conf"),
        program("nginx", "-v"),
        frozenset({FILES}),
        {"nginx.conf": NGINX_CONF},
    ),
)  # fmt: skip

BY_NAME: Final = {server.name: server for server in SERVERS}
