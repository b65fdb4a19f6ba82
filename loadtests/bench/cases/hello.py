"""Requests for a constant, as fast as 64 keep-alive connections carry them: plain, from a browser, as JSON by Flask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .. import wrk
from ..apps.plain import GREETING
from ..launch import Probe, Running
from ..servers.server import WSGI
from ..stats import Sample
from .case import SERVERS, SUBJECT, Case, Column, Options, Target

CONNECTIONS: Final = 64
WORKER: Final = "gunicorn hublet"  # gunicorn with our worker class

# What Chrome on Linux sends on a navigation, beside Host and Connection.
CHROME: Final = (
    'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site: none",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
)


def obstacle(options: Options) -> str | None:
    """Say what to install where wrk is missing."""
    return None if wrk.is_installed() else wrk.MISSING


def measured_by_wrk(headers: Sequence[str] = (), path: str = "/") -> Callable[[Running, Options], Sample]:
    """Make the measurement of a round whose requests carry these header lines."""

    def measure(server: Running, options: Options) -> Sample:
        wrk.warm_up(server.url(path), CONNECTIONS, options.warm_up, headers)
        result = wrk.run_wrk(server.url(path), CONNECTIONS, options.seconds, headers)
        return {"rate": result.rate, "p50_ms": result.percentiles["50"], "p99_ms": result.percentiles["99"]}

    return measure


COLUMNS: Final = (Column("req/s", "{rate:,.0f}"), Column("p50 ms (approx.)", "{p50_ms:.2f}"),
                  Column("p99 ms (approx.)", "{p99_ms:.2f}"))  # fmt: skip
PROBE: Final = Probe("/", GREETING)

HELLO: Final = Case(
    name="hello",
    title="Hello, World!",
    method="A WSGI callable that answers a constant; wrk, one thread, 64 keep-alive connections.",
    app="loadtests.bench.apps.plain:hello",
    probe=PROBE,
    servers=(SUBJECT, WORKER, *SERVERS[1:]),
    subjects=(SUBJECT, WORKER),
    needs=WSGI,
    measure=measured_by_wrk(),
    columns=COLUMNS,
    primary="rate",
    more_is_better=True,
    targets=(
        Target("Hello, World!, over bjoern", "rate", "at least", 1.0, over="bjoern"),
        Target("Hello, World!, over gunicorn gevent", "rate", "at least", 12.0, over="gunicorn gevent"),
        Target("Our worker, over gunicorn gevent", "rate", "at least", 10.0, over="gunicorn gevent", subject=WORKER),
        Target("Our worker of gunicorn, over hublet", "rate", "at least", 0.9, over=SUBJECT, subject=WORKER),
    ),
    obstacle=obstacle,
)  # fmt: skip

BROWSER: Final = Case(
    name="hello-browser",
    title="Hello, World! to a browser",
    method=f"The same, each request with the {len(CHROME)} header fields that Chrome on Linux sends beside Host.",
    app=HELLO.app,
    probe=PROBE,
    servers=SERVERS,
    needs=WSGI,
    measure=measured_by_wrk(CHROME),
    columns=COLUMNS,
    primary="rate",
    more_is_better=True,
    targets=(Target("Hello, World! to a browser, over bjoern", "rate", "at least", 1.0, over="bjoern"),),
    obstacle=obstacle,
)

FLASK: Final = Case(
    name="flask-json",
    title="Flask JSON",
    method="A Flask view that answers a small object by `jsonify`; wrk, one thread, 64 keep-alive connections. Nearly "
    "all of the work is Flask's. A server that keeps the answers of one turn of its loop and sends them together, as "
    "bjoern and hublet do, wakes wrk less often, which counts here, where both share a machine.",
    app="loadtests.bench.apps.flask_hello:app",
    probe=PROBE,
    servers=SERVERS,
    needs=WSGI,
    measure=measured_by_wrk(path="/json"),
    columns=COLUMNS,
    primary="rate",
    more_is_better=True,
    targets=(Target("Flask JSON, over gunicorn gevent", "rate", "at least", 2.5, over="gunicorn gevent"),),
    obstacle=obstacle,
)
