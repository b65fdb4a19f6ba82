"""Clients of message brokers that speak AMQP, and what is built on them."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement
from .cooperative import cooperative

LIBRARIES: Final = "hublet.patches.libraries."
ANSWERS_THE_NEXT: Final = (
    "cooperates, but after a call whose greenlet was killed or timed out, the next one gets its reply, also a "
    "publisher confirm: such a call closes the connection"
)


def wrapped(target: str, by: str) -> Replacement:
    """A replacement that is made of its original."""
    return Replacement(target, LIBRARIES + by, wraps=True)


PATCHES: Final[tuple[Patch, ...]] = (
    Patch(
        "amqp",
        ANSWERS_THE_NEXT,
        (
            wrapped("amqp.transport:TCPTransport._read", "amqp:reading"),
            wrapped("amqp.transport:SSLTransport._read", "amqp:reading"),
            wrapped("amqp.transport:_AbstractTransport.write", "amqp:writing"),
            wrapped("amqp.abstract_channel:AbstractChannel.wait", "amqp:collecting"),
            wrapped("amqp.connection:Connection.connect", "amqp:collecting"),
        ),
        module="amqp.connection",
        distribution="amqp",
        versions=">=5.4,<5.5",
        cost="a message with its confirmation: 165 -> 180 us",
        remedy="greenlets must not share a connection",
    ),
    Patch(
        "pika",
        ANSWERS_THE_NEXT,
        (
            wrapped("pika.adapters.blocking_connection:BlockingChannel._flush_output", "pika:replying"),
            wrapped("pika.adapters.blocking_connection:BlockingConnection.close", "pika:closing"),
        ),
        module="pika.adapters.blocking_connection",
        distribution="pika",
        versions=">=1.4,<1.5",
        cost="none that can be measured",
        remedy="greenlets must not share a BlockingConnection; bound its making by socket_timeout and stack_timeout: a "
        "gevent.Timeout there leaves its sockets open for a while",
    ),
    cooperative(
        "kombu",
        "kombu",
        "kombu",
        ">=5.7,<6",
        "it waits in amqp or redis-py; its pools wait on the hub",
        "greenlets must not share a Connection: use kombu.pools",
    ),
    cooperative("celery", "celery", "celery", ">=5.7,<6", "producers wait in kombu"),
    Patch(
        "celery-results",
        "under gevent Celery starts a greenlet for each that waits for a result, with a connection of its own, and "
        "never ends it; with rpc:// it looks after a second at the earliest, and results can go to a greenlet that has "
        "ended",
        (
            wrapped("celery.backends.asynchronous:detect_environment", "celery:environment"),
            wrapped("celery.app.base:oid_from", "celery:identity"),
        ),
        module="celery.backends.asynchronous",
        distribution="celery",
        versions=">=5.7,<5.8",
        cost="none",
        remedy="each greenlet makes a connection for its results: with Redis set result_backend_thread_safe = True, "
        "and ignore_result = True where nobody asks for them",
    ),
    Patch(
        "celery-worker",
        "a worker with -P gevent takes ten messages a second at most, as it waits 0.1 s for heartbeats after each",
        (wrapped("celery.worker.loops:_quick_drain", "celery:draining"),),
        module="celery.worker.loops",
        distribution="celery",
        versions=">=5.7,<5.8",
        cost="none",
    ),
)
