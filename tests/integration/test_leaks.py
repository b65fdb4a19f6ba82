"""A server process has after a hundred thousand requests what it had before: objects, descriptors, watchers, memory."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from tests.conftest import Client, Launch, Process, wait_until

SERVER = """
    import gc
    import json
    import os
    import sys

    import gevent
    import gevent.local
    from greenlet import greenlet
    from hublet.servers.server import WSGIServer
    from hublet.servers.settings import Settings

    local = gevent.local.local()
    BIG = b"x" * 10_000_000

    def inventory():
        gc.collect()
        blocks = sys.getallocatedblocks()
        objects = gc.get_objects()
        timer = gevent.get_hub().loop.timer
        watcher = type(timer(0)).__mro__[-2]
        with open("/proc/self/statm") as statm:
            resident = int(statm.read().split()[1]) * 4096
        return {
            "greenlets": sum(1 for each in objects if isinstance(each, greenlet) and each),
            "watchers": sum(1 for each in objects if isinstance(each, watcher) and each.active),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "objects": len(objects),
            "blocks": blocks,
            "resident": resident,
            "connections": server.statistics().connections,
            "in_flight": server.statistics().in_flight,
            "requests": server.statistics().requests,
        }

    def stream():
        for _ in range(3):
            gevent.sleep(0)
            yield b"x" * 100

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        local.mine = environ
        if path == "/wait":
            gevent.sleep(0)
        elif path == "/read":
            environ["wsgi.input"].read()
        elif path == "/fail":
            raise ValueError
        elif path == "/big":
            start_response("200 OK", [])
            return [BIG]
        elif path == "/stream":
            start_response("200 OK", [])
            return stream()
        elif path == "/inventory":
            start_response("200 OK", [])
            return [json.dumps(inventory()).encode()]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello, World!"]

    settings = Settings(head_timeout=0.2, body_timeout=0.2, write_timeout=0.2, max_body=1000)
    server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None, settings=settings)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
"""
REQUESTS = {
    "answered at once": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "waiting": b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n",
    "with many fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-%d: 1\r\n" * 20 % tuple(range(20)) + b"\r\n",
    "with a body": b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "with an unread body": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "failing": b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n",
    "streaming": b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
}
SHARES = {"answered at once": 60_000, "waiting": 20_000, "with many fields": 4_000, "with a body": 4_000,
          "with an unread body": 4_000, "failing": 4_000, "streaming": 4_000}  # fmt: skip
BATCH = 500
PASSES = 3
MORE_PASSES = 3  # if memory has grown in each of them


def take_inventory(process: Process) -> dict[str, Any]:
    """What the process has once it has nothing to do."""
    client = process.connect()
    inventory: dict[str, Any] = {}

    def is_idle() -> bool:
        inventory.update(json.loads(client.get("/inventory").body))
        return (inventory["connections"], inventory["in_flight"]) == (1, 1)

    wait_until(is_idle)
    client.close()
    return inventory


def make_requests(process: Process, kind: str, count: int) -> None:
    """Make `count` requests over four connections, in batches; all their responses have one size."""
    size = len(process.connect().send(REQUESTS[kind]).end().rest())

    def work(client: Client) -> None:
        for _ in range(count // 4 // BATCH):
            client.send(REQUESTS[kind] * BATCH)
            missing = size * BATCH
            while missing:
                missing -= len(client.socket.recv(missing))
        client.close()

    gevent.joinall([gevent.spawn(work, process.connect()) for _ in range(4)], raise_error=True)


def assert_no_object_stays(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Compare two inventories: greenlets, watchers, descriptors and objects."""
    for name in ("greenlets", "watchers", "descriptors"):
        assert after[name] == before[name], name
    assert after["objects"] - before["objects"] < 50


def grown(before: dict[str, Any], after: dict[str, Any]) -> int:
    """By how many bytes the resident memory grew."""
    resident: int = after["resident"] - before["resident"]
    return resident


def test_a_hundred_thousand_requests(launch: Launch) -> None:
    """A leak grows with every pass. Python's allocator takes 1 MiB at once, in whichever pass the peak is highest.

    A small leak finds room for several passes in what the allocator has: its blocks tell of one in any kind of request.
    """
    process = launch(SERVER)
    for kind in SHARES:
        make_requests(process, kind, 2000)
    inventories = [take_inventory(process)]
    growths: list[int] = []
    while len(growths) < PASSES or (min(growths) >= 64 << 10 and len(growths) < PASSES + MORE_PASSES):
        for kind, count in SHARES.items():
            make_requests(process, kind, count)
        inventories.append(take_inventory(process))
        before, after = inventories[-2:]
        assert after["requests"] - before["requests"] >= 100_000
        assert after["blocks"] - before["blocks"] < min(SHARES.values()) // 4
        assert_no_object_stays(inventories[0], after)
        growths.append(grown(before, after))
    assert min(growths) < 64 << 10, growths
    assert process.errors() == ""


ENDS: dict[str, bytes] = {
    "nothing sent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHo",
    "no request": b"\0\0\r\n\r\n",
    "half a body": b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello",
    "half an unread body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello",
    "too large a body": b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nhello",
    "an unread response": b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n",
    "unread streams": b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" * 10,
    "the last request": b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}


TIMED_OUT = ["half a head", "half a body", "an unread response"]


@pytest.mark.parametrize("how", ["close", "reset", "timeout"])
def test_thousands_of_connections_that_end_badly(launch: Launch, how: str) -> None:
    process = launch(SERVER)

    def end_badly(rounds: int) -> None:
        for _ in range(rounds):
            kinds = TIMED_OUT if how == "timeout" else ENDS
            clients = [process.connect().send(ENDS[kind]) for kind in kinds for _ in range(10)]
            if how == "timeout":
                wait_until(lambda: not any(client.is_silent() for client in clients))  # noqa: B023 (it runs at once)
            for client in clients:
                (client.reset if how == "reset" else client.close)()
            process.clients.clear()

    end_badly(2)
    before = take_inventory(process)
    end_badly(3 if how == "timeout" else 10)
    after = take_inventory(process)
    assert_no_object_stays(before, after)
    assert grown(before, after) < 4 << 20
    assert process.errors() == ""
