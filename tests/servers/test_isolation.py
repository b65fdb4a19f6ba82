"""Isolation: nothing that one request leaves behind is met by another, on its own connection or elsewhere."""

from __future__ import annotations

import contextvars
import decimal
import gc
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.local
import pytest
from gevent import getcurrent

from tests.conftest import GET, Launch, Served, Serving, wait_until

WAYS = ["one after the other", "pipelined", "on other connections", "at the same time"]
every_way = pytest.mark.parametrize("way", WAYS)
WAITS: dict[str, Callable[[], object]] = {"never waiting": lambda: None, "waiting": lambda: gevent.sleep(0)}
every_wait = pytest.mark.parametrize("waits", WAITS)


def request_often(served: Served, way: str, count: int = 60) -> list[bytes]:
    """Make `count` requests in one of the ways, and return the bodies of their responses."""
    if way == "one after the other":
        client = served.connect()
        return [client.get().body for _ in range(count)]
    if way == "pipelined":
        return [response.body for response in served.connect().send(GET * count).responses(count)]
    if way == "on other connections":
        return [served.get().body for _ in range(count)]
    clients = [served.connect().send(GET) for _ in range(count)]
    return [client.response().body for client in clients]


def finding(look: Callable[[], object], leave: Callable[[], object], wait: Callable[[], object]) -> Any:
    """An application that answers what `look` finds, and then leaves something."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        found = look()
        leave()
        wait()
        start_response("200 OK", [])
        return [repr(found).encode()]

    return app


# What belongs to a greenlet.


@every_wait
@every_way
def test_gevent_local(serve: Serving, way: str, waits: str) -> None:
    local = gevent.local.local()
    served = serve(finding(lambda: dict(vars(local)), lambda: setattr(local, "mine", 1), WAITS[waits]))
    assert set(request_often(served, way)) == {b"{}"}


@every_wait
@every_way
def test_context_variables(serve: Serving, way: str, waits: str) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def look() -> object:
        return variable.get(), decimal.getcontext().prec, len(contextvars.copy_context())

    def leave() -> None:
        variable.set(1)
        decimal.getcontext().prec = 7

    bodies = request_often(serve(finding(look, leave, WAITS[waits])), way)
    assert len(set(bodies)) == 1
    assert bodies[0].startswith(b"(0, 28, ")


@every_wait
@every_way
def test_the_exception_being_handled(serve: Serving, way: str, waits: str) -> None:
    def leave() -> None:
        try:
            raise ValueError
        except ValueError:
            WAITS[waits]()

    served = serve(finding(lambda: sys.exc_info()[0], leave, WAITS[waits]))
    assert set(request_often(served, way)) == {b"None"}


@every_wait
@every_way
def test_the_current_greenlet_as_a_key(serve: Serving, way: str, waits: str) -> None:
    values: dict[Any, int] = {}
    served = serve(finding(lambda: values.get(getcurrent()), lambda: values.update({getcurrent(): 1}), WAITS[waits]))
    assert set(request_often(served, way)) == {b"None"}
    assert len(values) == 60


@every_wait
@every_way
def test_the_current_greenlet_as_a_weak_key(serve: Serving, way: str, waits: str) -> None:
    """The address of a greenlet that has ended is soon that of another; nothing may be found under it then."""
    values: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def leave() -> None:
        values[getcurrent()] = 1

    served = serve(finding(lambda: values.get(getcurrent()), leave, WAITS[waits]))
    assert set(request_often(served, way)) == {b"None"}
    gevent.idle()
    gc.collect()
    assert not values


def test_an_address_that_is_used_again_has_no_gevent_local_left(serve: Serving) -> None:
    local = gevent.local.local()
    addresses: set[int] = set()

    def leave() -> None:
        local.mine = 1
        addresses.add(id(getcurrent()))

    served = serve(finding(lambda: dict(vars(local)), leave, lambda: None))
    assert set(request_often(served, "one after the other", 500)) == {b"{}"}
    assert len(addresses) < 500


def test_what_a_local_held_is_freed_with_the_request(serve: Serving) -> None:
    class Thing:
        pass

    local = gevent.local.local()
    things: list[weakref.ref[Thing]] = []

    def leave() -> None:
        local.thing = Thing()
        things.append(weakref.ref(local.thing))

    request_often(serve(finding(lambda: None, leave, lambda: None)), "pipelined")
    gevent.idle()
    assert [thing() for thing in things] == [None] * 60


# What is aimed at a greenlet and comes late.


@every_way
def test_a_forgotten_timeout(serve: Serving, way: str) -> None:
    """Every request starts one that passes while a later request waits."""
    served = serve(finding(lambda: None, lambda: gevent.Timeout.start_new(0.005), lambda: gevent.sleep(0.002)))
    assert set(request_often(served, way)) == {b"None"}
    gevent.sleep(0.01)
    assert served.log == ""
    assert serve.hub_errors() == ""


LATE: dict[str, Callable[[Any], object]] = {
    "kill": lambda greenlet: greenlet.kill(block=False),
    "gevent.kill": gevent.kill,
    "gevent.killall": lambda greenlet: gevent.killall([greenlet], block=False),
    "throw": lambda greenlet: gevent.get_hub().loop.run_callback(greenlet.throw, ValueError),
    "spawn_later": lambda greenlet: gevent.spawn_later(0.001, greenlet.kill),
}


@pytest.mark.parametrize("late", LATE)
@every_way
def test_a_late_kill(serve: Serving, way: str, late: str) -> None:
    """Every request kills those before it, as a watchdog would that was not told of their end."""
    earlier: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        for greenlet in earlier:
            if greenlet.ready():
                LATE[late](greenlet)
        earlier.append(getcurrent())
        gevent.sleep(0.002)
        start_response("200 OK", [])
        return [b"alive"]

    served = serve(app)
    assert request_often(served, way, 20) == [b"alive"] * 20
    assert served.log == ""


def test_a_waiter_of_an_earlier_request_is_not_woken_by_a_later_one(serve: Serving) -> None:
    joined: list[Any] = []

    def wait_for(greenlet: Any) -> None:
        greenlet.join()
        joined.append(greenlet)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        current = getcurrent()
        gevent.spawn(wait_for, current)
        gevent.sleep(0.001)
        start_response("200 OK", [])
        return [b"%d" % sum(1 for each in joined if each is current)]

    served = serve(app)
    assert set(request_often(served, "pipelined")) == {b"0"}
    wait_until(lambda: len(joined) == 60)
    assert len({id(each) for each in joined}) == 60


# What belongs to a thread, in a program whose threads are greenlets.

PATCHED_SERVER = """
    from gevent import monkey
    monkey.patch_all()

    import threading
    import time
    from hublet.servers.server import WSGIServer

    local = threading.local()
    lock = threading.RLock()

    def app(environ, start_response):
        found = [sorted(vars(local)), hasattr(threading.current_thread(), "mine")]
        local.mine = 1
        threading.current_thread().mine = 1
        with lock:
            if environ["PATH_INFO"] == "/wait":
                time.sleep(0.0005)
        start_response("200 OK", [])
        return [repr([*found, threading.active_count()]).encode()]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
"""


@pytest.mark.parametrize("path", [b"/", b"/wait"])
def test_thread_locals(launch: Launch, path: bytes) -> None:
    process = launch(PATCHED_SERVER)
    request = GET.replace(b"/ ", path + b" ")
    pipelined = process.connect().send(request * 200).responses(200)
    clients = [process.connect().send(request) for _ in range(50)]
    bodies = [response.body for response in [*pipelined, *(client.response() for client in clients)]]
    assert all(body.startswith(b"[[], False, ") for body in bodies), set(bodies)
    threads = int(process.connect().get().body.rpartition(b" ")[2].rstrip(b"]"))
    assert threads < 10, "the threads of earlier requests are still counted"
    assert process.errors() == ""
