"""Handshakes: peers that are slow, wrong or gone, client certificates, names, and certificates that change."""

from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.conftest import GET, Served, wait_until
from tests.servers.tls.authority import Authority, openssl
from tests.servers.tls.client import Truncated
from tests.servers.tls.conftest import Connect, Files, Secure


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_plain_http_is_told_that_this_port_speaks_tls(secure: Secure, method: str) -> None:
    served = secure()
    client = served.connect()
    response = client.get(method=method)
    assert (response.status, b"speaks TLS" in response.body) == (400, True)
    client.expect_end()
    client.close()
    served.until(connections=0, rejected=1)


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"\x16\x03\x01\0\x05hello", b"\x80" * 100, b"ssh-2.0\r\n"], ids=repr)
def test_garbage_is_answered_with_an_alert(secure: Secure, garbage: bytes) -> None:
    served = secure()
    client = served.connect().send(garbage)
    served.until(connections=0, failed_handshakes=1)
    try:
        assert client.rest()[:1] in (b"", b"\x15")  # RFC 8446 section 5.1
    except ConnectionResetError:
        pass
    assert served.log == ""


@pytest.mark.parametrize(
    "sent", [b"", client_hello()[:50], client_hello()], ids=["nothing", "a part", "the first flight"]
)
@pytest.mark.parametrize("how", ["close", "reset", "wait"])
def test_peers_that_do_not_finish_their_handshake(secure: Secure, sent: bytes, how: str) -> None:
    served = secure(handshake_timeout=0.05 if how == "wait" else 10)
    client = served.connect().send(sent)
    served.until(connections=1)
    if how == "wait":
        served.until(connections=0, failed_handshakes=1, timed_out=1)
    else:
        getattr(client, how)()
        served.until(connections=0, failed_handshakes=1)


def test_a_handshake_in_segments_of_one_byte(secure: Secure, connect: Connect, files: Files) -> None:
    served = secure()
    plain = served.connect().send_bytewise(client_hello())
    wait_until(lambda: not plain.is_silent())
    assert connect(served).get().status == 200


def test_a_chain_that_does_not_fit_the_socket_buffers(
    secure: Secure, connect: Connect, files: Files, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_text(Path(files.server[0]).read_text() + 60 * Path(files.authority.certificate).read_text())
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    served = secure(arguments={"listener": listener}, certfile=str(chain))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = files.trusting()
        context.maximum_version = version
        assert connect(served, context, receive_buffer=2048).get().status == 200


def test_a_stop_does_not_wait_for_handshakes(secure: Secure) -> None:
    served = secure()
    client = served.connect().send(client_hello()[:50])
    served.until(connections=1)
    served.server.stop(5)
    assert client.rest() == b""
    assert served.server.statistics().connections == 0


def test_the_session_ticket_waits_for_no_request(secure: Secure, connect: Connect) -> None:
    client = connect(secure())
    wait_until(lambda: not client.is_silent(), "the ticket")


def test_a_ticket_goes_with_the_answer_to_a_request_that_came_with_the_handshake(
    secure: Secure, connect: Connect
) -> None:
    served = secure()
    first = connect(served, first=GET)
    first.tls.receive()  # once
    assert first.response().status == 200
    second = connect(served, first.tls.context, session=first.tls.tls.session)
    assert second.tls.tls.session_reused


@pytest.mark.parametrize("size", [10, len(GET)], ids=["a part", "a request"])
def test_it_does_not_wait_for_an_answer_that_takes_its_time(secure: Secure, connect: Connect, size: int) -> None:
    answer = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answer.wait()
        start_response("200 OK", [])
        return [b"late"]

    client = connect(secure(app), first=GET[:size])
    wait_until(lambda: not client.is_silent(), "the ticket")
    answer.set()
    client.send(GET[size:])
    assert client.response().body == b"late"


def test_sessions_are_resumed(secure: Secure, connect: Connect, files: Files) -> None:
    served = secure()
    first = connect(served)
    assert first.get().status == 200
    second = connect(served, first.tls.context, session=first.tls.tls.session)
    assert (first.tls.tls.session_reused, second.tls.tls.session_reused) == (False, True)


# Client certificates.


def lines_of(client: Any) -> dict[str, str]:
    text = client.get().body.decode()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_a_client_certificate_is_in_the_environ(secure: Secure, connect: Connect, files: Files) -> None:
    served = secure(client_certificates="required", ca_certs=files.authority.certificate)
    lines = lines_of(connect(served, files.trusting(files.client)))
    assert lines["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert lines["SSL_CLIENT_S_DN"] == r"CN=alice,O=Ex\, Ample,C=GB"
    assert (lines["SSL_CLIENT_S_DN_CN"], lines["SSL_CLIENT_I_DN"]) == ("alice", "CN=authority")
    serial = openssl("x509", "-in", files.client[0], "-noout", "-serial").strip().partition("=")[2]
    assert lines["SSL_CLIENT_M_SERIAL"] == serial
    assert lines["SSL_CLIENT_CERT"] == "-----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_a_client_without_a_certificate(secure: Secure, connect: Connect, files: Files, mode: str) -> None:
    served = secure(client_certificates=mode, ca_certs=files.authority.certificate)
    if mode == "optional":
        lines = lines_of(connect(served))
        assert lines["SSL_CLIENT_VERIFY"] == "NONE"
        assert "SSL_CLIENT_S_DN" not in lines
    else:
        assert_turned_away(served, connect, files.trusting())


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_a_certificate_of_another_authority(
    secure: Secure, connect: Connect, files: Files, tmp_path: Path, mode: str
) -> None:
    served = secure(client_certificates=mode, ca_certs=files.authority.certificate)
    stranger = Authority(tmp_path, "stranger").issue("mallory", client=True)
    assert_turned_away(served, connect, files.trusting(stranger))


def assert_turned_away(served: Served, connect: Connect, context: ssl.SSLContext) -> None:
    with pytest.raises((ssl.SSLError, Truncated, ConnectionError)):  # TLS 1.3: the client has finished before
        connect(served, context).get()
    served.until(connections=0, failed_handshakes=1, requests=0)


# Several certificates.


@pytest.fixture
def names(files: Files, tmp_path: Path) -> dict[str, tuple[str, str]]:
    shop = files.authority.issue("shop", "shop.example", "www.shop.example")
    wild = files.authority.issue("wild", "*.wild.example")
    return {"shop": shop, "wild": wild}


@pytest.mark.parametrize(
    "asked, expected",
    [
        ("shop.example", "shop.example"),
        ("WWW.Shop.example", "shop.example"),
        ("a.wild.example", "*.wild.example"),
        ("a.b.wild.example", "localhost"),
        ("other.example", "localhost"),
        (None, "localhost"),
    ],
)
def test_the_certificate_is_that_of_the_name_asked_for(
    secure: Secure, connect: Connect, files: Files, names: dict[str, tuple[str, str]], asked: str | None, expected: str
) -> None:
    served = secure(certificate=(":".join(names["shop"]), ":".join(names["wild"])))
    context = files.trusting()
    context.check_hostname = False
    client = connect(served, context, asked)
    assert expected in client.server_names()
    assert client.get().status == 200


def test_the_first_of_several_certificates_is_the_default(
    serve: Any, connect: Connect, files: Files, names: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_text("".join(Path(path).read_text() for path in names["wild"]))
    served = serve(lambda *_: [], certificate=(str(both), ":".join(names["shop"])))
    context = files.trusting()
    context.check_hostname = False
    assert connect(served, context, "other.example").server_names() == {"*.wild.example"}
    assert connect(served, context, "shop.example").server_names() == {"shop.example", "www.shop.example"}


# Certificates that change.


def test_new_certificates_are_used_from_then_on_and_nobody_notices(
    secure: Secure, connect: Connect, files: Files, tmp_path: Path
) -> None:
    certificate, key = shutil.copy(files.server[0], tmp_path), shutil.copy(files.server[1], tmp_path)
    served = secure(certfile=str(certificate), keyfile=str(key))
    before = connect(served)
    renewed = files.authority.issue("renewed", "localhost", "renewed.example")
    done = False
    served_requests = 0

    def load() -> None:
        nonlocal served_requests
        while not done:
            client = connect(served)
            for _ in range(3):
                assert client.get().status == 200
                served_requests += 1
            client.close()

    loads = [gevent.spawn(load) for _ in range(4)]
    wait_until(lambda: served_requests > 10)
    shutil.copy(renewed[0], certificate)
    assert served.server.reload_certificates() is False  # the key is still the old one's
    assert "the certificates in use stay" in served.log
    assert "is not the private key of the certificate in" in served.log
    assert "renewed.example" not in connect(served).server_names()
    shutil.copy(renewed[1], key)
    assert served.server.reload_certificates() is True
    reached = served_requests + 10
    wait_until(lambda: served_requests > reached)
    done = True
    gevent.joinall(loads, raise_error=True)
    assert "renewed.example" in connect(served).server_names()
    assert before.get().status == 200
    assert served.server.statistics().failed_handshakes == 0
