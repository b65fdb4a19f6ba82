"""Addresses to listen on, as users write them."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from ..runtime.errors import ListenError

DEFAULT_HOST: Final = "127.0.0.1"
EVERY_IPV4_INTERFACE: Final = "0.0.0.0"  # noqa: S104  (a user asks for it by writing :port)
HIGHEST_PORT: Final = 65535

BIND = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]+)")
UNIX = re.compile("unix:(?:@(?P<name>.+)|(?P<path>[^@].*))")
DESCRIPTOR = re.compile("fd://(?P<number>[0-9]{1,9})")
FORMS: Final = (
    "an address is host:port, [ipv6]:port, :port for every IPv4 interface, a port alone for 127.0.0.1, "
    "unix:/path, unix:@abstract, or fd://3 for an inherited descriptor"
)


class BindAddress(NamedTuple):
    """A TCP address: a host name or address, and a port; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self)


class UnixPath(NamedTuple):
    """A Unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class AbstractName(NamedTuple):
    """A Unix socket of Linux that has a name but no file."""

    name: str

    def __str__(self) -> str:
        return f"unix:@{self.name}"


class Descriptor(NamedTuple):
    """A listening socket that this process was started with."""

    number: int

    def __str__(self) -> str:
        return f"fd://{self.number}"


Address = BindAddress | UnixPath | AbstractName | Descriptor


def parse_bind(text: str) -> Address:
    """Read an address as users write it.

    `host:port`, `[::1]:8000`, `:8000` (every IPv4 interface) or `8000`; `unix:/run/app.sock` or `unix:@name`; `fd://3`.
    A port alone means 127.0.0.1: nothing is opened to the network unless the address says so. Raises ListenError.
    """
    stripped = text.strip()
    if (path := UNIX.fullmatch(stripped)) is not None and "\0" not in stripped:
        return AbstractName(path["name"]) if path["name"] else UnixPath(path["path"])
    if (descriptor := DESCRIPTOR.fullmatch(stripped)) is not None:
        return Descriptor(int(descriptor["number"]))
    match = BIND.fullmatch(f"{DEFAULT_HOST}:{stripped}" if re.fullmatch("[0-9]+", stripped) else stripped)
    if match is None:
        raise ListenError(text, f"{text!r} is not an address; {FORMS}")
    port = match["port"]
    if len(port) > 5 or int(port) > HIGHEST_PORT:
        raise ListenError(text, f"port {port} is out of range; ports are 0 to {HIGHEST_PORT}, 0 for any free one")
    host = match["ipv6"] or match["host"]
    return BindAddress(EVERY_IPV4_INTERFACE if host in ("", "*") else host, int(port))


def format_address(address: tuple[Any, ...]) -> str:
    """Write a TCP socket's address as `host:port`, or `[ipv6]:port`."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
