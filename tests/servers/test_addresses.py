"""Addresses as users write them."""

from __future__ import annotations

import pytest
from hublet.runtime.errors import ListenError
from hublet.servers.addresses import AbstractName, BindAddress, Descriptor, UnixPath, format_address, parse_bind


@pytest.mark.parametrize(
    "text, host, port",
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000),
        ("localhost:80", "localhost", 80),
        ("[::1]:8000", "::1", 8000),
        ("[fe80::1%lo]:1", "fe80::1%lo", 1),
        (":8000", "0.0.0.0", 8000),
        ("*:8000", "0.0.0.0", 8000),
        ("8000", "127.0.0.1", 8000),
        (" 127.0.0.1:0 ", "127.0.0.1", 0),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_bind(text) == BindAddress(host, port)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "host:", "::1:8000", "[::1]", "[::1]8000", "host:http", "a:1:2", "http://a:1", "a:-1", "a:٣"]
    + ["unix:", "unix:@", "unix:a\0b", "fd://", "fd://x", "fd://-1"],
)
def test_what_is_not_an_address(text: str) -> None:
    with pytest.raises(ListenError, match="host:port") as caught:
        parse_bind(text)
    assert caught.value.address == text


def test_an_empty_address_is_shown() -> None:
    with pytest.raises(ListenError, match="'' is not an address"):
        parse_bind("")


@pytest.mark.parametrize("port", ["65536", "99999", "9" * 5000])
def test_a_port_out_of_range(port: str) -> None:
    with pytest.raises(ListenError, match="out of range.*65535"):
        parse_bind(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80), ("::1", 80, 0, 0)])
def test_a_formatted_address_is_parsed_again(address: tuple[object, ...]) -> None:
    assert parse_bind(format_address(address)) == address[:2]


@pytest.mark.parametrize(
    "text, address",
    [
        ("unix:/run/app.sock", UnixPath("/run/app.sock")),
        ("unix:app.sock", UnixPath("app.sock")),
        ("unix:/run/with:8000", UnixPath("/run/with:8000")),
        ("unix:@app", AbstractName("app")),
        ("fd://3", Descriptor(3)),
    ],
)
def test_addresses_without_a_port(text: str, address: object) -> None:
    parsed = parse_bind(text)
    assert parsed == address
    assert type(parsed) is type(address)
    assert str(parsed) == text
