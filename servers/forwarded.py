"""The grammar of the fields in which a proxy tells of its client: Forwarded (RFC 7239) and X-Forwarded-*. No I/O.

Every function reads one value that a trusted proxy has written, and raises ValueError with the rule for one that breaks
it. Whom to trust, and which element of a list to read, is the business of `proxies`.
"""

from __future__ import annotations

import re
from collections import deque
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from .websocket.handshake import ESCAPED, HIGHEST_PORT, IS_HOST, OWS, TOKEN, canonical_host

# RFC 7239 section 6: an address, `unknown`, or an identifier that stands for one; the port may be hidden likewise.
HIDDEN: Final = r"_[0-9A-Za-z._\-]++"
IS_NODE: Final = re.compile(
    rf"(?:\[(?P<ipv6>[0-9A-Fa-f:.]++)\]|(?P<ipv4>[0-9.]++)|unknown|{HIDDEN})(?::(?:(?P<port>[0-9]{{1,5}})|{HIDDEN}))?",
    re.IGNORECASE,
)
# Possessive throughout, as in the handshake: a field that fails costs no more than one that matches.
PAIR: Final = rf'(?P<name>{TOKEN})=(?:(?P<value>{TOKEN})|"(?P<quoted>(?:[^"\\]|\\.)*+)")'
ANONYMOUS_PAIR: Final = re.sub("[?]P<[a-z]+>", "?:", PAIR)
IS_PAIR: Final = re.compile(PAIR)
# One element of the list, which may be empty (RFC 9110 section 5.6.1), and the comma behind it. White space around the
# semicolons is not in the grammar, but many write it and it changes nothing.
IS_ELEMENT: Final = re.compile(
    rf"{OWS}(?P<pairs>(?:{ANONYMOUS_PAIR})?+(?:{OWS};{OWS}(?:{ANONYMOUS_PAIR})?+)*+){OWS}(?:,|\Z)"
)
# Traefik names the scheme of a WebSocket by its own name.
SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
SWITCHES: Final = {"on": "https", "off": "http"}
# Segments of RFC 3986 section 3.3, none of them empty: what begins with "//" would be another host in a redirection.
IS_PREFIX: Final = re.compile(r"(?:/(?:[0-9A-Za-z\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})++)++")

Address = IPv4Address | IPv6Address


class Node(NamedTuple):
    """Who has sent a request to a proxy: None where the proxy does not say, and "" for a port that it does not tell."""

    address: Address | None
    port: str


def parse_address(text: str) -> Address:
    """Read an IP address; an IPv4 address in IPv6's clothing (`::ffff:192.0.2.1`) is the IPv4 address."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_node(text: str) -> Node:
    """Read a node of RFC 7239: `192.0.2.1:80`, `[2001:db8::1]:80`, `unknown`, `_hidden`; the ports may be missing."""
    match = IS_NODE.fullmatch(text)
    if match is None or int(match["port"] or 0) > HIGHEST_PORT:
        raise ValueError("an IP address with or without a port (IPv6 in brackets), unknown or _identifier is expected")
    address = match["ipv6"] or match["ipv4"]
    if address is None:
        return Node(None, "")
    if (":" in address) != (match["ipv6"] is not None):
        raise ValueError("brackets go with IPv6 addresses only")
    return Node(parse_address(address), match["port"] or "")


def parse_forwarded_for(text: str) -> Node:
    """Read an element of X-Forwarded-For: a node, or an IPv6 address without the brackets, which most proxies write."""
    if text.count(":") > 1 and "[" not in text and "%" not in text:
        return Node(parse_address(text), "")
    return parse_node(text)


def parse_forwarded(field: str, most: int) -> list[dict[str, str]]:
    """Read a Forwarded field: the parameters of each of the last `most` elements that are not empty, in their order.

    Parameters that RFC 7239 does not know are read like the others. The whole field must be well-formed.
    """
    last: deque[re.Match[str]] = deque(maxlen=most)
    position = 0
    while position < len(field):
        match = IS_ELEMENT.match(field, position)
        if match is None:
            raise ValueError(f"RFC 7239 section 4 has another form, from character {position} on")
        if match["pairs"]:
            last.append(match)
        position = match.end()
    return [parse_pairs(match["pairs"]) for match in last]


def parse_pairs(text: str) -> dict[str, str]:
    """Read the parameters of one element whose form has been checked; their names are in lower case."""
    pairs: dict[str, str] = {}
    for match in IS_PAIR.finditer(text):
        name = match["name"].lower()
        if name in pairs:
            raise ValueError(f"the parameter {name} stands twice in one element")
        pairs[name] = match["value"] if match["quoted"] is None else ESCAPED.sub(r"\1", match["quoted"])
    return pairs


def parse_scheme(text: str) -> str:
    """Read the scheme of X-Forwarded-Proto or of the parameter proto: "http" or "https"."""
    scheme = SCHEMES.get(text.lower())
    if scheme is None:
        raise ValueError("http or https is expected")
    return scheme


def parse_switch(text: str) -> str:
    """Read the scheme that X-Forwarded-Ssl means."""
    scheme = SWITCHES.get(text.lower())
    if scheme is None:
        raise ValueError("on or off is expected")
    return scheme


def parse_host(text: str) -> str:
    """Check a host with or without a port, for HTTP_HOST."""
    match = IS_HOST.fullmatch(text)
    if (
        match is None
        or "%" in text
        or canonical_host(match["host"]) is None
        or not 0 < int(match["port"] or 1) <= HIGHEST_PORT
    ):
        raise ValueError("a host with or without a port is expected")
    return text


def split_host(host: str) -> tuple[str, str]:
    """Cut a host as HTTP_HOST has it into name and port, which is "" where there is none."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not host.endswith("]") else (host, "")


def parse_port(text: str) -> str:
    """Check a port number, for SERVER_PORT."""
    if re.fullmatch("[0-9]{1,5}", text) is None or not 0 < int(text) <= HIGHEST_PORT:
        raise ValueError(f"a port from 1 to {HIGHEST_PORT} is expected")
    return str(int(text))


def parse_prefix(text: str) -> str:
    """Read a path prefix for SCRIPT_NAME, percent-decoded as PEP 3333 has it; "/" is no prefix."""
    if text == "/":
        return ""
    if IS_PREFIX.fullmatch(text) is None:
        raise ValueError("a path is expected that begins with / and has no empty segment and no / at its end")
    decoded = unquote_to_bytes(text).decode("latin-1")
    segments = decoded.split("/")
    if "%2f" in text.lower() or any(char < " " or char == "\x7f" for char in decoded) or {".", ".."} & {*segments}:
        raise ValueError("a path without dot segments, encoded slashes and control characters is expected")
    return decoded
