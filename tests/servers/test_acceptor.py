"""Accepting connections: as many as there is room for, and none is lost when the descriptors run out."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hublet.servers.acceptor import Acceptor

from tests.conftest import GET, Launch, Process, Served, Serving, wait_until
from tests.servers.http1.apps import answering


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_connections_over_the_limit_wait_until_there_is_room(serve: Serving, limit: int) -> None:
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        go_on.wait()
        start_response("200 OK", [])
        return []

    served = serve(app, max_connections=limit)
    clients = [served.connect().send(GET) for _ in range(limit + 2)]
    served.until(in_flight=limit)
    gevent.idle()
    assert served.server.statistics().accepted == limit
    clients[0].close()  # nobody notices before its response is sent, so there is still no room
    gevent.idle()
    assert served.server.statistics().accepted == limit
    go_on.set()
    assert [client.response().status for client in clients[1:]] == [200] * (limit + 1)
    assert served.server.statistics().connections <= limit


@pytest.mark.parametrize("request_first", [True, False], ids=["after a request", "silent"])
def test_at_the_limit_the_longest_idle_connection_makes_room(serve: Serving, request_first: bool) -> None:
    served = serve(answering(list), max_connections=3)
    idle = []
    for _ in range(3):
        client = served.connect()
        if request_first:
            assert client.get().status == 200
        idle.append(client)
    served.until(connections=3)
    newcomer = served.connect()
    assert newcomer.get().status == 200
    idle[0].expect_end()
    assert idle[2].get().status == 200
    assert served.server.statistics().connections == 3


def test_a_full_server_recovers_again_and_again(serve: Serving) -> None:
    served = serve(answering(list), max_connections=3)
    for _ in range(20):
        clients = [served.connect().send(GET) for _ in range(6)]
        for client in clients:
            assert client.response().status == 200
            client.close()
    served.until(connections=0)
    assert served.server.statistics().accepted == 120


def test_who_asks_is_told_when_connections_close(serve: Serving) -> None:
    """Other processes leave the next connections to whoever seems to have fewer."""
    served = serve(answering(list))
    told: list[int] = []
    tell_of(served, lambda: told.append(served.server.statistics().connections))
    clients = [served.connect() for _ in range(5)]
    served.until(connections=5)
    assert told == []
    for client in clients:
        client.close()
    wait_until(lambda: told and told[-1] == 0)
    assert len(told) <= 5


@pytest.mark.parametrize("moment", ["before", "at once"])
def test_nobody_is_told_when_accepting_has_ended(serve: Serving, moment: str) -> None:
    served = serve(answering(list))
    told: list[int] = []
    tell_of(served, lambda: told.append(1))
    client = served.connect()
    served.until(connections=1)
    if moment == "before":
        served.server.stop_accepting()
    else:
        assert served.server._engine is not None
        served.server._engine.on_idle = served.server.stop_accepting  # called just before
    client.close()
    served.until(connections=0)
    gevent.idle()
    assert told == []


def tell_of(served: Served, on_fewer: Callable[[], object]) -> None:
    """Have this called when connections close."""
    served.server.stop_accepting()
    served.server.on_fewer = on_fewer
    served.server.start_accepting()


def test_many_connections_at_once(serve: Serving) -> None:
    """More than are accepted in one turn."""
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        go_on.wait()
        start_response("200 OK", [])
        return []

    served = serve(app)
    clients = [served.connect().send(GET) for _ in range(300)]
    served.until(connections=300, in_flight=300)
    go_on.set()
    assert {client.response().status for client in clients} == {200}


class ScriptedEndpoint:
    """An endpoint whose accept() has these results, one after the other, and then does accept."""

    open_connections = 0

    def __init__(self, *results: int) -> None:
        self.engine = self
        self.results = list(results)
        self.calls = 0
        self.accepted: list[Any] = []

    def accept(self, listener: int, batch: int) -> int:
        self.calls += 1
        if self.results:
            return self.results.pop(0)
        with socket.socket(fileno=os.dup(listener)) as duplicate:
            self.accepted.append(duplicate.accept()[0])
        return 0


# accept(2): "Linux accept() passes already-pending network errors on the new socket as an error code [...]. For
# reliable operation the application should detect [these] and treat them like EAGAIN". EPERM comes from a firewall.
OF_ONE_CONNECTION = ["ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "EHOSTUNREACH", "EOPNOTSUPP", "EPERM"]


@pytest.mark.parametrize("name", [*OF_ONE_CONNECTION, "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_accepting_goes_on_after_an_error(serve: Serving, name: str) -> None:
    reports: list[str] = []
    endpoint: Any = ScriptedEndpoint(getattr(errno, name))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        acceptor = Acceptor(endpoint, listener, gevent.get_hub().loop, reports.append)
        acceptor.start()
        wait_until(lambda: endpoint.accepted)
        acceptor.stop()
        endpoint.accepted[0].close()
    assert endpoint.calls == 2
    assert len(reports) <= 1


SERVER = """
    import resource
    import sys

    descriptors, max_connections = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    import gevent
    from hublet.servers.server import WSGIServer
    from hublet.servers.settings import Settings

    def app(environ, start_response):
        start_response("200 OK", [])
        return [repr(server.statistics()).encode()]

    server = WSGIServer(("127.0.0.1", 0), app, log=None, settings=Settings(max_connections=max_connections))
    server.start()
    print(server.server_port, flush=True)
    gevent.wait()
"""


def cpu_seconds(process: Process) -> float:
    """The processor time that a process has used so far."""
    with open(f"/proc/{process.popen.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_running_out_of_descriptors_pauses_accepting(launch: Launch) -> None:
    process = launch(SERVER, "64", "1000")
    clients = [process.connect().send(GET) for _ in range(100)]
    wait_until(lambda: process.errors())
    before = cpu_seconds(process)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        gevent.sleep(0.05)
    assert cpu_seconds(process) - before < 0.1
    assert process.errors().count("accepting pauses: Too many open files") == 1
    answered = [client for client in clients if not client.is_silent()]
    assert 40 < len(answered) < 64
    for client in answered:
        assert client.response().status == 200
        client.close()
    for client in clients:
        if client not in answered:
            assert client.response().status == 200
            client.close()
    assert process.connect().get().status == 200
    assert "Traceback" not in process.errors()


def test_the_descriptor_limit_bounds_the_connections_by_default(launch: Launch) -> None:
    """Some descriptors are left to the application, nothing runs out, and a small limit is named."""
    process = launch(SERVER, "100", "0")
    clients = [process.connect().send(GET) for _ in range(100)]
    for client in clients:
        assert client.response().status == 200
    assert b"connections=50," in process.connect().get().body
    assert process.errors().count("leaves room for 50 connections only") == 1
    assert process.errors().count("\n") == 1
