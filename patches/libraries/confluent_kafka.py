"""confluent-kafka's producers and consumers: what waits for brokers waits on native threads, a slice of time each.

Between slices a greenlet can be killed; what had come for it then is kept for the next call. Delivery reports are
called in the greenlet that polls, flushes or ends a transaction. Callbacks of a consumer (assigned, revoked) are called
on the native thread, where they may use the consumer.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import DeserializingConsumer, SerializingProducer, cimpl
from gevent._hub_local import get_hub_if_exists

from ...runtime.offload import has_hub_to_yield_to, offload
from .off_loading import lane_of, off_loaded

#: Seconds that one call on a native thread may wait: a killed greenlet waits as long.
SLICE: Final = 0.2
#: What delivery reports are called where they are given.
REPORTS: Final = ("on_delivery", "callback")
original_producer, original_consumer = cimpl.Producer, cimpl.Consumer


def in_slices(call: Callable[[float], Any], timeout: float | None) -> Any:
    """Call with a part of `timeout` (seconds; below 0 and None: no limit) until there is a result, or time is up."""
    endless = timeout is None or timeout < 0
    deadline = time.monotonic() + (0.0 if timeout is None else timeout)
    while True:
        left = SLICE if endless else deadline - time.monotonic()
        result = call(max(0.0, min(SLICE, left)))
        if result or (not endless and left <= SLICE):
            return result


def kept(holder: Any, name: str) -> deque[Any]:
    """A queue that an object keeps under a name."""
    found: deque[Any] | None = holder.__dict__.get(name)
    return holder.__dict__.setdefault(name, deque()) if found is None else found


class WaitingProducer(original_producer):
    """A producer whose waits let other greenlets run. Any number of greenlets may use it."""

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*map(self._deferring, args), **self._deferring(kwargs))

    def produce(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Queue a message; its delivery report is called by `poll` or `flush`, in the greenlet that calls those."""
        if len(args) > 3 and args[3] is not None:
            args = (*args[:3], self._deferred(args[3]), *args[4:])
        super().produce(topic, *args, **self._deferring(kwargs))

    def produce_batch(self, topic: str, messages: Any, *args: Any, **kwargs: Any) -> int:
        """Queue messages, as `produce` does; return how many are queued. The others have an `_error` then."""
        passed = list(map(self._deferring, messages)) if isinstance(messages, list) else messages
        if len(args) > 1 and args[1] is not None:
            args = (args[0], self._deferred(args[1]), *args[2:])
        try:
            return int(super().produce_batch(topic, passed, *args, **self._deferring(kwargs)))
        finally:
            for message, each in zip(messages, passed, strict=True) if passed is not messages else ():
                if message is not each and "_error" in each:
                    message["_error"] = each["_error"]

    def poll(self, timeout: float | None = -1) -> int:
        """Wait for delivery reports, `timeout` seconds at most; return how many were called."""
        return int(self._waiting(super().poll, timeout))

    def flush(self, timeout: float | None = -1) -> int:
        """Wait until nothing is queued, `timeout` seconds at most; return what still is."""

        def is_flushed(seconds: float) -> bool:
            return not flush(seconds)

        flush = super().flush
        self._waiting(is_flushed, timeout)
        return len(self)

    def _waiting(self, call: Callable[[float], Any], timeout: float | None) -> Any:
        try:
            if timeout == 0 or not has_hub_to_yield_to():
                return call(-1 if timeout is None else timeout)
            return in_slices(functools.partial(offload, call), timeout)
        finally:
            self._call_reports()

    def _call_reports(self) -> None:
        reports = kept(self, "_hublet_reports")
        while reports:
            reports.popleft()()

    def _deferring(self, options: Any) -> Any:
        """Options, a message's or the producer's, with their delivery reports called by the greenlet that waits."""
        names = [name for name in REPORTS if options.get(name) is not None] if isinstance(options, dict) else ()
        return {**options, **{name: self._deferred(options[name]) for name in names}} if names else options

    def _deferred(self, report: Callable[..., Any]) -> Callable[..., Any]:
        reports = kept(self, "_hublet_reports")

        def deferred(*args: Any) -> None:
            if get_hub_if_exists() is None:
                reports.append(functools.partial(report, *args))
            else:
                report(*args)

        return deferred


class WaitingConsumer(original_consumer):
    """A consumer whose waits let other greenlets run."""

    __slots__ = ()

    def poll(self, timeout: float | None = None) -> Any:
        """Return the next message, or None if none comes within `timeout` seconds."""
        if not has_hub_to_yield_to():
            return super().poll(-1 if timeout is None else timeout)
        messages, poll = kept(self, "_hublet_messages"), super().poll

        def fetch(seconds: float) -> bool:
            message = poll(seconds)
            if message is not None:
                messages.append(message)
            return bool(messages)

        if not messages:
            in_slices(functools.partial(lane_of(self).call, fetch), timeout)
        return messages.popleft() if messages else None

    def consume(self, num_messages: int = 1, timeout: float | None = -1) -> list[Any]:
        """Return up to so many messages, those that come within `timeout` seconds."""
        if not has_hub_to_yield_to():
            return list(super().consume(num_messages, -1 if timeout is None else timeout))
        messages, consume = kept(self, "_hublet_messages"), super().consume

        def fetch(seconds: float) -> bool:
            messages.extend(consume(num_messages - len(messages), seconds))
            return len(messages) >= num_messages

        if len(messages) < num_messages:
            in_slices(functools.partial(lane_of(self).call, fetch), timeout)
        return [messages.popleft() for _ in range(min(num_messages, len(messages)))]


def off_load(kind: type[Any], original: type[Any], *names: str) -> None:
    """Give a class methods that make the original's calls on native threads."""
    for name in names:
        setattr(kind, name, off_loaded(getattr(original, name)))


def reporting(call: Callable[..., Any]) -> Callable[..., Any]:
    """A producer's method that runs on a native thread, and then calls the delivery reports that came meanwhile."""

    @functools.wraps(call)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        finally:
            self._call_reports()

    return method


off_load(
    WaitingProducer, original_producer,
    "__exit__", "abort_transaction", "close", "cluster_id", "commit_transaction", "init_transactions", "list_topics",
    "send_offsets_to_transaction",
)  # fmt: skip
for name in ("__exit__", "abort_transaction", "close", "commit_transaction"):
    setattr(WaitingProducer, name, reporting(getattr(WaitingProducer, name)))
off_load(
    WaitingConsumer, original_consumer,
    "__exit__", "close", "cluster_id", "commit", "committed", "get_watermark_offsets", "list_topics",
    "offsets_for_times", "unsubscribe",
)  # fmt: skip


class Producer(WaitingProducer):
    """The producer that `confluent_kafka.Producer` makes."""


class Consumer(WaitingConsumer):
    """The consumer that `confluent_kafka.Consumer` makes."""


def derive() -> None:
    """Derive the library's own subclasses from ours."""
    SerializingProducer.__bases__ = (WaitingProducer,)
    DeserializingConsumer.__bases__ = (WaitingConsumer,)


def derive_from_originals() -> None:
    """Take that back."""
    SerializingProducer.__bases__ = (original_producer,)
    DeserializingConsumer.__bases__ = (original_consumer,)
