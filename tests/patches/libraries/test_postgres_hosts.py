"""Which hosts of a libpq connection string are resolved, and how they are handed on."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hublet.patches.libraries.postgres_hosts import UnknownHost, connect_timeout, with_addresses

ADDRESSES = {"one": ["192.0.2.1"], "two": ["192.0.2.2", "2001:db8::2"]}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[Any]:
        if name not in ADDRESSES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in ADDRESSES[name]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "/run/postgresql"},
        {"host": "@abstract"},
        {"host": "192.0.2.9"},
        {"host": "::1", "port": "5433"},
        {"host": "one", "hostaddr": "192.0.2.7"},
        {"service": "main"},
        {"host": "one,two", "port": "1,2,3"},  # libpq says what is wrong with it
    ],
)
def test_what_is_left_to_libpq(given: dict[str, str]) -> None:
    assert with_addresses(given) == [given]


@pytest.mark.parametrize(
    "given, host, hostaddr, port",
    [
        ({"host": "one"}, "one", "192.0.2.1", None),
        ({"host": "one", "port": "5433"}, "one", "192.0.2.1", "5433"),
        ({"host": "two"}, "two,two", "192.0.2.2,2001:db8::2", None),
        ({"host": "one,/run,two", "port": "1,2,3"}, "one,/run,two,two", "192.0.2.1,,192.0.2.2,2001:db8::2", "1,2,3,3"),
        ({"host": "nowhere,one", "port": "5"}, "one", "192.0.2.1", "5"),
    ],
)
def test_one_attempt(given: dict[str, str], host: str, hostaddr: str, port: str | None) -> None:
    (attempt,) = with_addresses({**given, "user": "me"})
    expected = {"host": host, "hostaddr": hostaddr, "port": port, "user": "me"}
    assert attempt == {name: value for name, value in expected.items() if value is not None}


def test_each_address_has_its_timeout() -> None:
    attempts = with_addresses({"host": "two", "connect_timeout": "3"})
    assert [each["hostaddr"] for each in attempts] == ADDRESSES["two"]
    together = {"host": "two", "connect_timeout": "3", "target_session_attrs": "prefer-standby"}
    assert len(with_addresses(together)) == 1


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "one")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    assert with_addresses({})[0]["hostaddr"] == "192.0.2.1"
    assert connect_timeout({}) == 4


@pytest.mark.parametrize("value, seconds", [("0", None), ("-1", None), ("7", 7.0), ("soon", None)])
def test_timeouts(value: str, seconds: float | None) -> None:
    assert connect_timeout({"connect_timeout": value}) == seconds


def test_nobody_is_known() -> None:
    with pytest.raises(UnknownHost, match='could not translate host name "nowhere" to address: Name or service'):
        with_addresses({"host": "nowhere"})
