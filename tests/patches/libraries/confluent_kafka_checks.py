"""What is checked of confluent-kafka, in a patched process, where the only broker never answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka
import confluent_kafka.cimpl
import gevent
from gevent.server import StreamServer

from loadtests.bench.libraries.ticker import measured

from .probe import assert_raises, assert_undone, assert_yields, killed_inside


@contextmanager
def silent_broker() -> Iterator[dict[str, Any]]:
    """Yield the configuration that leads to it."""
    server = StreamServer(("127.0.0.1", 0), lambda client, _: client.recv(1 << 20) and gevent.sleep(60))
    server.start()
    try:
        yield {
            "bootstrap.servers": f"127.0.0.1:{server.server_port}",
            "socket.timeout.ms": 10_000,
            "logger": quiet,
        }
    finally:
        server.stop(0)


class quiet:
    """A logger that nothing is written to."""

    @staticmethod
    def log(*_: object) -> None: ...


def consumer(options: dict[str, Any]) -> Any:
    made = confluent_kafka.Consumer({**options, "group.id": "checked"})
    made.subscribe(["topic"])
    return made


def check_polling() -> None:
    with silent_broker() as options:
        consumers = [consumer(options) for _ in range(21)]
        free = list(consumers)

        def poll() -> None:
            assert free.pop().poll(0.3) is None

        with measured() as one:
            poll()
        with measured() as all_of_them:
            gevent.joinall([gevent.spawn(poll) for _ in range(20)], raise_error=True, timeout=30)
        assert 0.25 < one.elapsed < 1, one
        assert all_of_them.elapsed < 2 * one.elapsed + 0.2, (one, all_of_them)
        for each in consumers:
            each.close()


def check_consuming() -> None:
    with silent_broker() as options:
        made = consumer(options)
        with measured() as waiting:
            assert made.consume(5, timeout=0.3) == []
        assert 0.25 < waiting.elapsed < 1
        assert made.poll(0) is None
        assert killed_inside(made.poll) < 1
        made.close()
        assert_raises(RuntimeError, lambda: made.poll(0.1))


def check_flushing_and_reports() -> None:
    """Reports are called in the greenlet that flushes."""
    with silent_broker() as options:
        producer = confluent_kafka.Producer({**options, "message.timeout.ms": 200})
        reports: list[Any] = []

        def report(error: Any, message: Any) -> None:
            gevent.sleep(0)
            reports.append((error.code(), message.value(), gevent.getcurrent()))

        assert_yields(lambda: producer.poll(0.2) and None)
        producer.produce("topic", b"one", on_delivery=report)
        producer.produce("topic", b"two", None, -1, report)
        producer.produce("topic", b"three")
        assert len(producer) == 3
        assert killed_inside(producer.flush) < 1
        assert producer.flush(10) == 0
        expected = [(confluent_kafka.KafkaError._MSG_TIMED_OUT, value) for value in (b"one", b"two")]
        assert sorted(each[:2] for each in reports) == expected, reports
        error = assert_raises(confluent_kafka.KafkaException, lambda: producer.list_topics(timeout=0.2))
        assert error.args[0].code() == confluent_kafka.KafkaError._TRANSPORT, error


def check_subclasses_of_the_library() -> None:
    with silent_broker() as options:
        deserializing = confluent_kafka.DeserializingConsumer({**options, "group.id": "checked"})
        deserializing.subscribe(["topic"])
        with measured() as waiting:
            assert deserializing.poll(0.3) is None
        assert waiting.stall < 0.15, waiting
        deserializing.close()
        serializing = confluent_kafka.SerializingProducer({**options, "message.timeout.ms": 100})
        seen: list[Any] = []
        serializing.produce("topic", value=b"x", on_delivery=lambda error, _: seen.append(error.code()))
        with measured() as waiting:
            assert serializing.flush(10) == 0
        assert seen == [confluent_kafka.KafkaError._MSG_TIMED_OUT]
        assert waiting.stall < 0.15, waiting


def check_without_a_hub() -> None:
    with silent_broker() as options:

        def use() -> Any:
            made = consumer(options)
            found = made.poll(0.05)
            made.close()
            return found

        assert gevent.get_hub().threadpool.apply(use) is None


def check_undo() -> None:
    assert_undone("confluent-kafka", confluent_kafka, confluent_kafka.cimpl)
    assert confluent_kafka.SerializingProducer.__bases__ != (confluent_kafka.cimpl.Producer,)
