"""The grammar of Forwarded and X-Forwarded-*: every form, every malformed one, and the limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import pytest
from hublet.servers import forwarded
from hublet.servers.forwarded import Node
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.43", "192.0.2.43", ""),
        ("192.0.2.43:47011", "192.0.2.43", "47011"),
        ("192.0.2.43:65535", "192.0.2.43", "65535"),
        ("[2001:DB8:cafe::17]", "2001:db8:cafe::17", ""),
        ("[2001:db8:cafe::17]:4711", "2001:db8:cafe::17", "4711"),
        ("[::ffff:192.0.2.1]", "192.0.2.1", ""),
        ("192.0.2.43:_port", "192.0.2.43", ""),
        ("unknown", None, ""),
        ("Unknown:80", None, "80"),
        ("_SEVKISEK", None, ""),
        ("_gazonk-1.x:_p", None, ""),
    ],
)
def test_nodes(text: str, address: str | None, port: str) -> None:
    node = forwarded.parse_node(text)
    expected = Node(None if address is None else ip_address(address), port if address else "")
    assert node == expected
    assert forwarded.parse_forwarded_for(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "_", "a", "unknown ", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:x",
     "192.0.2.1:123456", "192.0.2.1/24", "[192.0.2.1]", "[::1", "::1]", "[]", "[fe80::1%eth0]", "fe80::1%eth0",
     "[::1]x",
     "2001:db8::1::2", "\u0661.1.1.1", "_a b", "_a,b"],
)  # fmt: skip
def test_malformed_nodes(text: str) -> None:
    with pytest.raises(ValueError):
        forwarded.parse_node(text)
    with pytest.raises(ValueError):
        forwarded.parse_forwarded_for(text)


def test_brackets_may_be_missing_in_x_forwarded_for_alone() -> None:
    assert forwarded.parse_forwarded_for("2001:db8::1") == Node(ip_address("2001:db8::1"), "")
    with pytest.raises(ValueError):
        forwarded.parse_node("2001:db8::1")


@pytest.mark.parametrize(
    ("field", "elements"),
    [
        # Those of RFC 7239 section 4 and 7.
        ('for="_gazonk"', [{"for": "_gazonk"}]),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}]),
        ("for=192.0.2.43, for=198.51.100.17", [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        ('for=_a,,\t, for="a,b;c=\\"d\\\\"', [{"for": "_a"}, {"for": 'a,b;c="d\\'}]),
        ("for=_a ; proto=https;", [{"for": "_a", "proto": "https"}]),
        ("secret=x;;for=_a", [{"secret": "x", "for": "_a"}]),
        ("", []),
        (" , ", []),
    ],
)
def test_forwarded(field: str, elements: list[dict[str, str]]) -> None:
    assert forwarded.parse_forwarded(field, 10) == elements
    assert forwarded.parse_forwarded(field, 1) == elements[-1:]


@pytest.mark.parametrize(
    "field",
    ["for", "for=", "=a", "for =_a", "for= _a", "for=_a proto=http", 'for="_a', 'for=_a"', "for=[::1]",
     "for=1.1.1.1:80",
     'for="a"b', "for=_a;FOR=_b", 'for=", for="[2001:db8::1]"', 'for="\\', "for=_\u00e4"],
)  # fmt: skip
def test_malformed_forwarded(field: str) -> None:
    for text in (field, f"for=_a,{field}", f"{field},for=_a"):
        with pytest.raises(ValueError):
            forwarded.parse_forwarded(text, 10)


@pytest.mark.parametrize("piece", ["a=b,", ",", 'a="', "a=b;", 'a="\\"";', " ", "a", "\\"])
def test_a_long_field_is_read_in_linear_time(piece: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError):
        forwarded.parse_forwarded(piece * (65536 // len(piece)) + '"', 10)
    assert time.process_time() - started < 1  # it takes some 20 ms


@given(st.text(max_size=60))
def test_nothing_but_value_errors(text: str) -> None:
    parsers: list[Callable[[str], object]] = [
        forwarded.parse_node, forwarded.parse_forwarded_for, forwarded.parse_scheme, forwarded.parse_switch,
        forwarded.parse_host, forwarded.parse_port, forwarded.parse_prefix, partial(forwarded.parse_forwarded, most=3),
    ]  # fmt: skip
    for parse in parsers:
        try:
            parse(text)
        except ValueError:
            pass


def test_schemes() -> None:
    assert [forwarded.parse_scheme(text) for text in ("http", "HTTPS", "ws", "wss")] == [
        "http",
        "https",
        "http",
        "https",
    ]
    assert [forwarded.parse_switch(text) for text in ("on", "Off")] == ["https", "http"]
    for text in ("", "ftp", "https:", "javascript", "on"):
        with pytest.raises(ValueError):
            forwarded.parse_scheme(text)
    for text in ("", "1", "true", "https"):
        with pytest.raises(ValueError):
            forwarded.parse_switch(text)


@pytest.mark.parametrize(
    ("host", "parts"),
    [("Example.com", ("Example.com", "")), ("a:1", ("a", "1")), ("a:65535", ("a", "65535")), ("[::1]", ("[::1]", "")),
     ("[::1]:8443", ("[::1]", "8443")), ("192.0.2.1:80", ("192.0.2.1", "80"))],
)  # fmt: skip
def test_hosts(host: str, parts: tuple[str, str]) -> None:
    assert forwarded.parse_host(host) == host
    assert forwarded.split_host(host) == parts


@pytest.mark.parametrize(
    "text",
    ["", ":80", "a:", "a:0", "a:65536", "a:x", "a b", "a/b", "a@b", "a%41", "[::1", "[1]", "http://a", "a,b", "a\\b"],
)
def test_malformed_hosts(text: str) -> None:
    with pytest.raises(ValueError):
        forwarded.parse_host(text)


def test_ports() -> None:
    assert [forwarded.parse_port(text) for text in ("1", "0443", "65535")] == ["1", "443", "65535"]
    for text in ("", "0", "65536", "-1", "1.0", "80,", "\u0661", "000080"):
        with pytest.raises(ValueError):
            forwarded.parse_port(text)


def test_prefixes() -> None:
    given_and_read = {
        "/a": "/a",
        "/a/b-c.d": "/a/b-c.d",
        "/": "",
        "/caf%C3%A9": "/caf\u00c3\u00a9",
        "/.well-known": "/.well-known",
    }
    assert {text: forwarded.parse_prefix(text) for text in given_and_read} == given_and_read
    for text in ("", "a", "/a/", "//", "//evil.example", "/a//b", "/..", "/a/./b", "/%2e%2E", "/%2Fa", "/a%00", "/a%0a",
                 "/a%7F", "/%", "/%zz", "/a?b", "/a#b", "/a\\b", "/a b", "http://a/b"):  # fmt: skip
        with pytest.raises(ValueError):
            forwarded.parse_prefix(text)
