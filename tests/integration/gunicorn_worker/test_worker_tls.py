"""TLS under gunicorn: its options and its hook for our server, and the application's own requests over TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tests.servers.tls.authority import Authority

from .process import Gunicorn, gunicorn

HOOK = """
import ssl
def ssl_context(conf, default_ssl_context_factory):
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
"""


def ask(served: Gunicorn, context: ssl.SSLContext, path: str = "/") -> tuple[bytes, str | None, str | None]:
    """One request over TLS: the response, the protocol of TLS, and that of ALPN."""
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while part := client.recv(1 << 16):
            answer += part
        return answer, client.version(), client.selected_alpn_protocol()


def test_tls_client_certificates_and_the_context_hook(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", "127.0.0.1")
    mine = authority.issue("mine", client=True)
    options = ("--certfile", certificate, "--keyfile", key, "--ca-certs", authority.certificate, "--cert-reqs", "2")
    stranger = ssl.create_default_context(cafile=authority.certificate)
    stranger.set_alpn_protocols(["http/1.1"])
    with gunicorn(tmp_path, *options, configuration=HOOK) as served:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            ask(served, stranger)
        stranger.load_cert_chain(*mine)
        answer, version, protocol = ask(served, stranger, "/environ?wsgi.url_scheme")
        assert answer.endswith(b"\r\nhttps")
        assert (version, protocol) == ("TLSv1.3", "http/1.1")


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_the_applications_own_requests_over_tls_work(tmp_path: Path, options: tuple[str, ...]) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("server", "127.0.0.1")
    with gunicorn(tmp_path, *options, "--certfile", certificate, "--keyfile", key) as served:
        context = ssl.create_default_context(cafile=authority.certificate)
        answer, _, _ = ask(served, context, f"/fetch?https://127.0.0.1:{served.port}/environ?PATH_INFO")
        assert answer.endswith(b"/environ")
        for trouble in ("MonkeyPatchWarning", "RecursionError", "too early", "Traceback"):
            assert trouble not in served.log
