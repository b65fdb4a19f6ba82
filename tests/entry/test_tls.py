"""The command with TLS: its banner, its errors, and certificates that are renewed while it runs."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.entry.conftest import PATIENCE, Start
from tests.servers.tls.authority import Authority

ADDRESS = ("--bind", "127.0.0.1:0", "--certfile", "cert.pem", "--keyfile", "key.pem")
URL = r"listening on (https://\S+)"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    use(authority.issue("first", "127.0.0.1"), tmp_path)
    return authority


def use(certificate: tuple[str, str], folder: Path) -> None:
    for file, name in zip(certificate, ("cert.pem", "key.pem"), strict=True):
        shutil.copy(file, folder / name)


def names(url: str, context: ssl.SSLContext) -> object:
    address = urllib.parse.urlsplit(url)
    with (
        socket.create_connection((address.hostname, address.port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as client,
    ):
        return (client.getpeercert() or {})["subject"]


def test_sighup_reads_the_certificates_again(command: Start, authority: Authority, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=authority.certificate)
    running = command("shop:app", *ADDRESS)
    url = running.wait_for(URL)[1]
    with urllib.request.urlopen(url, timeout=PATIENCE, context=context) as response:
        assert response.read() == b"hello"
    use(authority.issue("second", "127.0.0.1"), tmp_path)
    running.signal(signal.SIGHUP)
    running.wait_for("SIGHUP: the certificates have been read again")
    assert names(url, context) == ((("commonName", "second"),),)
    (tmp_path / "cert.pem").write_text("broken")
    running.signal(signal.SIGHUP)
    running.wait_for("the certificates in use stay, since the new ones cannot be used: certfile = 'cert.pem'")
    assert names(url, context) == ((("commonName", "second"),),)
    assert running.stop() == 0


def test_a_certificate_that_cannot_be_used_is_an_error_of_usage(command: Start) -> None:
    running = command("shop:app", *ADDRESS)
    assert running.wait() == 2
    assert "certfile = 'cert.pem' (from --certfile): cannot be read: No such file" in running.errors
