"""The servers of HTTP, most of which run WSGI applications."""

from __future__ import annotations

from typing import Final

from .server import FILES, GRANIAN_THREADS, TLS, WSGI, YIELDS, Server, hublet_distributions, peer_distributions, program


def gunicorn(worker: str, *options: str, python: str = "$peers") -> tuple[str, ...]:
    """Write gunicorn's command for a class of workers."""
    return (
        python, "-m", "gunicorn", "--worker-class", worker, "--workers", "1", "--bind", "$host:$port",
        "--no-control-socket", "--log-level", "error", *options, "$app",
    )  # fmt: skip


# Defaults meant for production are kept, except where a server would refuse the load itself: gunicorn takes 1,000
# connections and ends idle ones after 2 s unless told otherwise, and waitress's select knows 1,024 descriptors.
GUNICORN_MANY: Final = ("--worker-connections", "19000", "--keep-alive", "300", "--timeout", "300")
GRANIAN: Final = (
    "$peers", "-m", "granian", "--interface", "wsgi", "--workers", "1",
    "--host", "$host", "--port", "$port", "--log-level", "error",
)  # fmt: skip
# One thread is what granian is fastest with where nothing waits; with one, requests that wait would do so in turn.
ONE_THREAD: Final = ("--blocking-threads", "1")
# Where the cases with TLS put their certificate; both servers have these options.
CERTIFICATE: Final = ("--certfile", "$directory/cert.pem", "--keyfile", "$directory/key.pem")

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

WEB_SERVERS: Final = (
    Server(
        "hublet",
        ("$python", "-m", "hublet", "$app", "--bind", "$host:$port"),
        hublet_distributions("hublet", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "hublet 2 workers",
        # Not on the one core that servers are started on.
        ("taskset", "-c", "0,1", "$python", "-m", "hublet", "$app", "--bind", "$host:$port", "--workers", "2"),
        hublet_distributions("hublet", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "gunicorn hublet",
        gunicorn("hublet.servers.gunicorn_worker.HubletWorker", *GUNICORN_MANY, python="$python"),
        hublet_distributions("hublet", "gunicorn", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "bjoern",
        ("$peers", "-c", "import bjoern, $module; bjoern.run($module.$attribute, '$host', $port)"),
        peer_distributions("bjoern"),
        frozenset({WSGI}),
    ),
    Server(
        "fastwsgi",
        ("$peers", "-c", "import fastwsgi, $module; fastwsgi.run($module.$attribute, '$host', $port, 0)"),
        peer_distributions("fastwsgi"),
        frozenset({WSGI}),
    ),
    Server(
        "granian",
        (*GRANIAN, *ONE_THREAD, "$app"),
        peer_distributions("granian"),
        frozenset({WSGI}),
    ),
    Server(
        GRANIAN_THREADS,
        (*GRANIAN, "--blocking-threads", "64", "$app"),
        peer_distributions("granian"),
        frozenset({WSGI}),
    ),
    Server(
        "gunicorn gevent",
        gunicorn("gevent", *GUNICORN_MANY),
        peer_distributions("gunicorn", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "gunicorn gevent_pywsgi",
        gunicorn("gevent_pywsgi", *GUNICORN_MANY),
        peer_distributions("gunicorn", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "gunicorn gthread",
        gunicorn("gthread", "--threads", "64", *GUNICORN_MANY),
        peer_distributions("gunicorn"),
        frozenset({WSGI, FILES}),
    ),
    Server(
        "gunicorn sync",
        gunicorn("sync"),
        peer_distributions("gunicorn"),
        frozenset({WSGI, FILES}),
    ),
    Server(
        "gevent.pywsgi",
        ("$peers", "-m", "loadtests.bench.apps.pywsgi", "$app", "$host", "$port"),
        peer_distributions("gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "uWSGI gevent",
        (
            "$scripts/uwsgi", "--http", "$host:$port", "--http-keepalive", "--module", "$app", "--gevent", "2000",
            "--gevent-monkey-patch", "--master", "--die-on-term", "--listen", "4096", "--disable-logging",
        ),
        peer_distributions("uwsgi", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "waitress",
        (
            "$peers", "-m", "waitress", "--threads=64", "--connection-limit=20000", "--asyncore-use-poll",
            "--listen=$host:$port", "$app",
        ),
        peer_distributions("waitress"),
        frozenset({WSGI}),
    ),
    Server(
        "cheroot",
        ("$peers", "-m", "cheroot", "--threads", "64", "--bind", "$host:$port", "$app"),
        peer_distributions("cheroot"),
        frozenset({WSGI}),
    ),
    Server(
        "uvicorn a2wsgi",
        (
            "$peers", "-m", "uvicorn", "--interface", "asgi3", "--host", "$host", "--port", "$port",
            "--no-access-log", "--log-level", "error", "--lifespan", "off", "loadtests.bench.apps.adapted:$attribute",
        ),
        peer_distributions("uvicorn", "httptools", "uvloop", "a2wsgi"),
        frozenset({WSGI}),
    ),
    Server(
        "hublet tls",
        ("$python", "-m", "hublet", "$app", "--bind", "$host:$port", *CERTIFICATE),
        hublet_distributions("hublet", "gevent"),
        frozenset({TLS}),
    ),
    Server(
        "gunicorn gevent tls",
        gunicorn("gevent", *GUNICORN_MANY, *CERTIFICATE),
        peer_distributions("gunicorn", "gevent"),
        frozenset({TLS}),
    ),
    Server(
        "gevent.pywsgi tls",
        (
            "$peers", "-m", "loadtests.bench.apps.pywsgi", "$app", "$host", "$port",
            "$directory/cert.pem", "$directory/key.pem",
        ),
        peer_distributions("gevent"),
        frozenset({TLS}),
    ),
    Server(
        "granian tls",
        (
            *GRANIAN, *ONE_THREAD, "--ssl-certificate", "$directory/cert.pem", "--ssl-keyfile", "$directory/key.pem",
            "$app",
        ),
        peer_distributions("granian"),
        frozenset({TLS}),
    ),
    Server(
        "gunicorn gthread tls",
        gunicorn("gthread", "--threads", "64", *GUNICORN_MANY, *CERTIFICATE),
        peer_distributions("gunicorn"),
        frozenset({TLS}),
    ),
    Server(
        "nginx",
        ("nginx", "-p", "$directory", "-e", "stderr", "-c", "$directory/nginx.conf"),
        program("nginx", "-v"),
        frozenset({FILES}),
        {"nginx.conf": NGINX_CONF},
    ),
)  # fmt: skip
