"""The servers of HTTP, most of which run WSGI applications."""

from __future__ import annotations

from typing import Final

from .server import FILES, TLS, WSGI, YIELDS, Server, distributions, program


def gunicorn(worker: str, *options: str) -> tuple[str, ...]:
    """Write gunicorn's command for a class of workers."""
    return (
        "$python", "-m", "gunicorn", "--worker-class", worker, "--workers", "1", "--bind", "$host:$port",
        "--no-control-socket", "--log-level", "error", *options, "$app",
    )  # fmt: skip


# Defaults meant for production are kept, except where a server would refuse the load itself: gunicorn takes 1,000
# connections and ends idle ones after 2 s unless told otherwise.
GUNICORN_MANY: Final = ("--worker-connections", "19000", "--keep-alive", "300", "--timeout", "300")
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
        distributions("hublet", "gevent"),
        frozenset({WSGI, YIELDS, FILES}),
    ),
    Server(
        "hublet 2 workers",
        # Not on the one core that servers are started on.
        ("taskset", "-c", "0,1", "$python", "-m", "hublet", "$app", "--bind", "$host:$port", "--workers", "2"),
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
        "hublet tls",
        ("$python", "-m", "hublet", "$app", "--bind", "$host:$port", *CERTIFICATE),
        distributions("hublet", "gevent"),
        frozenset({TLS}),
    ),
    Server(
        "gunicorn gevent tls",
        gunicorn("gevent", *GUNICORN_MANY, *CERTIFICATE),
        distributions("gunicorn", "gevent"),
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
