"""What is checked of pyzmq, in a patched process; the other end is a greenlet of the same process."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import zmq
import zmq.sugar.context
import zmq.sugar.socket
from gevent.monkey import get_original

from loadtests.bench.libraries.ticker import measured

from .probe import assert_raises, assert_undone, assert_yields, killed_inside


@contextmanager
def pair(kinds: tuple[int, int] = (zmq.PAIR, zmq.PAIR), **options: Any) -> Iterator[tuple[Any, Any]]:
    """Two sockets that are connected."""
    with zmq.Context() as context, context.socket(kinds[0]) as ours, context.socket(kinds[1]) as theirs:
        for name, value in options.items():
            setattr(ours, name, value)
        ours.connect(f"tcp://127.0.0.1:{theirs.bind_to_random_port('tcp://127.0.0.1')}")
        yield ours, theirs


def check_requests() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
        port = server.bind_to_random_port("tcp://127.0.0.1")

        def answer(*parts: bytes) -> None:
            gevent.sleep(0.2)
            server.send_multipart(parts)

        def serve() -> None:
            while True:
                gevent.spawn(answer, *server.recv_multipart())

        def operation() -> None:
            with context.socket(zmq.REQ) as client:
                client.connect(f"tcp://127.0.0.1:{port}")
                client.send_json({"a": 1})
                assert client.recv_json() == {"a": 1}

        serving = gevent.spawn(serve)
        assert_yields(operation)
        serving.kill()


def check_time_limits() -> None:
    with pair(rcvtimeo=100) as (ours, theirs), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ours.rcvtimeo == ours.getsockopt(zmq.RCVTIMEO) == 100
        with measured() as waiting:
            assert_raises(zmq.Again, ours.recv)
        assert 0.08 < waiting.elapsed < 2
        gevent.spawn(theirs.send, b"soon")
        assert ours.recv() == b"soon"
        ours.setsockopt(zmq.RCVTIMEO, 0)
        assert_raises(zmq.Again, ours.recv_multipart)
        assert_raises(zmq.Again, lambda: ours.recv(zmq.DONTWAIT))
    with zmq.Context() as context, context.socket(zmq.PUSH) as alone:
        alone.sndtimeo = 50
        assert_raises(zmq.Again, lambda: alone.send(b"to nobody"))


def check_polling() -> None:
    with pair() as (ours, theirs):
        poller = zmq.Poller()
        poller.register(ours, zmq.POLLIN)
        assert_yields(lambda: poller.poll(200))
        assert poller.poll(10) == []
        theirs.send(b"x")
        assert poller.poll(5000) == [(ours, zmq.POLLIN)]
        assert ours.poll(10) == zmq.POLLIN
        buffer = bytearray(10)
        assert (ours.recv_into(buffer), bytes(buffer[:1])) == (1, b"x")


def check_a_kill_loses_nothing() -> None:
    with pair() as (ours, theirs):
        killed_inside(ours.recv)
        theirs.send_multipart([b"one", b"two"])
        assert ours.recv_multipart() == [b"one", b"two"]


def check_native_threads_and_the_hub() -> None:
    found: list[bytes] = []

    def use() -> None:
        with pair() as (ours, theirs):
            theirs.send(b"here")
            found.append(ours.recv())

    gevent.get_hub().threadpool.apply(use)
    gevent.get_hub().loop.run_callback(use)
    deadline = time.monotonic() + 10
    while len(found) < 2 and time.monotonic() < deadline:
        gevent.sleep(0.01)
    assert found == [b"here", b"here"]


def check_a_shadow_may_outlive_its_socket() -> None:
    """zmq.asyncio makes one for each of its sockets. libev ends the process if it is to watch a closed descriptor."""
    with zmq.Context() as context:
        owner = context.socket(zmq.PAIR)
        descriptor: Any = owner.getsockopt(zmq.FD)
        shadow: Any = zmq.Socket.shadow(owner.underlying)
        owner.close(0)
        assert_raises(OSError, lambda: [os.fstat(descriptor) for _ in range(1_000_000)])  # without turning the loop
        gevent.sleep(0.01)
        del shadow


def check_one_greenlet_sends_while_another_receives() -> None:
    with pair((zmq.DEALER, zmq.DEALER), sndhwm=1, rcvhwm=1) as (ours, theirs):
        theirs.rcvhwm = theirs.sndhwm = 1
        receiving = gevent.spawn(lambda: [ours.recv() for _ in range(50)])
        sending = gevent.spawn(lambda: [ours.send(b"x" * 100_000) for _ in range(50)])
        gevent.sleep(0.05)  # now both wait
        answering = gevent.spawn(lambda: [theirs.send(theirs.recv()) for _ in range(50)])
        with gevent.Timeout(10):
            gevent.joinall([receiving, sending, answering], raise_error=True)
        assert receiving.get() == [b"x" * 100_000] * 50


def check_no_call_takes_the_news_from_who_waits() -> None:
    """The descriptor tells of a message once, and whichever call comes next would hear it."""
    with pair() as (ours, theirs):
        ours.bind("inproc://bound")
        calls: list[Any] = [
            lambda: ours.poll(0, zmq.POLLERR),
            lambda: ours.connect("inproc://one"),
            lambda: ours.disconnect("inproc://one"),
            lambda: ours.bind("inproc://two"),
            lambda: ours.unbind("inproc://two"),
        ]
        for call in calls:
            receiving = gevent.spawn(ours.recv)
            gevent.sleep(0.05)
            theirs.send(b"x")
            get_original("time", "sleep")(0.1)  # it comes, and the hub does not turn
            call()
            assert receiving.get(timeout=3) == b"x"


def check_a_socket_that_another_native_thread_has_made() -> None:
    """That thread's loop does not turn any more."""
    with zmq.Context() as context:
        ours = gevent.get_hub().threadpool.apply(context.socket, (zmq.PAIR,))
        with ours, context.socket(zmq.PAIR) as theirs:
            ours.connect(f"tcp://127.0.0.1:{theirs.bind_to_random_port('tcp://127.0.0.1')}")
            receiving = gevent.spawn(ours.recv)
            gevent.sleep(0.05)
            theirs.send(b"x")
            assert receiving.get(timeout=3) == b"x"


def check_its_asyncio_variant_is_not_touched() -> None:
    zmq_asyncio: Any = importlib.import_module("zmq.asyncio")

    async def exchange() -> Any:
        with zmq_asyncio.Context() as context, context.socket(zmq.PAIR) as ours, context.socket(zmq.PAIR) as theirs:
            ours.connect(f"tcp://127.0.0.1:{theirs.bind_to_random_port('tcp://127.0.0.1')}")
            await ours.send(b"async")
            return await theirs.recv()

    assert asyncio.run(exchange()) == b"async"


def check_undo() -> None:
    assert zmq.Context.instance() is zmq.Context.instance()
    zmq.Context.instance().term()
    assert_undone("pyzmq", zmq, zmq.sugar, zmq.sugar.context, zmq.sugar.poll, zmq.sugar.socket)
