"""Syslog: what a daemon receives, locally and over UDP, and what happens when it goes and comes back."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hublet.runtime.limits import SYSLOG_MESSAGE
from hublet.runtime.syslogwriter import LOCAL_SOCKET, SyslogAddress, SyslogWriter, parse_syslog

PATIENCE = 10.0


class Daemon:
    """A syslog daemon that keeps nothing: it gives out what it has received."""

    def __init__(self, path: Path | None) -> None:
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(str(path) if path else ("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        host, port = ("", 0) if path else self.socket.getsockname()
        self.address = SyslogAddress(str(path or ""), host, port)

    def receive(self) -> str:
        return self.socket.recv(1 << 17).decode()


@pytest.fixture(params=["local", "remote"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.chdir(tmp_path)
    made = Daemon(Path("log") if request.param == "local" else None)
    yield made
    made.socket.close()


HEADER = {
    "local": r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d hublet\[\d+\]: ",
    "remote": r"1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ hublet \d+ - - ",
}


@pytest.mark.parametrize(
    "text, address",
    [
        ("syslog", SyslogAddress(LOCAL_SOCKET)),
        ("syslog:/run/log", SyslogAddress("/run/log")),
        ("syslog:logs.example:514", SyslogAddress("", "logs.example", 514)),
        ("syslog:[::1]:514", SyslogAddress("", "::1", 514)),
        ("-", None),
        ("./syslog", None),
        ("/var/log/syslog", None),
    ],
)
def test_addresses(text: str, address: SyslogAddress | None) -> None:
    assert parse_syslog(text) == address


@pytest.mark.parametrize("text", ["syslog:", "syslog:h", "syslog:h:", "syslog:h:x", "syslog:h:0", "syslog:h:65536"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"syslog:host:port; a file of that name is \./syslog"):
        parse_syslog(text)


def test_each_line_is_one_message(daemon: Daemon, request: pytest.FixtureRequest) -> None:
    writer = SyslogWriter(daemon.address)
    writer.write(b"one\n")
    writer.write(b"<3>two\n  more of it\n")
    writer.close()
    header = HEADER["local" if daemon.address.path else "remote"]
    assert re.fullmatch(f"<30>{header}one", daemon.receive())
    message = daemon.receive()
    assert re.fullmatch(f"<27>{header}two\n  more of it", message)
    assert str(os.getpid()) in message
    assert writer.lost == 0


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_longest_message(daemon: Daemon, over: int) -> None:
    writer = SyslogWriter(daemon.address)
    writer.write(b"\n")
    writer.flush()
    header = len(daemon.receive())
    writer.write(b"x" * (SYSLOG_MESSAGE - header + over) + b"\n")
    writer.close()
    assert len(daemon.receive()) == SYSLOG_MESSAGE + min(over, 0)


def test_a_daemon_that_is_restarted_is_connected_to_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    errors: list[OSError] = []
    first = Daemon(Path("log"))
    writer = SyslogWriter(first.address, failed=errors.append)
    first.socket.close()
    writer.write(b"lost\n")
    assert writer.flush()
    assert (writer.lost, len(errors)) == (1, 1)
    os.unlink("log")
    second = Daemon(Path("log"))
    writer.write(b"found\n")
    writer.close()
    assert second.receive().endswith(": found")
    assert second.receive().endswith("1 log lines were lost here: the log could not be written fast enough, or at all")
    second.socket.close()


def test_nobody_who_listens_is_an_error_at_once(tmp_path: Path) -> None:
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(FileNotFoundError):
        SyslogWriter(SyslogAddress(str(tmp_path / "no")))
    assert set(os.listdir("/dev/fd")) == before
