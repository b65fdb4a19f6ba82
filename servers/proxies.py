"""Trusted reverse proxies: whose word on the client is taken, and what becomes of it in the environ. No I/O.

Behind a proxy a server sees the proxy's address, and of scheme, host and path what the proxy made of them. The proxy
tells the client's own in Forwarded (RFC 7239) or in X-Forwarded-* fields. Anybody can write such a field, so everything
here is about who did:

- From a peer that is not trusted the fields are removed, all that begin with X-Forwarded-, known here or not.
- Each proxy adds an element at the right of a list. From there, elements whose address is itself trusted are skipped,
  and the first that is not is the client; what stands left of it is the client's own story and is never read. (nginx
  calls this real_ip_recursive.) The other lists are read at the same place, so that all is one proxy's word.
- A proxy writes one of the two kinds and passes the other on as the client sent it. Nearly all write X-Forwarded-*, so
  those win and Forwarded is removed; for a proxy that writes Forwarded the setting `proxy_fields` says so.
- A value that a trusted proxy has written and that cannot be understood is refused with 400: to go on with the proxy's
  own address or with http would be to guess, and on just the requests that somebody has tampered with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, TypeVar

from ..runtime import limits
from ..runtime.errors import RequestRejected
from .forwarded import (
    Address,
    Node,
    parse_address,
    parse_forwarded,
    parse_forwarded_for,
    parse_host,
    parse_node,
    parse_port,
    parse_prefix,
    parse_scheme,
    parse_switch,
    split_host,
)
from .websocket.handshake import DEFAULT_PORTS, shown

ANYBODY: Final = "*"
UNIX: Final = "unix"
# Those of gunicorn's users: proxies on this machine.
DEFAULT_PROXIES: Final = ("127.0.0.1", "::1", UNIX)

FORWARDED: Final = "forwarded"
FOR: Final = "x-forwarded-for"
PROTO: Final = "x-forwarded-proto"
SSL: Final = "x-forwarded-ssl"
HOST: Final = "x-forwarded-host"
PORT: Final = "x-forwarded-port"
PREFIX: Final = "x-forwarded-prefix"
FIELDS: Final = (FOR, PROTO, SSL, HOST, PORT, PREFIX, FORWARDED)
# Those that say what Forwarded can say too; for the prefix it has no parameter.
RIVALS: Final = (FOR, PROTO, SSL, HOST, PORT)
KEYS: Final = {field: "HTTP_" + field.upper().replace("-", "_") for field in FIELDS}
KEY_PREFIX: Final = "HTTP_X_FORWARDED_"
BAD_REQUEST: Final = 400

Network = IPv4Network | IPv6Network
Report = Callable[[dict[str, Any], BaseException | None, str], object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """What proxies have told of a request; None for what they have not."""

    node: Node | None = None
    scheme: str | None = None
    host: str | None = None
    port: str | None = None
    prefix: str | None = None


class TrustedProxies:
    """Takes over what trusted proxies say of a request, and removes what others say.

    `entries`, `fields` and `max_hops` are the settings `trusted_proxies`, `proxy_fields` and `max_proxy_hops`.
    `untrusted_fields` counts the fields that were removed. `report(environ, error, note)` has the error log told of
    malformed fields, and once of a peer that sends such fields without being trusted.
    """

    def __init__(
        self,
        entries: Iterable[str] = DEFAULT_PROXIES,
        fields: Iterable[str] = FIELDS,
        max_hops: int = limits.MAX_PROXY_HOPS,
        report: Report | None = None,
    ) -> None:
        entries = tuple(entries)
        self.anybody = ANYBODY in entries
        self.unix = UNIX in entries
        self.networks = tuple(parse_network(each) for each in entries if each not in (ANYBODY, UNIX))
        named = {each.lower() for each in fields}
        self.foreign = tuple(KEYS[field] for field in FIELDS if field not in named)
        self.max_hops = max_hops
        self.untrusted_fields = 0
        self._report = report
        self._warned = False
        self._peers: dict[str, bool] = {}

    def is_trusted(self, host: str) -> bool:
        """Whether the peer at this address may speak for others; "" is the address of a peer on a Unix socket."""
        known = self._peers.get(host)
        if known is None:
            if len(self._peers) >= limits.PEERS_REMEMBERED:
                self._peers.clear()
            known = self._peers[host] = self.anybody or (self._is_listed(host) if host else self.unix)
        return known

    def apply(self, environ: dict[str, Any], peer: str) -> None:
        """Make the environ that of the request which the client sent to the first trusted proxy on its way.

        `peer` is the address that the connection comes from. What is taken over stays in the environ too. Raises
        RequestRejected for a malformed field of a trusted proxy.
        """
        if not self.is_trusted(peer):
            self._remove_all(environ, peer)
            return
        self._remove(environ, self.foreign)
        if any(KEYS[field] in environ for field in RIVALS):
            self._remove(environ, (KEYS[FORWARDED],))
        try:
            told = self._read(environ)
        except RequestRejected as rejected:
            if self._report is not None:
                self._report(environ, None, f"{rejected.reason} (from the trusted proxy {peer or 'on a Unix socket'})")
            raise
        rewrite(environ, told)

    # Removing.

    def _remove_all(self, environ: dict[str, Any], peer: str) -> None:
        keys = [key for key in environ if key.startswith(KEY_PREFIX) or key == KEYS[FORWARDED]]
        self._remove(environ, keys)
        if not self._warned and self._report is not None:
            self._warned = True  # once: strangers must not fill the log
            where, entry = (peer, peer) if peer else ("a Unix socket", UNIX)
            names = shown(", ".join(key.removeprefix("HTTP_").replace("_", "-").title() for key in keys))
            note = f"removed {names} of {where}, which is not trusted, and will only count such fields from now on"
            self._report(environ, None, f"{note}; --trusted-proxies {entry} would take them over")

    def _remove(self, environ: dict[str, Any], keys: Iterable[str]) -> None:
        for key in keys:
            if environ.pop(key, None) is not None:
                self.untrusted_fields += 1

    # Reading.

    def _read(self, environ: dict[str, Any]) -> Told:
        forwarded = environ.get(KEYS[FORWARDED], "").strip(" \t")
        if forwarded:
            return self._read_forwarded(forwarded, environ)
        node, hop = None, 0
        field = environ.get(KEYS[FOR], "").strip(" \t")
        if field:
            elements = field.rsplit(",", self.max_hops)[-self.max_hops :]
            hop, node = self._find_client(elements, lambda each: understood(FOR, each, parse_forwarded_for))
        proto = element(environ, PROTO, hop, parse_scheme)
        ssl = element(environ, SSL, hop, parse_switch)
        if proto is not None and ssl is not None and proto != ssl:
            raise RequestRejected(BAD_REQUEST, f"X-Forwarded-Proto says {proto} and X-Forwarded-Ssl {ssl}")
        return Told(
            node,
            proto or ssl,
            element(environ, HOST, hop, parse_host),
            element(environ, PORT, hop, parse_port),
            element(environ, PREFIX, hop, parse_prefix),
        )

    def _read_forwarded(self, field: str, environ: dict[str, Any]) -> Told:
        elements = understood(FORWARDED, field, lambda text: parse_forwarded(text, self.max_hops))
        if not elements:
            return Told(prefix=element(environ, PREFIX, 0, parse_prefix))
        hop, node = self._find_client(elements, lambda pairs: optional(FORWARDED, pairs.get("for"), parse_node))
        pairs = elements[-1 - hop]
        return Told(
            node,
            optional(FORWARDED, pairs.get("proto"), parse_scheme),
            optional(FORWARDED, pairs.get("host"), parse_host),
            prefix=element(environ, PREFIX, hop, parse_prefix),
        )

    def _find_client(self, elements: Sequence[T], read: Callable[[T], Node | None]) -> tuple[int, Node | None]:
        """Find the client from the right: how many elements stand right of it, and the node that it is.

        Where every element is that of a proxy, the client is the leftmost.
        """
        node = None
        for hop, each in enumerate(reversed(elements)):
            node = read(each)
            if node is None or node.address is None or not self._is_proxy(node.address):
                return hop, node
        return len(elements) - 1, node

    def _is_listed(self, host: str) -> bool:
        try:
            return self._is_proxy(parse_address(host))
        except ValueError:  # whoever has accepted the connection has another name for its peer
            return False

    def _is_proxy(self, address: Address) -> bool:
        """Whether an address is in a list of ours. `*` says who may connect, and not that there are no clients."""
        return any(address in network for network in self.networks)


def element(environ: dict[str, Any], field: str, hop: int, parse: Callable[[str], T]) -> T | None:
    """Read the word of the proxy that named the client, which is `hop` elements from the right.

    A proxy that has only one element to show has passed it on or written it anew: it holds for every hop. Otherwise a
    list must reach as far as the one that names the client.
    """
    value = environ.get(KEYS[field], "").strip(" \t")
    if not value:
        return None
    elements = value.rsplit(",", hop + 1)
    if 1 < len(elements) <= hop:
        raise malformed(field, value, f"it has {len(elements)} elements, and the client is {hop + 1} hops away")
    return understood(field, elements[0] if len(elements) == 1 else elements[-1 - hop], parse)


def optional(field: str, value: str | None, parse: Callable[[str], T]) -> T | None:
    """Read a parameter, if it is there."""
    return None if value is None else understood(field, value, parse)


def understood(field: str, value: str, parse: Callable[[str], T]) -> T:
    """Read a value. Raises RequestRejected where `parse` raises ValueError."""
    try:
        return parse(value.strip(" \t"))
    except ValueError as error:
        raise malformed(field, value, str(error)) from None


def malformed(field: str, value: str, rule: str) -> RequestRejected:
    """The refusal of a field."""
    return RequestRejected(BAD_REQUEST, f"{field.title()}: {shown(value)} cannot be understood; {rule}")


def rewrite(environ: dict[str, Any], told: Told) -> None:
    """Put into the environ what proxies have told."""
    if told.node is not None:
        environ["REMOTE_ADDR"] = "" if told.node.address is None else str(told.node.address)
        environ["REMOTE_PORT"] = told.node.port
    if told.prefix is not None:
        environ["SCRIPT_NAME"] = told.prefix
    if told.scheme is not None:
        environ["wsgi.url_scheme"] = told.scheme
    host = told.host or environ.get("HTTP_HOST")
    if host and (told.scheme or told.host or told.port):
        rewrite_host(environ, host, told.port)


def rewrite_host(environ: dict[str, Any], host: str, told_port: str | None) -> None:
    """Make HTTP_HOST, SERVER_NAME and SERVER_PORT name the same place.

    A port in the host is what the client has used, and goes before the one that the proxy tells, which may be that of
    its own socket behind a port mapping.
    """
    name, port = split_host(host)
    default = str(DEFAULT_PORTS[environ["wsgi.url_scheme"]])
    if not port and told_port and told_port != default:
        host = f"{name}:{told_port}"
    environ["HTTP_HOST"] = host
    environ["SERVER_NAME"] = name.strip("[]")
    environ["SERVER_PORT"] = port or told_port or default


# --- The settings ---


def parse_network(text: str) -> Network:
    """Read an address or a network of the setting. Raises ValueError with the rule."""
    try:
        network = ip_network(text)
    except ValueError as error:
        problem = (
            str(error) if "host bits" in str(error) else "an entry is an IP address or a network such as 10.0.0.0/8"
        )
        raise ValueError(f"{problem}; unix stands for peers on Unix sockets, * for anybody") from None
    if isinstance(network, IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            raise ValueError(f"write the IPv4 address itself, {mapped}: that is what such peers are compared by")
    return network


def check_proxy(text: str) -> None:
    """Check an entry of the setting. Raises ValueError with the rule."""
    if text not in (ANYBODY, UNIX):
        parse_network(text)


def check_proxy_field(text: str) -> None:
    """Check the name of a field that proxies set. Raises ValueError with the rule."""
    if text.lower() not in FIELDS:
        raise ValueError(f"must be one of {', '.join(FIELDS)}")
