"""What is checked of py-amqp, kombu and pika, in a patched process, against RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from uuid import uuid4

import amqp
import amqp.abstract_channel
import amqp.connection
import amqp.transport
import gevent
import kombu
import kombu.exceptions
import kombu.pools
import pika
import pika.adapters.blocking_connection
import pika.exceptions
from gevent.server import StreamServer

from loadtests.private.slow_proxy import slow_proxy

from .probe import AT_ONCE, assert_raises, assert_undone, assert_yields, killed_inside

HEARTBEAT = 1  # second


def url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def with_amqp(port: int, **options: Any) -> Any:
    connection = amqp.Connection(f"127.0.0.1:{port}", confirm_publish=True, **options)
    connection.connect()
    return connection


def with_pika(port: int, **options: Any) -> Any:
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, **options))


def confirming(port: int) -> Any:
    channel = with_pika(port).channel()
    channel.confirm_delivery()
    return channel


@contextmanager
def queue_named(port: int) -> Iterator[str]:
    """A queue for one check."""
    name = f"checked-{uuid4().hex}"
    with with_amqp(port) as connection:
        connection.channel().queue_declare(name, auto_delete=False)
        yield name
        connection.channel().queue_delete(name)


@contextmanager
def deaf_proxy(port: int) -> Iterator[tuple[int, Callable[[], None], Callable[[], None]]]:
    """Yield the port of a proxy, what makes it stop to pass on anything, and what breaks its connections."""
    deaf = gevent.event.Event()
    open_now: list[Any] = []

    def passing(source: Any, sink: Any) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if deaf.is_set():
                    gevent.sleep(60)
                sink.sendall(data)

    def connected(client: Any, _: Any) -> None:
        server = gevent.socket.create_connection(("127.0.0.1", port))
        open_now.extend((client, server))
        gevent.joinall([gevent.spawn(passing, client, server), gevent.spawn(passing, server, client)])

    def hang_up() -> None:
        for each in open_now:
            with suppress(OSError):
                each.shutdown(2)

    proxy = StreamServer(("127.0.0.1", 0), connected)
    proxy.start()
    try:
        yield proxy.server_port, deaf.set, hang_up
    finally:
        proxy.stop(0)


def check_connecting_yields(port: int) -> None:
    with slow_proxy(port) as slow:
        assert_yields(lambda: with_amqp(slow).collect())
        assert_yields(lambda: kombu.Connection(url(slow)).connect())
        assert_yields(lambda: with_pika(slow)._impl._terminate_stream(pika.exceptions.StreamLostError("done")))


def check_confirmed_messages_yield(port: int) -> None:
    with slow_proxy(port) as slow, queue_named(port) as queue:
        free = [each.get() for each in [gevent.spawn(lambda: with_amqp(slow).channel()) for _ in range(AT_ONCE)]]

        def publish() -> None:
            channel = free.pop()
            channel.basic_publish_confirm(amqp.Message("text"), routing_key=queue)
            free.append(channel)

        gevent.joinall([gevent.spawn(publish) for _ in free], raise_error=True, timeout=20)  # confirm.select
        assert_yields(publish)
        free = [each.get() for each in [gevent.spawn(confirming, slow) for _ in range(AT_ONCE)]]

        def publish_by_pika() -> None:
            channel = free.pop()
            channel.basic_publish("", queue, b"text", mandatory=True)
            free.append(channel)

        assert_yields(publish_by_pika)


def check_pools_of_kombu_yield(port: int) -> None:
    with slow_proxy(port) as slow, queue_named(port) as queue:
        connection = kombu.Connection(url(slow), transport_options={"confirm_publish": True})
        pool = kombu.pools.ProducerPool(connection.Pool(limit=AT_ONCE), limit=AT_ONCE)

        def publish() -> None:
            with pool.acquire(block=True) as producer:
                producer.publish({"a": 1}, routing_key=queue, retry=True)

        gevent.joinall([gevent.spawn(publish) for _ in range(AT_ONCE)], raise_error=True, timeout=20)
        assert_yields(publish)
        with pool.acquire(block=True) as producer, gevent.Timeout(0.05, False):
            producer.publish({"a": 2}, routing_key=queue)
        assert len(pool._dirty) == 0
        gevent.joinall(
            [gevent.spawn(publish) for _ in range(AT_ONCE)], raise_error=True, timeout=20
        )  # it connects anew
        pool.force_close_all()


def check_messages_are_what_was_sent(port: int) -> None:
    with queue_named(port) as queue, kombu.Connection(url(port)) as connection:
        simple = connection.SimpleQueue(queue, queue_opts={"auto_delete": False, "durable": False})
        with_pika(port).channel().basic_publish("", queue, b"bytes", pika.BasicProperties(headers={"n": 7}))
        message = simple.get(timeout=5)
        assert (message.body, message.headers) == (b"bytes", {"n": 7})
        message.ack()
        large = {"large": "x" * 1_000_000}
        simple.put(large, compression="zlib")
        received = simple.get(timeout=5)
        assert received.payload == large
        received.ack()
        assert_raises(simple.Empty, lambda: simple.get(timeout=0.1))


def check_a_consumer_waits_for_the_next(port: int) -> None:
    with queue_named(port) as queue:
        consumer = with_pika(port).channel()
        waiting = gevent.spawn(lambda: next(consumer.consume(queue, auto_ack=True))[2])
        receiver = with_amqp(port)
        seen: list[Any] = []
        gevent.sleep(0.1)
        assert not waiting.ready()
        publisher = confirming(port)
        publisher.basic_publish("", queue, b"first")
        assert waiting.get(timeout=5) == b"first"
        consumer.connection.close()
        receiver.channel().basic_consume(queue, callback=lambda message: seen.append(message.body), no_ack=True)
        with gevent.Timeout(0.1, False):
            receiver.drain_events()
        assert_raises(TimeoutError, lambda: receiver.drain_events(timeout=0.1))
        publisher.basic_publish("", queue, b"x" * 300_000)
        receiver.drain_events(timeout=5)  # what was interrupted without anything lost goes on
        assert seen == [b"x" * 300_000]
        receiver.close()


def time_out(call: Callable[[], object]) -> None:
    with gevent.Timeout(0.05):
        call()


def time_out_by_an_error(call: Callable[[], object]) -> None:
    with gevent.Timeout(0.05, ValueError("too slow")):
        call()


#: How a call is ended before its reply, and what that raises.
INTERRUPTS: tuple[tuple[Callable[[Callable[[], object]], object], type[BaseException] | None], ...] = (
    (killed_inside, None),
    (time_out, gevent.Timeout),
    (time_out_by_an_error, ValueError),
)


def check_no_call_gets_the_reply_to_the_one_before(port: int) -> None:
    with slow_proxy(port) as slow:
        for interrupt, error in INTERRUPTS:
            for connect in (with_amqp, with_pika):
                channel = connect(slow).channel()
                declare = partial(channel.queue_declare, "")
                if error:
                    assert_raises(error, partial(interrupt, declare))
                else:
                    interrupt(declare)
                assert_raises((amqp.RecoverableConnectionError, pika.exceptions.AMQPError), declare)


def check_no_confirmation_of_the_message_before(port: int) -> None:
    """A mandatory message that nobody receives is returned, whatever came before it."""
    with slow_proxy(port) as slow, queue_named(port) as queue:
        publisher = confirming(slow)
        assert_raises(
            pika.exceptions.UnroutableError, lambda: publisher.basic_publish("", "nobody", b"", mandatory=True)
        )
        killed_inside(lambda: publisher.basic_publish("", queue, b"first"))
        assert_raises(pika.exceptions.AMQPError, lambda: publisher.basic_publish("", "nobody", b"", mandatory=True))
        channel = with_amqp(slow).channel()
        channel.confirm_select()
        killed_inside(lambda: channel.basic_publish_confirm(amqp.Message("first"), routing_key=queue))
        assert_raises(
            amqp.RecoverableConnectionError,
            lambda: channel.basic_publish_confirm(amqp.Message("second"), routing_key=queue),
        )


def check_a_kill_inside_a_large_frame(port: int) -> None:
    """The rest of a frame would be taken for the next one's beginning, both ways."""
    with deaf_proxy(port) as (proxied, be_deaf, _), queue_named(port) as queue:
        connection = with_amqp(proxied)
        channel = connection.channel()
        be_deaf()
        killed_inside(lambda: channel.basic_publish(amqp.Message("x" * 30_000_000), routing_key=queue), after=0.3)
        assert_raises((OSError, amqp.AMQPError), lambda: channel.queue_declare(""))
        assert not connection.connected


class Stream(gevent.socket.socket):
    """A socket with the methods of TLS."""

    read = gevent.socket.socket.recv
    write = gevent.socket.socket.send


def check_what_was_closed_within_a_frame_says_so(port: int) -> None:
    """Whatever is called next, with a time limit or without: kombu connects anew after an OSError."""
    del port
    for kind in (amqp.transport.TCPTransport, amqp.transport.SSLTransport):
        ours, theirs = gevent.socket.socketpair()
        connection, transport = amqp.Connection(), kind("localhost")
        connection.transport, transport.sock, transport.connected = transport, Stream(fileno=ours.detach()), True
        transport._quick_recv, connection.on_inbound_frame = transport.sock.recv, bool
        theirs.sendall(b"\1\0\1\0\0\0\x10part")
        assert_raises(gevent.Timeout, partial(time_out, connection.drain_events))
        for timeout in (None, 0, 1):
            assert_raises(OSError, partial(connection.drain_events, timeout=timeout))
        if kind is amqp.transport.SSLTransport:
            assert_raises(OSError, partial(transport.write, b"frame"))
        assert not connection.connected
        assert theirs.recv(1) == b""
        connection.collect()


def check_errors_are_the_libraries_own(port: int) -> None:
    assert_raises(ConnectionRefusedError, lambda: with_amqp(1))
    assert_raises(kombu.exceptions.OperationalError, lambda: kombu.Connection(url(1)).ensure_connection(max_retries=1))
    assert_raises(pika.exceptions.AMQPConnectionError, lambda: with_pika(1))
    assert_raises(amqp.AccessRefused, lambda: with_amqp(port, password="wrong"))
    channel = with_amqp(port).channel()
    assert_raises(amqp.NotFound, lambda: channel.queue_declare("no-such-queue", passive=True))
    assert channel.connection is None or channel.connection.connected
    blocking = with_pika(port)
    assert_raises(
        pika.exceptions.ChannelClosedByBroker, lambda: blocking.channel().queue_declare("no-such-queue", passive=True)
    )
    assert blocking.channel().is_open
    blocking.close()
    assert blocking.is_closed


def check_a_broker_that_is_gone(port: int) -> None:
    with deaf_proxy(port) as (proxied, be_deaf, hang_up):
        connection, blocking = with_amqp(proxied), with_pika(proxied)
        channel, blocking_channel = connection.channel(), blocking.channel()
        be_deaf()
        replies = [
            gevent.spawn(assert_raises, (OSError, amqp.AMQPError), lambda: channel.queue_declare("")),
            gevent.spawn(assert_raises, pika.exceptions.AMQPError, lambda: blocking_channel.queue_declare("")),
        ]
        gevent.sleep(0.1)
        assert not any(each.ready() for each in replies)
        hang_up()
        gevent.joinall(replies, raise_error=True, timeout=10)
        assert all(each.ready() for each in replies)
        assert blocking.is_closed
        assert not connection.connected


def check_lost_heartbeats(port: int) -> None:
    with deaf_proxy(port) as (proxied, be_deaf, _):
        connection = with_amqp(proxied, heartbeat=HEARTBEAT)
        blocking = with_pika(proxied, heartbeat=HEARTBEAT)
        be_deaf()
        lost = gevent.spawn(assert_raises, pika.exceptions.AMQPHeartbeatTimeout, lambda: blocking.sleep(20))

        def tick() -> None:
            for _ in range(100):
                connection.heartbeat_tick()
                gevent.sleep(HEARTBEAT / 10)

        assert_raises(amqp.ConnectionForced, tick)
        lost.get(timeout=20)  # pika asks after 6 s and after 12
        assert blocking.is_closed


def check_closing_is_not_stuck_if_interrupted(port: int) -> None:
    with slow_proxy(port) as slow:
        blocking, connection = with_pika(slow), with_amqp(slow)
        killed_inside(blocking.close)
        assert blocking.is_closed
        killed_inside(connection.close)
        assert not connection.connected


def check_undo(port: int) -> None:
    del port
    assert_undone(
        "amqp",
        amqp.transport.TCPTransport,
        amqp.transport.SSLTransport,
        amqp.abstract_channel.AbstractChannel,
        amqp.connection.Connection,
    )
    blocking = pika.adapters.blocking_connection
    assert_undone("pika", blocking.BlockingChannel, blocking.BlockingConnection)
