"""Resolves the host names of a libpq connection string on the hub, since libpq would block the thread for them.

The address goes into `hostaddr` and the name stays in `host`, which certificates and password files are looked up by
(PostgreSQL documentation, "Parameter Key Words"). What is no name to resolve (paths, addresses, what a service file
says) is left to libpq.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Two passes over the hosts, or an order of its own: only libpq can do it.
NEEDS_ALL_HOSTS: Final = ("prefer-standby",)


@dataclass(frozen=True, slots=True)
class Host:
    """One place to connect to; an empty address is left to libpq."""

    name: str
    address: str
    port: str


class UnknownHost(Exception):
    """No host could be resolved. The text is libpq's."""


def with_addresses(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    """The parameters with which to connect, one attempt after the other. Raises UnknownHost.

    One attempt is enough, since libpq goes through several hosts itself, unless `connect_timeout` holds for each.
    """
    names = parameters.get("host") or ("" if "service" in parameters else os.environ.get("PGHOST", ""))
    if not names or parameters.get("hostaddr") or os.environ.get("PGHOSTADDR") or "PGSERVICE" in os.environ:
        return [dict(parameters)]
    hosts = resolved(names.split(","), (parameters.get("port") or os.environ.get("PGPORT", "")).split(","))
    if not any(host.address for host in hosts):
        return [dict(parameters)]
    apart = (
        connect_timeout(parameters) is not None
        and parameters.get("target_session_attrs") not in NEEDS_ALL_HOSTS
        and parameters.get("load_balance_hosts", "disable") == "disable"
    )
    return [with_hosts(parameters, [host]) for host in hosts] if apart else [with_hosts(parameters, hosts)]


def connect_timeout(parameters: Mapping[str, str]) -> float | None:
    """The seconds that connecting to one host may take; None: as long as it likes."""
    value = parameters.get("connect_timeout") or os.environ.get("PGCONNECT_TIMEOUT", "0")
    try:
        seconds = int(value)
    except ValueError:
        return None  # libpq says what is wrong with it
    return float(seconds) if seconds > 0 else None


def with_hosts(parameters: Mapping[str, str], hosts: list[Host]) -> dict[str, str]:
    """The parameters, for these hosts."""
    ports = ",".join(host.port for host in hosts)
    return {
        **parameters,
        "host": ",".join(host.name for host in hosts),
        "hostaddr": ",".join(host.address for host in hosts),
        **({"port": ports} if ports.strip(",") else {}),
    }


def resolved(names: list[str], ports: list[str]) -> list[Host]:
    """A host for each address of each name. Names that are unknown are passed over, if there are others."""
    if len(ports) == 1:
        ports = ports * len(names)
    if len(ports) != len(names):
        return []  # libpq says what is wrong with it
    hosts: list[Host] = []
    problem = ""
    for name, port in zip(names, ports, strict=True):
        if is_resolved(name):
            hosts.append(Host(name, "", port))
            continue
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            problem = f'could not translate host name "{name}" to address: {error.strerror}'
            continue
        addresses = dict.fromkeys(str(each[4][0]) for each in found)
        hosts += [Host(name, address, port) for address in addresses]
    if not hosts:
        raise UnknownHost(problem)
    return hosts


def is_resolved(name: str) -> bool:
    """Whether a host is none that a name server is asked for: a socket's path, or an address."""
    if not name or name[0] in "/@":
        return True
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except OSError:
            continue
        return True
    return False
