"""Trusted proxies: who is one, which element is the client's, what the environ becomes, and what strangers lose."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gevent import socket
from hublet.runtime import limits
from hublet.runtime.errors import RequestRejected, SettingsError
from hublet.servers.access_log import AccessLog
from hublet.servers.proxies import FIELDS, TrustedProxies
from hublet.servers.server import WSGIServer
from hublet.servers.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import GET, Client, Serving

Environ = dict[str, Any]
PEER = "127.0.0.1"
SHOWN = ("REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")


def environ_of(**fields: str) -> Environ:
    """What a listener on 127.0.0.1:8000 makes of a request with these fields, `for_` being X-Forwarded-For."""
    environ = {
        "REMOTE_ADDR": PEER, "REMOTE_PORT": "5000", "wsgi.url_scheme": "http", "HTTP_HOST": "app.example",
        "SERVER_NAME": PEER, "SERVER_PORT": "8000", "SCRIPT_NAME": "", "PATH_INFO": "/",
    }  # fmt: skip
    for name, value in fields.items():
        environ["HTTP_FORWARDED" if name == "forwarded" else f"HTTP_X_FORWARDED_{name.strip('_').upper()}"] = value
    return environ


def applied(
    *entries: str, peer: str = PEER, max_hops: int = 10, names: tuple[str, ...] = FIELDS, **fields: Any
) -> Environ:
    """The environ after it; without entries the default ones are trusted."""
    environ = environ_of(**fields)
    given: Any = {"entries": entries} if entries else {}
    TrustedProxies(fields=names, max_hops=max_hops, **given).apply(environ, peer)
    return environ


def client(*entries: str, **fields: Any) -> str:
    """The client's address."""
    address: str = applied(*entries, **fields)["REMOTE_ADDR"]
    return address


# --- Who is trusted ---


@pytest.mark.parametrize(
    ("entries", "trusted", "others"),
    [
        ((), [], ["127.0.0.1", "::1", ""]),
        (("127.0.0.1",), ["127.0.0.1", "::ffff:127.0.0.1"], ["127.0.0.2", "::1", ""]),
        (("10.0.0.0/8",), ["10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"], ["9.255.255.255", "11.0.0.0", ""]),
        (("2001:db8::/32",), ["2001:db8::1", "2001:db8:ffff::"], ["2001:db9::", "10.0.0.1"]),
        (("unix",), [""], ["127.0.0.1"]),
        (("*",), ["192.0.2.1", "::1", "", "a-name"], []),
        (("0.0.0.0/0", "unix"), ["192.0.2.1", ""], ["::1", "a-name"]),
    ],
)
def test_who_is_trusted(entries: tuple[str, ...], trusted: list[str], others: list[str]) -> None:
    proxies = TrustedProxies(entries)
    for _ in range(2):  # the second time from memory
        assert [each for each in trusted + others if proxies.is_trusted(each)] == trusted


def test_by_default_proxies_on_this_machine_are() -> None:
    proxies = TrustedProxies()
    assert [each for each in ("127.0.0.1", "::1", "", "127.0.0.2", "10.0.0.1") if proxies.is_trusted(each)] == [
        "127.0.0.1", "::1", "",
    ]  # fmt: skip


def test_peers_are_remembered_up_to_a_bound() -> None:
    proxies = TrustedProxies()
    for number in range(2 * limits.PEERS_REMEMBERED + 1):
        assert not proxies.is_trusted(f"10.0.{number >> 8}.{number & 255}")
        assert len(proxies._peers) <= limits.PEERS_REMEMBERED
    assert proxies.is_trusted(PEER)


@pytest.mark.parametrize(
    "entry",
    ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.256", "Unix", "unix:/run/x", "::ffff:10.0.0.1", "10.", "**"],
)
def test_what_is_no_entry(entry: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies = .*(unix|IPv4 address)"):
        Settings(trusted_proxies=(entry,))


def test_other_settings() -> None:
    Settings(trusted_proxies=(), proxy_fields=(), max_proxy_hops=1)
    Settings(proxy_fields=("X-Forwarded-For",))
    with pytest.raises(SettingsError, match="proxy_fields = 'x-real-ip'.*must be one of x-forwarded-for"):
        Settings(proxy_fields=("x-real-ip",))
    with pytest.raises(SettingsError, match="max_proxy_hops = 0"):
        Settings(max_proxy_hops=0)


# --- Strangers ---


def test_fields_of_strangers_are_removed_and_counted() -> None:
    proxies = TrustedProxies()
    fields = {"for_": "1.1.1.1", "user": "root", "ssl": "on", "forwarded": "for=1.1.1.1", "host": "!"}
    environ = environ_of(**fields)
    proxies.apply(environ, "192.0.2.1")
    assert environ == environ_of()
    assert proxies.untrusted_fields == 5


def test_strangers_are_reported_once() -> None:
    notes: list[str] = []
    proxies = TrustedProxies(report=lambda _environ, _error, note: notes.append(note))
    proxies.apply(environ_of(for_="1.1.1.1"), "192.0.2.1")
    proxies.apply(environ_of(for_="1.1.1.1"), "192.0.2.2")
    (note,) = notes
    assert "'X-Forwarded-For' of 192.0.2.1" in note
    assert "--trusted-proxies 192.0.2.1 " in note


# --- The client ---


@pytest.mark.parametrize(
    ("field", "address", "port"),
    [
        ("203.0.113.9", "203.0.113.9", ""),
        ("203.0.113.9:4711", "203.0.113.9", "4711"),
        ("[2001:DB8::9]:4711", "2001:db8::9", "4711"),
        ("2001:db8::9", "2001:db8::9", ""),
        ("::ffff:203.0.113.9", "203.0.113.9", ""),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9", ""),
        ('"; garbage,,203.0.113.9', "203.0.113.9", ""),
        ("6.6.6.6,203.0.113.9 , 10.0.0.2,\t10.0.0.1", "203.0.113.9", ""),
        ("6.6.6.6, 203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9", ""),
        ("10.0.0.3, 10.0.0.2, 127.0.0.1", "10.0.0.3", ""),
        ("unknown", "", ""),
        ("6.6.6.6, _hidden, 10.0.0.1", "", ""),
        ("", PEER, "5000"),
        (" ", PEER, "5000"),
    ],
)
def test_x_forwarded_for(field: str, address: str, port: str) -> None:
    environ = applied("127.0.0.1", "10.0.0.0/8", for_=field)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (address, port)
    assert environ["HTTP_X_FORWARDED_FOR"] == field
    assert {key: environ[key] for key in SHOWN[2:]} == {key: environ_of()[key] for key in SHOWN[2:]}


def test_anybody_may_connect_but_elements_are_skipped_by_their_address_only() -> None:
    assert client("*", for_="6.6.6.6, 203.0.113.9", peer="198.51.100.1") == "203.0.113.9"
    assert client("*", "10.0.0.0/8", for_="6.6.6.6, 203.0.113.9, 10.0.0.1", peer="198.51.100.1") == "203.0.113.9"
    assert client("0.0.0.0/0", for_="6.6.6.6, 203.0.113.9", max_hops=1) == "203.0.113.9"
    assert client("0.0.0.0/0", for_="6.6.6.6, 203.0.113.9, 198.51.100.1", max_hops=2) == "203.0.113.9"


@pytest.mark.parametrize("kind", ["for_", "forwarded"])
@pytest.mark.parametrize("hops", [1, 2, 9, 10, 11])
def test_so_many_elements_are_looked_at(kind: str, hops: int) -> None:
    chain = [f"10.0.0.{number}" for number in range(30, 0, -1)]
    field = ", ".join(chain if kind == "for_" else [f"for={each}" for each in chain])
    assert client("127.0.0.1", "10.0.0.0/8", max_hops=hops, **{kind: field}) == f"10.0.0.{hops}"


@pytest.mark.parametrize(
    "field", ["x", "203.0.113.9,", ",", "203.0.113.9, x", "x, 127.0.0.1", "203.0.113.9;127.0.0.1", "localhost"]
)
def test_a_malformed_address_of_a_trusted_proxy_is_refused(field: str) -> None:
    with pytest.raises(RequestRejected, match="X-Forwarded-For: .* cannot be understood") as caught:
        applied(for_=field)
    assert caught.value.status == 400


ADDRESSES = st.one_of(st.ip_addresses().map(str), st.sampled_from(["10.0.0.1", "10.0.0.2", "127.0.0.1", "unknown"]))


@given(st.text(st.characters(max_codepoint=255)), st.lists(ADDRESSES, min_size=1, max_size=6))
def test_what_a_client_writes_changes_nothing(forged: str, chain: list[str]) -> None:
    chain = ["203.0.113.9", *chain]  # what the outermost proxy, which is ours, saw and wrote
    assert client("127.0.0.1", "10.0.0.0/8", for_=", ".join(chain)) == client(
        "127.0.0.1", "10.0.0.0/8", for_=", ".join([forged, *chain])
    )


# --- Scheme, host, port and prefix ---


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"proto": "https"}, ("https", "app.example", "app.example", "443")),
        ({"proto": "WSS"}, ("https", "app.example", "app.example", "443")),
        ({"proto": "http"}, ("http", "app.example", "app.example", "80")),
        ({"ssl": "on"}, ("https", "app.example", "app.example", "443")),
        ({"ssl": "on", "proto": "https"}, ("https", "app.example", "app.example", "443")),
        ({"host": "site.example"}, ("http", "site.example", "site.example", "80")),
        ({"host": "site.example:8080"}, ("http", "site.example:8080", "site.example", "8080")),
        ({"host": "[2001:db8::1]:81"}, ("http", "[2001:db8::1]:81", "2001:db8::1", "81")),
        ({"port": "8443", "proto": "https"}, ("https", "app.example:8443", "app.example", "8443")),
        ({"port": "443", "proto": "https"}, ("https", "app.example", "app.example", "443")),
        ({"port": "443"}, ("http", "app.example:443", "app.example", "443")),
        ({"port": "443", "host": "site.example:8443", "proto": "https"},
         ("https", "site.example:8443", "site.example", "8443")),
        ({"port": "81", "host": "[::1]"}, ("http", "[::1]:81", "::1", "81")),
        ({"proto": " ", "host": "", "port": "", "ssl": ""}, ("http", "app.example", PEER, "8000")),
    ],
)  # fmt: skip
def test_scheme_host_and_port(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    environ = applied(**fields)
    assert tuple(environ[key] for key in SHOWN[2:6]) == expected
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (PEER, "5000")


def test_a_request_without_host_keeps_the_listeners_name() -> None:
    environ = environ_of(proto="https")
    del environ["HTTP_HOST"]
    TrustedProxies().apply(environ, PEER)
    assert (environ["wsgi.url_scheme"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("https", PEER, "8000")
    assert "HTTP_HOST" not in environ


def test_the_prefix() -> None:
    environ = applied(prefix="/shop")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", "/")
    assert applied(prefix="/")["SCRIPT_NAME"] == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [("proto", "ftp"), ("ssl", "yes"), ("host", "a/b"), ("host", "a,"), ("port", "0"), ("port", "65536"),
     ("prefix", "//a"), ("prefix", "/a/"), ("forwarded", "for=1.2.3.4:80"), ("forwarded", "for=x"),
     ("forwarded", "proto=ftp"),
     ("forwarded", 'host="a/b"'), ("forwarded", 'for="')],
)  # fmt: skip
def test_malformed_fields_of_a_trusted_proxy_are_refused_and_reported(field: str, value: str) -> None:
    notes: list[str] = []
    environ = environ_of(**{field: value})
    with pytest.raises(RequestRejected) as caught:
        TrustedProxies(report=lambda _environ, _error, note: notes.append(note)).apply(environ, PEER)
    assert caught.value.status == 400
    assert notes == [f"{caught.value.reason} (from the trusted proxy 127.0.0.1)"]


def test_contradicting_schemes_are_refused() -> None:
    with pytest.raises(RequestRejected, match="X-Forwarded-Proto says http and X-Forwarded-Ssl https"):
        applied(proto="http", ssl="on")


def test_lists_are_read_where_the_client_is() -> None:
    hops: dict[str, Any] = {"for_": "6.6.6.6, 203.0.113.9, 10.0.0.1"}

    def host(value: str) -> str:
        seen: str = applied("127.0.0.1", "10.0.0.1", host=value, **hops)["HTTP_HOST"]
        return seen

    assert host("evil.example, site.example, inner.example") == "site.example"
    assert host("site.example, inner.example") == "site.example"
    assert host("site.example") == "site.example"
    assert applied(host="evil.example, site.example")["HTTP_HOST"] == "site.example"
    assert applied(proto="http,https")["wsgi.url_scheme"] == "https"
    hops["for_"] = "203.0.113.9, 10.0.0.1, 10.0.0.1"
    with pytest.raises(RequestRejected, match="it has 2 elements, and the client is 3 hops away"):
        host("evil.example, site.example")


# --- Forwarded, and which kind counts ---


def test_forwarded() -> None:
    field = (
        'for=6.6.6.6, for="[2001:db8::9]:4711";proto=https;host="site.example:8443", For=10.0.0.1;proto=http;host=inner'
    )
    environ = applied("127.0.0.1", "10.0.0.1", forwarded=field, prefix="/shop")
    assert [environ[key] for key in SHOWN] == [
        "2001:db8::9", "4711", "https", "site.example:8443", "site.example", "8443", "/shop",
    ]  # fmt: skip
    assert environ["HTTP_FORWARDED"] == field


def test_forwarded_without_a_word_on_the_client() -> None:
    environ = applied(forwarded="proto=https")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (PEER, "https")
    assert client(forwarded="for=unknown") == client(forwarded='for="_x"') == ""
    assert applied(forwarded=" , ", prefix="/a")["SCRIPT_NAME"] == "/a"


@pytest.mark.parametrize(
    "rival", [{"for_": "203.0.113.9"}, {"proto": "https"}, {"host": "a"}, {"port": "81"}, {"ssl": "on"}]
)
def test_x_forwarded_wins_and_forwarded_is_removed(rival: dict[str, Any]) -> None:
    environ = applied(forwarded="for=6.6.6.6;host=evil.example", **rival)
    assert environ == applied(**rival)
    assert "HTTP_FORWARDED" not in environ


def test_only_the_fields_that_proxies_are_said_to_set_are_heeded() -> None:
    fields: dict[str, Any] = {
        "for_": "6.6.6.6",
        "host": "evil.example",
        "forwarded": "for=203.0.113.9",
        "server": "inner",
    }
    environ = applied(names=("Forwarded",), **fields)
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert environ["HTTP_HOST"] == "app.example"
    assert [key for key in environ if "FORWARDED" in key] == ["HTTP_FORWARDED", "HTTP_X_FORWARDED_SERVER"]
    environ = applied(names=("x-forwarded-proto",), **fields)
    assert environ == environ_of(server="inner")


# --- In the server ---


def showing(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    """The application: what the environ says of the client."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    found = {key: environ.get(key) for key in SHOWN}
    return [json.dumps({**found, "fields": [key for key in environ if "FORWARDED" in key]}).encode()]


FORGED = ("X-Forwarded-For: 203.0.113.9:4711", "x-forwarded-proto: https", "X-Forwarded-Host: site.example",
          "X-Forwarded-Prefix: /shop")  # fmt: skip


def test_a_trusted_peer(serve: Serving) -> None:
    served = serve(showing)
    client = served.connect()
    told = json.loads(client.get("/", *FORGED).body)
    assert [told[key] for key in SHOWN] == [
        "203.0.113.9", "4711", "https", "site.example", "site.example", "443", "/shop",
    ]  # fmt: skip
    plain = json.loads(client.get().body)  # the next request on the connection is its own
    assert [plain[key] for key in ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME")] == [
        PEER,
        "http",
        "x",
        "",
    ]
    assert served.server.statistics().untrusted_fields == 0


def test_an_untrusted_peer(serve: Serving) -> None:
    served = serve(showing, trusted_proxies=("10.0.0.0/8",))
    for _ in range(2):
        told = json.loads(served.get("/", *FORGED, "X-Forwarded-Anything: 1", "Forwarded: for=x").body)
        assert (told["REMOTE_ADDR"], told["HTTP_HOST"], told["SCRIPT_NAME"], told["fields"]) == (PEER, "x", "", [])
    assert served.server.statistics().untrusted_fields == 12
    assert served.log.count("--trusted-proxies 127.0.0.1 would") == 1


def test_a_peer_on_a_unix_socket(serve: Serving, tmp_path: Path) -> None:
    for number, entries in enumerate((("unix",), ("127.0.0.1",))):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / str(number)))
        serve(showing, {"listener": listener}, trusted_proxies=entries)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(tmp_path / str(number)))
            peer.sendall(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n"))
            answer = b"".join(iter(lambda peer=peer: peer.recv(4096), b""))  # type: ignore[misc]
        assert (b'"REMOTE_ADDR": "203.0.113.9"' in answer) is (entries == ("unix",))


def test_a_tcp_connection_that_was_accepted_elsewhere_is_not_taken_for_a_unix_socket(serve: Serving) -> None:
    served = serve(showing, trusted_proxies=("unix",))
    with socket.create_server((PEER, 0)) as listener:
        client = Client(listener.getsockname())
        served.clients.append(client)
        accepted, _ = listener.accept()
        with accepted:
            served.server.serve_connection(accepted)
    assert json.loads(client.get("/", *FORGED).body)["REMOTE_ADDR"] == PEER


def test_a_malformed_field_is_answered_with_400(serve: Serving) -> None:
    log = io.StringIO()
    served = serve(showing, {"log": AccessLog("combined", lambda line: log.write(line.decode()))})
    response = served.get("/", "X-Forwarded-For: nonsense")
    assert response.status == 400
    assert b"X-Forwarded-For: 'nonsense' cannot be understood" in response.body
    assert "(from the trusted proxy 127.0.0.1)" in served.log
    assert log.getvalue().startswith("127.0.0.1 - - ")
    assert served.server.statistics().rejected == 1


def test_logs_show_the_client(serve: Serving) -> None:
    def failing(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        raise ValueError("by design")

    log = io.StringIO()
    served = serve(failing, {"log": AccessLog("combined", lambda line: log.write(line.decode()))}, max_body=10)
    assert served.get("/", "X-Forwarded-For: 203.0.113.9").status == 500
    assert served.get("/", "X-Forwarded-For: 203.0.113.10", method="PUT", body=bytes(11)).status == 413
    assert "GET / from 203.0.113.9: " in served.log
    assert [line.split()[0] for line in log.getvalue().splitlines()] == ["203.0.113.9", "203.0.113.10"]


HANDSHAKE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://site.example")  # fmt: skip


def echo(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    """The application: wait for the end of the WebSocket."""
    while environ["wsgi.websocket"].receive() is not None:
        pass
    return []


def test_the_origin_of_a_websocket_is_compared_with_the_forwarded_host(serve: Serving) -> None:
    served = serve(echo)
    assert served.connect().get("/", *HANDSHAKE).status == 403
    assert served.connect().get("/", *HANDSHAKE, "X-Forwarded-Host: site.example").status == 101
    assert served.connect().get("/", *HANDSHAKE, "Forwarded: host=site.example").status == 101
    stranger = serve(echo, trusted_proxies=())
    assert stranger.connect().get("/", *HANDSHAKE, "X-Forwarded-Host: site.example").status == 403


def test_websockets_of_one_client_behind_a_proxy_are_all_listed(serve: Serving) -> None:
    served = serve(echo)
    for _ in range(3):
        fields = (*HANDSHAKE, "X-Forwarded-Host: site.example", "X-Forwarded-For: 203.0.113.9")
        assert served.connect().get("/", *fields).status == 101
    served.until(websockets=3)
    clients = served.server.clients
    address = ("203.0.113.9", 0)
    assert (len(clients), list(clients), len({id(each) for each in clients.values()})) == (3, [address] * 3, 3)
    assert [key for key, _ in clients.items()] == [address] * 3
    assert clients[address] in clients.values()


def test_a_server_that_has_not_started_has_counted_nothing() -> None:
    assert WSGIServer((PEER, 0), showing).statistics().untrusted_fields == 0
