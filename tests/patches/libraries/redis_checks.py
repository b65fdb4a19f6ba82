"""What is checked of redis-py, in a patched process, where it has no patch of its own."""

from __future__ import annotations

from typing import Any

import gevent
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .probe import assert_raises, assert_yields, killed_inside

ONCE = Retry(NoBackoff(), 0)


def check_connecting_and_waiting(port: int) -> None:
    assert_yields(lambda: redis.Redis(port=port).blpop(["empty"], timeout=0.2))


def check_waiting_commands_of_a_shared_client(port: int) -> None:
    client: Any = redis.Redis(port=port)
    assert_yields(lambda: client.blpop(["empty"], timeout=0.2))
    waiting = gevent.spawn(client.blpop, ["filled"], timeout=10)
    gevent.sleep(0.02)
    client.rpush("filled", b"here")
    assert waiting.get(timeout=5) == (b"filled", b"here")


def check_a_kill_leaves_no_answer_behind(port: int) -> None:
    client: Any = redis.Redis(port=port)
    client.set("key", b"mine")
    killed_inside(lambda: client.blpop(["empty"], timeout=1))
    assert client.get("key") == b"mine"


def check_publishing_and_pipelines(port: int) -> None:
    client: Any = redis.Redis(port=port)
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe("news")
        waiting = gevent.spawn(lambda: next(each for each in subscription.listen() if each)["data"])
        while not client.publish("news", b"it is"):
            gevent.sleep(0.01)
        assert waiting.get(timeout=5) == b"it is"
    assert client.pipeline().set("n", 1).incr("n").get("n").execute() == [True, 2, b"2"]


def check_errors(port: int) -> None:
    client: Any = redis.Redis(port=port)
    assert_raises(redis.ResponseError, lambda: client.execute_command("NONSENSE"))
    assert_raises(redis.ConnectionError, lambda: redis.Redis(port=1, retry=ONCE).ping())
    limited = redis.Redis(port=port, socket_timeout=0.05, retry=ONCE)
    assert_raises(redis.TimeoutError, lambda: limited.blpop(["empty"], timeout=5))
