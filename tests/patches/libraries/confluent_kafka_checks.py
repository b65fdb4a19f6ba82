"""What is checked of confluent-kafka, in a patched process: with a silent broker, and with librdkafka's own."""

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


@contextmanager
def mock_cluster(latency: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the configuration that leads to a broker that librdkafka runs in this process; `latency` is in ms."""
    keeper = confluent_kafka.Producer({"test.mock.num.brokers": 1, "test.mock.broker.rtt": latency, "logger": quiet})
    brokers = keeper.list_topics(timeout=10).brokers.values()
    yield {"bootstrap.servers": ",".join(f"{each.host}:{each.port}" for each in brokers), "logger": quiet}


def received(options: dict[str, Any], topic: str, count: int) -> list[bytes]:
    """So many messages of a topic, from its beginning, and those that come within another half a second."""
    reader = confluent_kafka.Consumer(
        {**options, "group.id": topic, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    )
    reader.subscribe([topic])
    values: list[bytes] = []
    with gevent.Timeout(20):
        while len(values) < count:
            message = reader.poll(1)
            if message is not None:
                assert message.error() is None, message.error()
                values.append(message.value())
    values.extend(each.value() for each in reader.consume(10, 0.5))
    offsets = reader.commit(asynchronous=False)
    assert sum(each.offset for each in offsets if each.offset > 0) >= count, offsets
    reader.close()
    return sorted(values)


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


def check_messages_arrive() -> None:
    """Each report is called once, in the greenlet that flushes; the hub turns meanwhile."""
    with mock_cluster(latency=200) as options:
        producer = confluent_kafka.Producer(options)
        reports: list[Any] = []

        def report(error: Any, message: Any) -> None:
            reports.append((error, message.value(), message.offset() >= 0, gevent.getcurrent()))

        values = sorted(b"%d" % number for number in range(50))
        for value in values:
            producer.produce("arrivals", value, on_delivery=report)
        with measured() as flushing:
            assert producer.flush(10) == 0
        assert flushing.elapsed > 0.1
        assert flushing.stall < 0.15, flushing
        assert sorted(each[1] for each in reports) == values
        assert {each[0] for each in reports} == {None}
        assert {each[2:] for each in reports} == {(True, gevent.getcurrent())}
        assert received(options, "arrivals", 50) == values


def check_every_kind_of_report() -> None:
    """The producer's, a batch's and a message's are called in the greenlet that waits; `with` waits for them all."""
    with mock_cluster(latency=200) as options:
        reports: list[Any] = []

        def report(error: Any, message: Any) -> None:
            reports.append((error, message.value(), gevent.getcurrent()))

        with measured() as sending:
            with confluent_kafka.Producer({**options, "on_delivery": report}) as producer:
                producer.produce("reports", b"1")
                assert producer.flush(10) == 0
                assert producer.produce_batch("reports", [{"value": b"2"}], on_delivery=report) == 1
                assert producer.produce_batch("reports", [{"value": b"3", "callback": report}]) == 1
            assert len(reports) == 3
            closed = confluent_kafka.Producer(options)
            closed.produce("reports", b"4", on_delivery=report)
            assert closed.close()
        assert sending.elapsed > 0.3
        assert sending.stall < 0.15, sending
        assert sorted(each[1] for each in reports) == [b"1", b"2", b"3", b"4"]
        assert {(each[0], each[2]) for each in reports} == {(None, gevent.getcurrent())}


def check_failed_messages_of_a_batch_say_why() -> None:
    with silent_broker() as options:
        producer = confluent_kafka.Producer({**options, "queue.buffering.max.messages": 1})
        messages = [{"value": b"x", "callback": print} for _ in range(2)]
        assert producer.produce_batch("topic", messages) == 1
        assert ["_error" in each for each in messages] == [False, True]
        assert {each["callback"] for each in messages} == {print}
        assert_raises(TypeError, lambda: producer.produce_batch("topic", None))
        producer.purge()
        producer.flush(1)


def check_producers_flush_at_once() -> None:
    with mock_cluster(latency=200) as options:
        producers = [confluent_kafka.Producer(options) for _ in range(20)]
        free: list[Any] = []

        def send() -> None:
            if not free:
                free.extend(producers)
            producer = free.pop()
            producer.produce("together", b"x")
            assert producer.flush(10) == 0

        gevent.joinall([gevent.spawn(send) for _ in producers], raise_error=True, timeout=20)  # connects
        assert_yields(send)


def check_a_group_is_left_and_joined() -> None:
    """Callbacks of a consumer are called, and a consumer that was killed inside poll gets the message after it."""
    with mock_cluster() as options:
        assigned: list[Any] = []
        reader = confluent_kafka.Consumer({**options, "group.id": "joining", "auto.offset.reset": "earliest"})
        producer = confluent_kafka.Producer(options)
        producer.produce("joined", b"first")
        assert producer.flush(10) == 0
        reader.subscribe(["joined"], on_assign=lambda _, partitions: assigned.extend(partitions))
        with gevent.Timeout(20):
            while (message := reader.poll(1)) is None:
                pass
        assert message.value() == b"first"
        assert assigned
        assert killed_inside(reader.poll) < 1
        producer.produce("joined", b"second")
        assert producer.flush(10) == 0
        assert reader.poll(10).value() == b"second"
        reader.close()


def check_transactions() -> None:
    """What is committed is read, what is aborted is not; reports have been called when the transaction has ended."""
    with mock_cluster() as options:
        producer = confluent_kafka.Producer({**options, "transactional.id": "checked"})
        producer.init_transactions(10)
        reports: list[Any] = []

        def report(error: Any, message: Any) -> None:
            reports.append((error and error.code(), message.value(), gevent.getcurrent()))

        producer.begin_transaction()
        producer.produce("ended", b"committed", on_delivery=report)
        with measured() as committing:
            producer.commit_transaction(10)
        assert committing.stall < 0.15, committing
        assert reports == [(None, b"committed", gevent.getcurrent())]
        reports.clear()
        producer.begin_transaction()
        producer.produce("ended", b"aborted", on_delivery=report)
        producer.abort_transaction(10)
        purged = {confluent_kafka.KafkaError._PURGE_QUEUE, confluent_kafka.KafkaError._PURGE_INFLIGHT, None}
        assert [each[1] for each in reports] == [b"aborted"]
        assert reports[0][0] in purged
        error = assert_raises(confluent_kafka.KafkaException, lambda: producer.commit_transaction(1))
        assert error.args[0].code() == confluent_kafka.KafkaError._STATE
        assert received(options, "ended", 1) == [b"committed"]


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
