"""Talking to systemd: the sockets it passes, and the messages it gets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket
from hublet.servers.systemd import ServiceManager, activated_sockets

PATIENCE = 10.0


class Manager:
    """The receiving side of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(PATIENCE)
        self.environ = {"NOTIFY_SOCKET": address}

    def receive(self) -> list[str]:
        text: str = self.socket.recv(4096).decode()
        return text.split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.chdir(tmp_path)
    made = Manager("notify" if request.param == "path" else f"@hublet-notify-{os.getpid()}")
    yield made
    made.socket.close()


def test_messages(manager: Manager) -> None:
    before = set(os.listdir("/dev/fd"))
    service = ServiceManager(manager.environ)
    assert manager.environ == {}
    service.ready("serves shop")
    assert manager.receive() == ["READY=1", "STATUS=serves shop"]
    service.stopping("finishes 3 requests")
    assert manager.receive() == ["STOPPING=1", "STATUS=finishes 3 requests"]
    begun = time.monotonic_ns() // 1000
    service.reloading("starts anew")
    state, stamp, status = manager.receive()
    assert (state, status) == ("RELOADING=1", "STATUS=starts anew")
    assert begun <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert set(os.listdir("/dev/fd")) == before


def test_the_watchdog_is_fed_at_half_its_interval_while_the_hub_turns(manager: Manager) -> None:
    service = ServiceManager({**manager.environ, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())})
    assert service.watchdog == 0.1
    with service.watched():
        begun = time.monotonic()
        for _ in range(5):
            assert manager.receive() == ["WATCHDOG=1"]
        assert time.monotonic() - begun >= 0.19
        time.sleep(0.2)  # not the hub's: what an application does that blocks it
        manager.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.receive()
        manager.socket.settimeout(PATIENCE)
        assert manager.receive() == ["WATCHDOG=1"]
    gevent.idle()
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.receive()


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}])
def test_a_watchdog_that_is_not_ours(environ: dict[str, str]) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": "/nowhere", **environ})
    with service.watched():
        assert service.watchdog == 0


def test_without_systemd_nothing_is_sent() -> None:
    ServiceManager({}).ready("serves shop")


def test_a_manager_that_is_gone_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/notify"}).ready("serves shop")
    assert "systemd cannot be told READY=1" in caplog.text


@pytest.mark.parametrize("pid", ["", "1", "x"])
def test_sockets_for_another_process_are_not_taken(pid: str) -> None:
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a", "PATH": "/"}
    assert activated_sockets(environ) == {}
    assert environ == {"PATH": "/"}
