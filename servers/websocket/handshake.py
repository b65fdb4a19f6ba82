"""The server's side of the opening handshake (RFC 6455 section 4.2): reading the request, writing the answer.

Everything here works on the environ of a request whose head the HTTP parser has accepted: repeated fields are joined
with ", ", and a request in HTTP/1.1 has HTTP_HOST. Lists follow RFC 9110 section 5.6.1: elements may be empty, but one
that is not must be there. Extensions are read by RFC 6455 section 9.1, whose grammar, being that of RFC 2616, has
optional white space around ";" and "=".
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final, NamedTuple

from ...runtime.errors import RequestRejected
from .deflate import Agreement, Compression, ExtensionOffer, negotiate

VERSION: Final = "13"
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

# Possessive throughout: a field that fails costs no more than one that matches, however long it is.
OWS: Final = r"[ \t]*+"
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105  (RFC 9110 section 5.6.2)
PARAMETER: Final = (
    rf'{OWS};{OWS}(?P<parameter>{TOKEN})(?:{OWS}={OWS}(?:(?P<value>{TOKEN})|"(?P<quoted>(?:[^"\\]|\\.)*+)"))?+'
)
IS_TOKEN: Final = re.compile(TOKEN)
IS_PARAMETER: Final = re.compile(PARAMETER)
# One element of the list of extensions, which may be empty, and the comma behind it.
IS_EXTENSION: Final = re.compile(
    rf"{OWS}(?:(?P<name>{TOKEN})(?P<parameters>(?:{re.sub('[?]P<[a-z]+>', '?:', PARAMETER)})*+))?+{OWS}(?:,|\Z)"
)
ESCAPED: Final = re.compile(r"\\(.)")
# The base64 form of 16 bytes; the last character has four bits that must be zero (RFC 4648 section 3.5).
IS_KEY: Final = re.compile("[A-Za-z0-9+/]{21}[AQgw]==")

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
HIGHEST_PORT: Final = 65535
# What RFC 3986 allows in a host, without what no browser writes there and what means something to a shell.
HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~%\-]+)(?::(?P<port>[0-9]{1,5}))?"
IS_HOST: Final = re.compile(HOST)
IS_ORIGIN: Final = re.compile(rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<wildcard>\*\.)?{HOST}")
ORIGIN_FORMS: Final = (
    "an origin is *, null, or scheme://host[:port] without a path, such as https://example.com or https://*.example.com"
)
# A refusal shows so much of a field; it goes to the peer and to the log.
MOST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """A valid opening handshake: its key, the subprotocols that the client offers, what was agreed on compression.

    `extensions` is the value of the response's Sec-WebSocket-Extensions field, "" for no such field.
    """

    key: str
    protocols: tuple[str, ...]
    agreement: Agreement | None
    extensions: str


# --- The request ---


def is_websocket_request(environ: Mapping[str, Any]) -> bool:
    """Whether a request asks for the WebSocket protocol: its Upgrade field lists `websocket` (RFC 9110 section 7.8)."""
    upgrade = environ.get("HTTP_UPGRADE")
    return upgrade is not None and "websocket" in elements(upgrade.lower())


def parse_offer(environ: Mapping[str, Any], compression: Compression) -> Offer:
    """Check all of an opening handshake that needs no application (RFC 6455 section 4.2.1), and read it.

    The Origin is not looked at: that is what `check_origin` does. Raises RequestRejected, whose `fields` belong into
    the answer; the connection has to be closed after it.
    """
    check_request(environ)
    key = parse_key(environ.get("HTTP_SEC_WEBSOCKET_KEY"))
    protocols = parse_protocols(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"))
    offers = parse_extensions(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS"))
    agreement, extensions = negotiate(offers, compression)
    return Offer(key, protocols, agreement, extensions)


def check_request(environ: Mapping[str, Any]) -> None:
    """Raise RequestRejected unless everything about the request but its offer is that of a handshake."""
    if environ["SERVER_PROTOCOL"] == "HTTP/1.0":
        raise RequestRejected(
            400,
            "a WebSocket handshake needs HTTP/1.1, and this one came in HTTP/1.0; a proxy in between must speak "
            "HTTP/1.1 to this server (nginx: proxy_http_version 1.1)",
        )
    if environ["REQUEST_METHOD"] != "GET":
        raise RequestRejected(
            405, f"a WebSocket handshake is a GET request, not {shown(environ['REQUEST_METHOD'])}", b"Allow: GET\r\n"
        )
    if "upgrade" not in elements(environ.get("HTTP_CONNECTION", "").lower()):
        raise RequestRejected(
            400,
            "a WebSocket handshake needs the field Connection: Upgrade; a proxy in between probably dropped it (nginx: "
            "proxy_set_header Connection upgrade), see the documentation on WebSockets behind a proxy",
        )
    version = environ.get("HTTP_SEC_WEBSOCKET_VERSION")
    if version != VERSION:
        seen = "missing" if version is None else shown(version)
        raise RequestRejected(
            426,
            f"Sec-WebSocket-Version is {seen}; this server speaks version {VERSION} (RFC 6455)",
            b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        )
    if environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        raise RequestRejected(400, "a WebSocket handshake has no request body; what follows its head are frames")


def parse_key(key: str | None) -> str:
    """Return the key if it is the base64 form of 16 bytes. Raises RequestRejected."""
    if key is None:
        raise RequestRejected(400, "the field Sec-WebSocket-Key is missing")
    if IS_KEY.fullmatch(key) is None:
        rule = "it was sent more than once" if "," in key else "it must be 16 bytes in base64"
        raise RequestRejected(400, f"Sec-WebSocket-Key is {shown(key)}; {rule}")
    return key


def parse_protocols(field: str | None) -> tuple[str, ...]:
    """Read the subprotocols that are offered, in the client's order of preference. Raises RequestRejected."""
    if field is None:
        return ()
    protocols = tuple(each for each in elements(field) if each)
    if not protocols or any(IS_TOKEN.fullmatch(each) is None for each in protocols):
        raise RequestRejected(400, f"Sec-WebSocket-Protocol is {shown(field)}; it must be a list of tokens")
    if len(set(protocols)) < len(protocols):
        raise RequestRejected(400, f"Sec-WebSocket-Protocol is {shown(field)}; it must name each protocol once")
    return protocols


def check_protocol(name: str) -> None:
    """Raise ValueError for a subprotocol that no client can offer."""
    if IS_TOKEN.fullmatch(name) is None:
        raise ValueError("must be a token, such as chat.v1 (RFC 6455 section 4.1)")


def parse_extensions(field: str | None) -> list[ExtensionOffer]:
    """Read the extensions that are offered, in the client's order of preference. Raises RequestRejected."""
    offers: list[ExtensionOffer] = []
    position = 0
    while field is not None and position < len(field):
        match = IS_EXTENSION.match(field, position)
        if match is None:
            raise malformed_extensions(field, f"RFC 6455 section 9.1 has another form, from character {position} on")
        if match["name"] is not None:
            parameters = [
                (each["parameter"], parameter_value(each, field)) for each in IS_PARAMETER.finditer(match["parameters"])
            ]
            offers.append((match["name"], parameters))
        position = match.end()
    if field is not None and not offers:
        raise malformed_extensions(field, "it must name an extension")
    return offers


def parameter_value(parameter: re.Match[str], field: str) -> str | None:
    """The value of a parameter, its quotes removed; they are for show, since it has to be a token anyway."""
    if parameter["quoted"] is None:
        return parameter["value"]
    value = ESCAPED.sub(r"\1", parameter["quoted"])
    if IS_TOKEN.fullmatch(value) is None:
        raise malformed_extensions(field, "a quoted value must be a token too")
    return value


def malformed_extensions(field: str, rule: str) -> RequestRejected:
    """The refusal of a Sec-WebSocket-Extensions field."""
    return RequestRejected(400, f"Sec-WebSocket-Extensions is {shown(field)}; {rule}")


def elements(field: str) -> list[str]:
    """The elements of a comma-separated list that has no quoted strings; some may be empty."""
    return [each.strip(" \t") for each in field.split(",")]


def shown(text: str) -> str:
    """What a peer has sent, in printable ASCII and not too long, for a message."""
    return ascii(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}...")


# --- The origin ---


class Origin(NamedTuple):
    """A scheme, a host and a port (RFC 6454), in lower case; with `wildcard`, any subdomain of the host instead."""

    scheme: str
    wildcard: bool
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{'*.' if self.wildcard else ''}{self.host}{port}"

    def admits(self, other: Origin) -> bool:
        """Whether `other` is this origin, or with `wildcard` one of a subdomain."""
        if (self.scheme, self.port) != (other.scheme, other.port):
            return False
        return other.host.endswith(f".{self.host}") if self.wildcard else other.host == self.host


def check_origin(environ: Mapping[str, Any], origins: tuple[str, ...]) -> None:
    """Refuse a page of another origin, whose script would act with its user's cookies (RFC 6455 section 10.2).

    Pages of the server's own host and port pass, those that `origins` lists (`check_origin_pattern` says how), and
    requests without an Origin field, which no browser sends. Raises RequestRejected.
    """
    field = environ.get("HTTP_ORIGIN")
    if field is None or "*" in origins or (field == "null" and field in origins):
        return
    host = environ.get("HTTP_HOST", "")
    origin = parse_origin(field)
    # Only what a browser may have sent is worth advice: with another one, a stranger would write it into the log.
    rule = "that is no origin (RFC 6454); --websocket-origins admits others"
    if field == "null":
        rule = "--websocket-origins 'null' would admit it"
    elif origin is not None and not origin.wildcard:
        if is_same_origin(origin, host) or any(admits(pattern, origin) for pattern in origins):
            return
        rule = f"--websocket-origins {str(origin)!r} would admit it"
    raise RequestRejected(
        403,
        f"the page that opens this WebSocket has the Origin {shown(field)}, which is not that of the Host "
        f"{shown(host)}; {rule}",
    )


def check_origin_pattern(text: str) -> None:
    """Check a value of the setting: `*` for any origin, `null`, `https://example.com`, `https://*.example.com:8443`.

    The last form is any subdomain, without the domain itself. Raises ValueError with the rule for what no Origin can
    match.
    """
    if text not in ("*", "null") and parse_origin(text) is None:
        raise ValueError(ORIGIN_FORMS)


def admits(pattern: str, origin: Origin) -> bool:
    """Whether a value of the setting admits an origin."""
    parsed = parse_origin(pattern)
    return parsed is not None and parsed.admits(origin)


def is_same_origin(origin: Origin, host: str) -> bool:
    """Whether a page came from the host that it connects to.

    The scheme is the page's own: where TLS ends at a proxy, this server cannot know what the page was loaded by.
    """
    match = IS_HOST.fullmatch(host)
    if match is None or origin.scheme not in DEFAULT_PORTS:
        return False
    return (canonical_host(match["host"]), port_of(match["port"], origin.scheme)) == (origin.host, origin.port)


def parse_origin(text: str) -> Origin | None:
    """Read an Origin field or a value of the setting; None if it is not scheme://host[:port]."""
    match = IS_ORIGIN.fullmatch(text)
    if match is None:
        return None
    host = canonical_host(match["host"])
    scheme = match["scheme"].lower()
    port = port_of(match["port"], scheme)
    if host is None or (match["wildcard"] and host.startswith("[")) or (port is not None and port > HIGHEST_PORT):
        return None
    return Origin(scheme, match["wildcard"] is not None, host, port)


def canonical_host(host: str) -> str | None:
    """A host in the one form that compares; None for brackets that hold no IPv6 address."""
    if not host.startswith("["):
        return host.lower()
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except AddressValueError:
        return None


def port_of(port: str | None, scheme: str) -> int | None:
    """The port, or else the scheme's own, None if it has none."""
    return DEFAULT_PORTS.get(scheme) if port is None else int(port)


# --- The answer ---


def choose_protocol(offered: Sequence[str], supported: Sequence[str]) -> str | None:
    """The first subprotocol of `supported` that the client offers, None if there is none."""
    return next((each for each in supported if each in offered), None)


def accept_head(offer: Offer, protocol: str | None, server_line: bytes = b"") -> bytes:
    """Write the head of the response that accepts the handshake (RFC 6455 section 4.2.2); frames follow it.

    `protocol` is the subprotocol, `server_line` empty or a field line with its CRLF. Raises ValueError for a protocol
    that was not offered.
    """
    if protocol is not None and protocol not in offer.protocols:
        raise ValueError(f"the client did not offer the subprotocol {protocol!r}, but {offer.protocols}")
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        accept_value(offer.key),
        b"\r\n",
    ]
    if protocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: %b\r\n" % protocol.encode("ascii"))
    if offer.extensions:
        lines.append(b"Sec-WebSocket-Extensions: %b\r\n" % offer.extensions.encode("ascii"))
    return b"".join([*lines, server_line, b"\r\n"])


def accept_value(key: str) -> bytes:
    """What shows the client that its key was understood (RFC 6455 section 4.2.2, step 5.4)."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + GUID, usedforsecurity=False).digest())
