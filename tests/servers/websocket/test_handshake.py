"""The opening handshake: what is taken for one, every refusal, the origins that may connect, and the answer."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hublet.runtime.errors import RequestRejected
from hublet.servers.websocket.deflate import Agreement
from hublet.servers.websocket.handshake import (
    Offer,
    accept_head,
    check_origin,
    check_origin_pattern,
    choose_protocol,
    is_websocket_request,
    parse_extensions,
    parse_offer,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3


def environ(**changes: str | None) -> dict[str, Any]:
    """The environ of a handshake, with some of its variables changed, or absent where None is given."""
    variables = {
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "GET",
        "HTTP_HOST": "example.com",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        **changes,
    }
    return {name: value for name, value in variables.items() if value is not None}


def refusal(**changes: str | None) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        parse_offer(environ(**changes), "message")
    return caught.value


# --- What is a handshake ---


@pytest.mark.parametrize(
    "field", ["websocket", "WebSocket", "h2c, websocket", "websocket,h2c", ", websocket ,", "h2c/2,\twebsocket\t"]
)
def test_a_websocket_request(field: str) -> None:
    assert is_websocket_request(environ(HTTP_UPGRADE=field))


@pytest.mark.parametrize(
    "field", [None, "", "h2c", "websocket/13", "websockets", "web socket", '"websocket"', "websocket;x", "x websocket"]
)
def test_another_request(field: str | None) -> None:
    assert not is_websocket_request(environ(HTTP_UPGRADE=field))


# --- What is accepted ---


def test_the_least_handshake() -> None:
    assert parse_offer(environ(), "connection") == Offer(KEY, (), None, "")


@pytest.mark.parametrize("field", ["upgrade", "keep-alive, Upgrade", ",UPGRADE,", "keep-alive,\tupgrade "])
def test_connection_lists_upgrade(field: str) -> None:
    assert parse_offer(environ(HTTP_CONNECTION=field), "off").key == KEY


@pytest.mark.parametrize("length", [None, "", "0"])
def test_an_empty_body_is_none(length: str | None) -> None:
    assert parse_offer(environ(CONTENT_LENGTH=length), "off").key == KEY


@pytest.mark.parametrize(
    "field, protocols",
    [
        ("chat", ("chat",)),
        ("chat, superchat", ("chat", "superchat")),
        ("b,a", ("b", "a")),
        (" ,, a ,\t, b,", ("a", "b")),
        ("chat, Chat", ("chat", "Chat")),
        ("!#$%&'*+-.^_`|~09azAZ", ("!#$%&'*+-.^_`|~09azAZ",)),
    ],
)
def test_protocols_are_read_in_order(field: str, protocols: tuple[str, ...]) -> None:
    assert parse_offer(environ(HTTP_SEC_WEBSOCKET_PROTOCOL=field), "off").protocols == protocols


@pytest.mark.parametrize(
    "field, offers",
    [
        (None, []),
        ("a", [("a", [])]),
        ("a, b", [("a", []), ("b", [])]),
        (" ,\t, a ,, ", [("a", [])]),
        ("a;b", [("a", [("b", None)])]),
        ("a ; b = c\t;d", [("a", [("b", "c"), ("d", None)])]),
        ('a; b="c"', [("a", [("b", "c")])]),
        ('a; b="\\c\\d", e', [("a", [("b", "cd")]), ("e", [])]),
        ("a; b=1; b=2", [("a", [("b", "1"), ("b", "2")])]),
        (
            "permessage-deflate; client_max_window_bits, permessage-deflate",
            [("permessage-deflate", [("client_max_window_bits", None)]), ("permessage-deflate", [])],
        ),
    ],
)
def test_extensions_are_read_in_order(field: str | None, offers: list[Any]) -> None:
    assert parse_extensions(field) == offers


def test_compression_is_agreed_on() -> None:
    offered = environ(HTTP_SEC_WEBSOCKET_EXTENSIONS='x-unknown, permessage-deflate; server_max_window_bits="10"')
    offer = parse_offer(offered, "connection")
    assert offer.agreement == Agreement(True, True, 10, 15)
    assert offer.extensions == "permessage-deflate; server_max_window_bits=10"
    assert parse_offer(offered, "off") == Offer(KEY, (), None, "")


# --- What is refused ---


def test_http_1_0() -> None:
    refused = refusal(SERVER_PROTOCOL="HTTP/1.0")
    assert (refused.status, refused.fields) == (400, b"")
    assert "proxy in between must speak HTTP/1.1" in refused.reason


@pytest.mark.parametrize("method", ["POST", "HEAD", "get"])
def test_another_method(method: str) -> None:
    refused = refusal(REQUEST_METHOD=method)
    assert (refused.status, refused.fields) == (405, b"Allow: GET\r\n")
    assert method in refused.reason


@pytest.mark.parametrize("field", [None, "", "keep-alive", "close", "upgrades", "keep-alive upgrade", '"upgrade"'])
def test_connection_without_upgrade(field: str | None) -> None:
    refused = refusal(HTTP_CONNECTION=field)
    assert (refused.status, refused.fields) == (400, b"")
    assert "proxy in between probably dropped it" in refused.reason


@pytest.mark.parametrize("field", [None, "", "8", "12", "14", "013", "13, 13", "13, 8", " 13", "\u00b9\u00b3"])
def test_another_version(field: str | None) -> None:
    refused = refusal(HTTP_SEC_WEBSOCKET_VERSION=field)
    fields = b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    assert (refused.status, refused.fields) == (426, fields)
    assert ("missing" if field is None else ascii(field)) in refused.reason


def test_no_key() -> None:
    refused = refusal(HTTP_SEC_WEBSOCKET_KEY=None)
    assert (refused.status, refused.reason) == (400, "the field Sec-WebSocket-Key is missing")


@pytest.mark.parametrize(
    "key, rule",
    [
        (f"{KEY}, {KEY}", "more than once"),
        ("", "16 bytes in base64"),
        (KEY[:-1], "16 bytes in base64"),
        (KEY + "=", "16 bytes in base64"),
        ("AAAAAAAAAAAAAAAAAAAAAA", "16 bytes in base64"),
        ("AAAAAAAAAAAAAAAAAAAAAB==", "16 bytes in base64"),
        ("AAAAAAAAAAAAAAAAAAAAAAA=", "16 bytes in base64"),
        ("AAAAAAAAAAAAAAAAAAAA_-==", "16 bytes in base64"),
        ("AAAAAAAAAA AAAAAAAAAAAA==", "16 bytes in base64"),
        (f"{KEY}\n", "16 bytes in base64"),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "16 bytes in base64"),
    ],
)
def test_a_malformed_key(key: str, rule: str) -> None:
    refused = refusal(HTTP_SEC_WEBSOCKET_KEY=key)
    assert refused.status == 400
    assert rule in refused.reason


@pytest.mark.parametrize("last", "AQgw")
def test_the_last_character_of_a_key_has_two_bits(last: str) -> None:
    key = f"{'+/09azAZ' * 2}aaaaa{last}=="
    assert parse_offer(environ(HTTP_SEC_WEBSOCKET_KEY=key), "off").key == key


@pytest.mark.parametrize(
    "changes", [{"CONTENT_LENGTH": "1"}, {"CONTENT_LENGTH": "00"}, {"HTTP_TRANSFER_ENCODING": "chunked"}]
)
def test_a_body(changes: dict[str, str]) -> None:
    refused = refusal(**changes)
    assert refused.status == 400
    assert "no request body" in refused.reason


@pytest.mark.parametrize("field", ["", " , ,", "a b", "a;b", '"a"', "a/b", "caf\u00e9", "a, b c", "a@b", "(a)"])
def test_malformed_protocols(field: str) -> None:
    refused = refusal(HTTP_SEC_WEBSOCKET_PROTOCOL=field)
    assert refused.status == 400
    assert ascii(field) in refused.reason
    assert "list of tokens" in refused.reason


@pytest.mark.parametrize("field", ["a, a", "a, b, a"])
def test_a_protocol_offered_twice(field: str) -> None:
    refused = refusal(HTTP_SEC_WEBSOCKET_PROTOCOL=field)
    assert refused.status == 400
    assert "each protocol once" in refused.reason


@pytest.mark.parametrize(
    "field",
    [
        *("", ",", " ,\t", ";", "=", "a;", "a;;b", "a; =b", "a; b=", "a; b==c", "a=b", "a b", "a; b c", "a; b=c d"),
        *('a; b="c', 'a; b="c\\"', 'a; b=""', 'a; b="c d"', 'a; b="c,d"', 'a; b="\\""', 'a; b="c"d', 'a; "b"', '"a"'),
        *("a/b", "caf\u00e9", "a; b=\u00e9", "a; (b)", "a, b;", "a\n", "a; b\x0b"),
    ],
)
@pytest.mark.parametrize("compression", ["off", "message", "connection"])
def test_malformed_extensions(field: str, compression: Any) -> None:
    with pytest.raises(RequestRejected) as caught:
        parse_offer(environ(HTTP_SEC_WEBSOCKET_EXTENSIONS=field), compression)
    assert caught.value.status == 400
    assert caught.value.reason.startswith(f"Sec-WebSocket-Extensions is {field!a}; ")


@pytest.mark.parametrize(
    "field",
    [
        *("a" * 60000 + "@", "a" + " " * 60000 + "@", "a" + ";b" * 30000 + "@", "a" + "; b" * 20000 + " ="),
        *('a; b="' + "\\a" * 30000, "," * 60000, "a; b" + " " * 60000 + "@", "a," * 30000 + "@", "a;b= " * 12000),
    ],
)
def test_long_fields_take_no_longer(field: str) -> None:
    started = time.process_time()
    refused = refusal(HTTP_SEC_WEBSOCKET_EXTENSIONS=field)
    assert time.process_time() - started < 0.5
    assert len(refused.reason) < 300


def test_refusals_show_what_came_in_ascii_and_cut() -> None:
    refused = refusal(HTTP_SEC_WEBSOCKET_PROTOCOL="\u00e9" * 1000)
    assert refused.reason.isascii()
    assert refused.reason.isprintable()
    assert len(refused.reason) < 1000


# --- The origin ---


@pytest.mark.parametrize(
    "origin, host",
    [
        (None, "example.com"),
        ("http://example.com", "example.com"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("http://EXAMPLE.com", "Example.COM"),
        ("HTTPS://example.com", "example.com"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://[2001:DB8::1]", "[2001:db8:0::1]:443"),
    ],
)
def test_the_same_origin(origin: str | None, host: str) -> None:
    check_origin(environ(HTTP_ORIGIN=origin, HTTP_HOST=host), ())
    check_origin(environ(HTTP_ORIGIN=origin, HTTP_HOST=host), ("https://elsewhere.net",))


@pytest.mark.parametrize(
    "origin, host, remedy",
    [
        ("https://evil.net", "example.com", "https://evil.net"),
        ("https://example.com", "example.com:80", "https://example.com"),
        ("http://example.com", "example.com:443", "http://example.com"),
        ("http://example.com:8000", "example.com", "http://example.com:8000"),
        ("http://example.com", "example.com:8000", "http://example.com"),
        ("http://sub.example.com", "example.com", "http://sub.example.com"),
        ("http://example.com", "sub.example.com", "http://example.com"),
        ("http://example.com.evil.net", "example.com", "http://example.com.evil.net"),
        ("https://EVIL.net:443", "example.com", "https://evil.net"),
        ("chrome-extension://abcdef", "abcdef", "chrome-extension://abcdef"),
        ("http://[::2]", "[::1]", "http://[::2]"),
        ("http://example.com", "", "http://example.com"),
        ("null", "null", "null"),
        ("null", "example.com", "null"),
        ("", "example.com", "*"),
        ("http://", "", "*"),
        ("example.com", "example.com", "*"),
        ("http://example.com/", "example.com", "*"),
        ("http://example.com:", "example.com", "*"),
        ("http://example.com:99999", "example.com:99999", "*"),
        ("http://user@example.com", "example.com", "*"),
        ("http://example.com http://evil.net", "example.com", "*"),
        ("http://example.com, http://example.com", "example.com", "*"),
        ("http://*.example.com", "example.com", "*"),
        ("http://[::1", "[::1", "*"),
        ("http://[zz]", "[zz]", "*"),
        ("http://[:::]", "[:::]", "*"),
    ],
)
def test_another_origin(origin: str, host: str, remedy: str) -> None:
    request = environ(HTTP_ORIGIN=origin, HTTP_HOST=host)
    with pytest.raises(RequestRejected) as caught:
        check_origin(request, ("https://elsewhere.net", "https://*.elsewhere.net"))
    assert caught.value.status == 403
    assert caught.value.fields == b""
    assert f"Origin {origin!a}" in caught.value.reason
    assert f"Host {host!a}" in caught.value.reason
    if remedy == "*":  # of what no browser sends, the log must not advise to admit everybody
        assert "that is no origin" in caught.value.reason
        assert "would admit" not in caught.value.reason
    else:
        assert f"--websocket-origins {remedy!r} would" in caught.value.reason
    check_origin_pattern(remedy)
    check_origin(request, ("https://elsewhere.net", remedy))


@pytest.mark.parametrize(
    "pattern, origin, admitted",
    [
        ("*", "https://a.net", True),
        ("*", "null", True),
        ("*", "nonsense", True),
        ("null", "null", True),
        ("null", "https://a.net", False),
        ("https://a.net", "null", False),
        ("https://a.net", "https://a.net", True),
        ("https://a.net", "https://a.net:443", True),
        ("https://A.net:443", "https://a.NET", True),
        ("https://a.net", "http://a.net", False),
        ("https://a.net", "https://a.net:8443", False),
        ("https://a.net:8443", "https://a.net:8443", True),
        ("https://a.net", "https://b.a.net", False),
        ("https://*.a.net", "https://b.a.net", True),
        ("https://*.a.net", "https://c.b.a.net", True),
        ("https://*.a.net", "https://B.A.net:443", True),
        ("https://*.a.net", "https://a.net", False),
        ("https://*.a.net", "https://ba.net", False),
        ("https://*.a.net", "http://b.a.net", False),
        ("https://*.a.net", "https://b.a.net:8443", False),
        ("https://*.a.net:8443", "https://b.a.net:8443", True),
        ("https://*.a.net", "https://b.a.net.evil.org", False),
        ("https://*.a.net", "https://*.a.net", False),
        ("app://a", "app://a", True),
        ("app://a", "app://b", False),
        ("http://[0:0::1]", "http://[::1]", True),
    ],
)
def test_origins_of_the_setting(pattern: str, origin: str, admitted: bool) -> None:
    request = environ(HTTP_ORIGIN=origin)
    check_origin_pattern(pattern)
    if admitted:
        check_origin(request, (pattern,))
    else:
        with pytest.raises(RequestRejected, match="403"):
            check_origin(request, (pattern,))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "example.com", "//example.com", "https://", "https:example.com", "https://example.com/"),
        *("https://example.com/path", "https://example.com?x", " https://example.com", "https://example.com\n"),
        *("https://exa mple.com", "https://a.net,https://b.net", "https://*", "https://*.", "https://a.*.net"),
        *("https://*.[::1]", "https://[::1", "https://a.net:*", "https://a.net:65536", "https://a.net:", "NULL", "**"),
    ],
)
def test_what_no_origin_can_match(text: str) -> None:
    with pytest.raises(ValueError, match=r"an origin is \*, null, or scheme://host"):
        check_origin_pattern(text)


# --- The answer ---


@pytest.mark.parametrize(
    "offered, supported, chosen",
    [
        ((), (), None),
        (("a",), (), None),
        ((), ("a",), None),
        (("a", "b"), ("b", "a"), "b"),
        (("a", "b"), ("c", "b"), "b"),
        (("a",), ("A",), None),
    ],
)
def test_the_server_prefers(offered: tuple[str, ...], supported: tuple[str, ...], chosen: str | None) -> None:
    assert choose_protocol(offered, supported) == chosen


def test_the_answer_of_rfc_6455() -> None:
    assert accept_head(Offer(KEY, ("chat", "superchat"), None, ""), "chat") == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n"
        b"\r\n"
    )


def test_an_answer_with_everything() -> None:
    offer = parse_offer(
        environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate", HTTP_SEC_WEBSOCKET_PROTOCOL="chat"), "message"
    )
    assert accept_head(offer, None, b"Server: hublet\r\n").split(b"\r\n")[4:] == [
        b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        b"Server: hublet",
        b"",
        b"",
    ]


@pytest.mark.parametrize("protocol", ["other", "", "chat\r\nSet-Cookie: x"])
def test_a_protocol_that_was_not_offered(protocol: str) -> None:
    with pytest.raises(ValueError, match="did not offer"):
        accept_head(Offer(KEY, ("chat",), None, ""), protocol)
