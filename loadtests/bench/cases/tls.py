"""The constant over TLS: on connections that are kept, and with a connection for each request."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .. import wrk
from ..launch import ANSWER_SECONDS, HOST, Probe, Running
from ..servers.server import TLS
from ..stats import Sample
from .case import Case, Column, Options, Target
from .hello import COLUMNS, CONNECTIONS, HELLO, PROBE

SUBJECT: Final = "hublet tls"


def get(port: int, path: str) -> tuple[int, bytes]:
    """Fetch a path over TLS: its status and body. Whose certificate it is does not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(HOST, port, timeout=ANSWER_SECONDS, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def obstacle(options: Options) -> str | None:
    """Say what to install where wrk or openssl is missing."""
    if shutil.which("openssl") is None:
        return "openssl is not installed, which makes the certificate"
    return None if wrk.is_installed() else wrk.MISSING


def prepare_certificate(options: Options, directory: Path) -> None:
    """Make a key on the curve that most certificates have now, and a certificate for it."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"), "-days", "7",
            "-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}",
        ],
        check=True, capture_output=True,
    )  # fmt: skip


def measured_by_wrk(headers: Sequence[str] = ()) -> Callable[[Running, Options], Sample]:
    """Make the measurement of a round whose requests carry these header lines."""

    def measure(server: Running, options: Options) -> Sample:
        url = f"https://{HOST}:{server.port}/"
        wrk.warm_up(url, CONNECTIONS, options.warm_up, headers)
        before = server.processor_seconds()
        result = wrk.run_wrk(url, CONNECTIONS, options.seconds, headers)
        return {
            "rate": result.rate,
            "p50_ms": result.percentiles["50"],
            "p99_ms": result.percentiles["99"],
            "processor_us": (server.processor_seconds() - before) / result.requests * 1e6,
        }

    return measure


KEPT: Final = Case(
    name="tls",
    title="Hello, World! over TLS",
    method="As the first, over TLS 1.3 with a P-256 certificate.",
    app=HELLO.app,
    probe=Probe(PROBE.path, PROBE.body, ask=get),
    servers=(SUBJECT, "gunicorn gevent tls", "gevent.pywsgi tls", "granian tls", "gunicorn gthread tls"),
    subjects=(SUBJECT,),
    needs=TLS,
    measure=measured_by_wrk(),
    columns=COLUMNS,
    primary="rate",
    more_is_better=True,
    targets=(
        Target("Over TLS, over gunicorn gevent", "rate", "at least", 2.0, over="gunicorn gevent tls", subject=SUBJECT),
    ),
    obstacle=obstacle,
    prepare=prepare_certificate,
)

FRESH: Final = Case(
    name="tls-handshakes",
    title="A TLS connection for each request",
    method=(
        "The same with `Connection: close`: each request is a handshake, in which wrk resumes its last session by the "
        "server's ticket. wrk's half of it costs more than a server's, so that wrk is the bottleneck; "
        "servers are compared by what they compute for a connection, most of which is OpenSSL's."
    ),
    app=HELLO.app,
    probe=KEPT.probe,
    servers=KEPT.servers,
    subjects=(SUBJECT,),
    needs=TLS,
    measure=measured_by_wrk(("Connection: close",)),
    columns=(Column("processor µs", "{processor_us:.0f}"), *COLUMNS),
    primary="processor_us",
    more_is_better=False,
    targets=(
        Target(
            "New TLS connections, over gunicorn gevent",
            "processor_us",
            "at least",
            2.0,
            over="gunicorn gevent tls",
            subject=SUBJECT,
        ),
    ),
    obstacle=obstacle,
    prepare=prepare_certificate,
)
