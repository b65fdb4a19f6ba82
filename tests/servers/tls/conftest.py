"""Certificates, and a way to connect with TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import Served, Serving
from tests.servers.tls.authority import Authority
from tests.servers.tls.client import TlsClient


@dataclass
class Files:
    """The certificates of the tests. Each is the file of the certificate and that of its key."""

    authority: Authority
    server: tuple[str, str]
    client: tuple[str, str]

    @property
    def tls(self) -> dict[str, Any]:
        """The settings of a server for localhost."""
        return {"certfile": self.server[0], "keyfile": self.server[1]}

    def trusting(self, client: tuple[str, str] | None = None) -> ssl.SSLContext:
        """The context of a client that trusts the authority."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if client is not None:
            context.load_cert_chain(*client)
        return context


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    subject = "/C=GB/O=Ex, Ample/CN=alice"
    return Files(
        authority,
        authority.issue("server", "localhost", "127.0.0.1"),
        authority.issue("client", subject=subject, client=True),
    )


def echo_environ(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("X-Scheme", environ["wsgi.url_scheme"])])
    return [f"{name}={environ[name]}\n".encode() for name in sorted(environ) if name.startswith(("SSL_", "HTTPS"))]


Secure = Callable[..., Served]
Connect = Callable[..., TlsClient]


@pytest.fixture
def secure(serve: Serving, files: Files) -> Secure:
    """Serve an application, by default one that answers with its environ, on localhost with TLS."""

    def start(app: Any = echo_environ, arguments: dict[str, Any] | None = None, **settings: Any) -> Served:
        return serve(app, arguments, **{**files.tls, **settings})

    return start


@pytest.fixture
def connect(files: Files) -> Connect:
    """Connect to a server: `connect(served, context, name, receive_buffer=0)`."""

    def start(served: Served, context: ssl.SSLContext | None = None, *arguments: Any, **options: Any) -> TlsClient:
        return TlsClient(served, context or files.trusting(), *arguments, **options)

    return start
