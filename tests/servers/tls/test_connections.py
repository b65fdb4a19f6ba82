"""Everything that plain connections do, encrypted: requests in pieces, bodies both ways, slow peers, and the end."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from hublet.runtime import limits

from tests.conftest import GET, CutShort, Serving, wait_until
from tests.servers.http1.apps import BIG, MIB, Tracked, answering
from tests.servers.tls.client import TlsClient, Truncated
from tests.servers.tls.conftest import Connect, Files, Secure
from tests.servers.websocket.peer import narrow

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with the request body, piece by piece."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: environ["wsgi.input"].read(50_000), b"")


def whole(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"%d" % len(environ["wsgi.input"].read())]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_requests_know_that_they_are_encrypted(
    secure: Secure, connect: Connect, files: Files, version: ssl.TLSVersion
) -> None:
    context = files.trusting()
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = connect(secure(), context)
    for _ in range(2):  # on one connection
        response = client.get()
        lines = dict(line.split("=", 1) for line in response.body.decode().splitlines())
        assert response["X-Scheme"] == "https"
        assert (lines["HTTPS"], lines["SSL_CLIENT_VERIFY"]) == ("on", "NONE")
        assert lines["SSL_PROTOCOL"] == client.tls.tls.version()
        assert lines["SSL_CIPHER"] == (client.tls.tls.cipher() or [""])[0]
    assert client.tls.tls.selected_alpn_protocol() == "http/1.1"


def test_older_versions_are_refused(secure: Secure, files: Files, connect: Connect) -> None:
    context = files.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    served = secure()
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        connect(served, context)
    served.until(connections=0, failed_handshakes=1)


def test_pipelined_requests_in_one_record(secure: Secure, connect: Connect) -> None:
    client = connect(secure()).send(GET * 50)
    assert {response.status for response in client.responses(50)} == {200}


def test_a_request_in_records_of_one_byte(secure: Secure, connect: Connect) -> None:
    client = connect(secure(whole))
    client.send_bytewise(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + GET)
    assert [response.body for response in client.responses(2)] == [b"3", b"0"]


def test_records_in_segments_of_one_byte(secure: Secure, connect: Connect) -> None:
    client = connect(secure(whole))
    client.tls.tls.write(GET)
    for byte in client.tls.outgoing.read():
        client.tls.plain.sendall(bytes([byte]))
        gevent.idle()
    assert client.response().body == b"0"


@pytest.mark.parametrize(
    "take", [whole, echo, lambda *_: answering(lambda: [b"unread"])(*_)], ids=["all", "some", "none"]
)
@pytest.mark.parametrize("size", [1, 4000, 16384, 40_000])
def test_what_follows_a_body_in_its_record_is_not_forgotten(
    secure: Secure, connect: Connect, take: Any, size: int
) -> None:
    client = connect(secure(take))
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    for _ in range(3):
        client.send(post + GET + post)
        assert {response.status for response in client.responses(3)} == {200}


def test_lines_of_a_body_are_read_as_they_come(secure: Secure, connect: Connect) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"%d" % sum(1 for _ in environ["wsgi.input"])]

    client = connect(secure(app))
    assert client.get(method="POST", body=b"line\n" * 30_000).body == b"30000"


def test_a_body_is_invited(secure: Secure, connect: Connect) -> None:
    client = connect(secure(whole))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert client.response().status == 100
    assert client.send(b"ab").response().body == b"2"


def test_large_bodies_in_both_directions_at_once(secure: Secure, connect: Connect) -> None:
    client = connect(secure(echo))
    sender = gevent.spawn(client.send, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)
    assert client.response().body == BIG
    sender.get()
    client.expect_end()  # so much was unread when the response began that the connection could not be kept


def test_pieces_that_are_smaller_than_a_record(secure: Secure, connect: Connect) -> None:
    pieces = [b"%d" % number * 20_000 for number in range(10)]
    assert connect(secure(answering(lambda: pieces))).get().body == b"".join(pieces)


def test_a_file(secure: Secure, connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(BIG)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    client = connect(secure(app))
    for _ in range(2):
        response = client.get()
        assert (response["Content-Length"], response.body == BIG) == (str(len(BIG)), True)


# Slow peers.


def test_a_reader_that_takes_nothing_is_closed_after_the_write_timeout(secure: Secure, connect: Connect) -> None:
    body = Tracked(BIG, BIG)
    served = secure(answering(lambda: body), write_timeout=0.1)
    client = connect(served, receive_buffer=4096).send(GET)
    served.until(connections=0, timed_out=1)
    assert (body.closed, served.log) == (1, "")
    with pytest.raises(CutShort):
        client.response()


def test_a_reader_that_stops_holds_up_nobody_else(secure: Secure, connect: Connect) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [BIG] if environ["PATH_INFO"] == "/big" else []

    served = secure(app)
    slow = connect(served, receive_buffer=4096)
    slow.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: served.server.statistics().in_flight == 1)
    for _ in range(3):
        assert connect(served).get("/small").status == 200
    assert served.server.statistics().in_flight == 1
    assert slow.response().body == BIG
    assert slow.get("/small").status == 200


def all_in_one_turn(clients: list[TlsClient], request: bytes) -> None:
    """Send a request from each, which the server finds all at once."""
    for client in clients:
        client.tls.tls.write(request)
        client.socket._sock.sendall(client.tls.outgoing.read())


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_answers_that_go_out_together_and_are_taken_in_part(
    secure: Secure,
    connect: Connect,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    version: ssl.TLSVersion,
) -> None:
    """Their rest has been encrypted by then; the application that fails has made what it promised."""
    monkeypatch.setattr(limits, "GATHER_TIME", 3600.0)
    ended = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["PATH_INFO"].encode() * (10_000 // len(environ["PATH_INFO"]))
        start_response("200 OK", [("Content-Length", str(len(body)))])
        yield body
        ended.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/fail":
            raise ValueError("too late")

    context = files.trusting()
    context.maximum_version = version
    served = narrow(secure(app))
    clients = [connect(served, context, receive_buffer=4096) for _ in range(6)]
    for client in clients:
        client.get("/first")
    for path in ("/a", "/b", "/c", "/fail"):
        ended.clear()
        all_in_one_turn(clients, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_until(lambda: len(ended) == 6)
        if path != "/fail":
            served.until(in_flight=6)  # nobody reads, and none of them can be taken whole
        for client in clients:
            assert client.response().body == path.encode() * (10_000 // len(path))
    for client in clients:
        with pytest.raises(Truncated):  # what else the application would have done is not known
            client.expect_end()
    served.until(connections=0, in_flight=0)
    assert served.log.count("ValueError: too late") == 6


# The end.


def test_a_response_that_ends_with_the_connection_ends_with_a_close_notify(secure: Secure, connect: Connect) -> None:
    served = secure(answering(lambda: iter([b"a" * 100_000, b"b"])))
    client = connect(served)
    response = client.get(version="1.0")
    assert (response.framing, len(response.body)) == ("close", 100_001)  # another end would be Truncated
    client.close()
    served.until(connections=0)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize(
    "method, body, make", [("GET", b"abc", list), ("GET", b"", list), ("HEAD", b"", list), ("GET", b"abc", iter)]
)
def test_the_last_bytes_and_the_close_notify_come_together(
    secure: Secure, connect: Connect, files: Files, version: ssl.TLSVersion, method: str, body: bytes, make: Any
) -> None:
    context = files.trusting()
    context.maximum_version = version
    served = secure(answering(lambda: make([body])))
    client = connect(served, context)
    if version is ssl.TLSVersion.TLSv1_3:
        client.tls.receive()  # the ticket
    response = client.get("/", "Connection: close", method=method)
    assert response.body == body
    assert client.tls.plain.recv(100) == b""  # the end of TCP: what came before it is with OpenSSL
    client.expect_end()
    served.until(connections=0)


@pytest.mark.parametrize("pieces", [[BIG], [BIG, b"end"], iter([BIG, b"end"])], ids=["one", "two", "chunks"])
def test_a_large_last_response_is_whole_and_ends_with_a_close_notify(
    secure: Secure, connect: Connect, pieces: Iterable[bytes]
) -> None:
    whole_body = BIG if pieces == [BIG] else BIG + b"end"
    served = secure(answering(lambda: pieces))
    client = connect(served, receive_buffer=4096)
    assert client.get("/", "Connection: close").body == whole_body
    client.expect_end()
    served.until(connections=0)


def test_a_body_is_received_behind_the_last_byte_of_its_answer(secure: Secure, connect: Connect) -> None:
    received = []

    def answer_first(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"early"
        received.append(environ["wsgi.input"].read())

    served = secure(answer_first)
    client = connect(served)
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n")
    assert client.response().body == b"early"
    client.send(b"abc")
    client.expect_end()
    served.until(connections=0)
    assert received == [b"abc"]


def test_a_response_that_is_cut_short_ends_without_one(secure: Secure, connect: Connect) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"part"
        raise LookupError("no more")

    served = secure(answering(pieces))
    client = connect(served)
    with pytest.raises((Truncated, ConnectionResetError, CutShort)):
        client.get(version="1.0")
    client = connect(served)
    client.send(GET)
    with pytest.raises(CutShort):
        client.response()
    with pytest.raises((Truncated, ConnectionResetError)):
        client.rest()
    assert "no more" in served.log


def test_idle_connections_are_told_that_they_end(secure: Secure, connect: Connect) -> None:
    served = secure(keepalive_timeout=0.05)
    client = connect(served)
    assert client.get().status == 200
    client.expect_end()
    client = connect(secure())
    assert client.get("/", "Connection: close").status == 200
    client.expect_end()


@pytest.mark.parametrize("how", ["end", "close", "reset"])
def test_a_peer_that_ends_its_connection(secure: Secure, connect: Connect, how: str) -> None:
    served = secure()
    client = connect(served)
    assert client.get().status == 200
    getattr(client if how == "end" else PlainEnd(client), how)()
    served.until(connections=0)
    if how == "end":
        client.expect_end()


class PlainEnd:
    """Ends a connection without a close_notify."""

    def __init__(self, client: TlsClient) -> None:
        self.close = client.tls.plain.close
        self.client = client

    def reset(self) -> None:
        self.client.socket = self.client.tls.plain
        self.client.reset()


def test_a_client_that_sends_no_more_still_gets_its_answer(secure: Secure, connect: Connect) -> None:
    served = secure(whole)
    client = connect(served)
    client.send(GET)
    client.end()
    assert client.response().body == b"0"
    client.expect_end()
    served.until(connections=0)


def test_a_body_that_ends_early(secure: Secure, connect: Connect) -> None:
    served = secure(whole)
    client = connect(served).send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    client.end()
    assert client.response().status == 400


def test_a_stop_lets_requests_finish_and_ends_the_others(secure: Secure, connect: Connect) -> None:
    served = secure(answering(lambda: gevent.sleep(0.05) or [b"slow"]))
    idle, busy = connect(served), connect(served)
    busy.send(GET)
    served.until(in_flight=1)
    stopping = gevent.spawn(served.server.stop, 5)
    idle.expect_end()
    assert busy.response().body == b"slow"
    busy.expect_end()
    stopping.get()


def test_the_ordinary_errors_are_answered(secure: Secure, connect: Connect) -> None:
    served = secure()
    client = connect(served).send(b"GET / HTTP/1.1\r\n\r\n")
    assert client.response().status == 400
    client.expect_end()


def test_a_pywsgi_server_with_a_context_of_its_own(serve: Serving, files: Files, connect: Connect) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.server)
    served = serve(whole, {"ssl_context": context, "do_handshake_on_connect": False})
    assert connect(served).get().status == 200
    assert served.server.reload_certificates() is False
    served = serve(whole, {"certfile": files.server[0], "keyfile": files.server[1], "cert_reqs": ssl.CERT_NONE})
    assert served.server.reload_certificates() is True
    assert connect(served).get(method="POST", body=b"x" * MIB).body == b"%d" % MIB


def test_contexts_that_cannot_serve_are_refused_at_once(serve: Serving, files: Files) -> None:
    with pytest.raises((ssl.SSLError, ValueError)):
        serve(whole, {"ssl_context": ssl.create_default_context()})
    with pytest.raises(TypeError, match="certfile"):
        serve(whole, {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "certfile": files.server[0]})
