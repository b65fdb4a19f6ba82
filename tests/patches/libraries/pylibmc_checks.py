"""What is checked of pylibmc, in a patched process."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import gevent
import pylibmc
import pylibmc.client

from loadtests.private.slow_proxy import slow_proxy

from .probe import assert_raises, assert_undone, assert_yields, killed_inside


def check_operations(port: int) -> None:
    with slow_proxy(port) as slow:
        assert_yields(lambda: pylibmc.Client([f"127.0.0.1:{slow}"]).get("nothing"))


def check_one_client_of_several_greenlets(port: int) -> None:
    """Its operations wait for each other."""
    client = pylibmc.Client([f"127.0.0.1:{port}"], binary=True)
    client.set("count", "0")
    tasks = [gevent.spawn(client.incr, "count") for _ in range(50)]
    gevent.joinall(tasks, raise_error=True, timeout=10)
    assert client.get("count") in (50, "50")


def check_values(port: int) -> None:
    client = pylibmc.Client([f"127.0.0.1:{port}"], behaviors={"cas": True})
    values: dict[str, Any] = {
        "text": "ü",
        "bytes": b"\\0",
        "number": 7,
        "pickle": Decimal("1.5"),
        "list": [1, {"a": 2}],
    }
    assert client.set_multi(values) == []
    assert client.get_multi(list(values)) == values
    assert {name: client.get(name) for name in values} == values
    value, token = client.gets("pickle")
    assert value == Decimal("1.5")
    assert client.cas("pickle", Decimal("2.5"), token)
    assert client.get("pickle") == Decimal("2.5")
    assert client.get("missing") is None
    assert client.get("missing", "default") == "default"
    assert not client.add("text", "again")
    assert client.delete("text")
    assert client.clone().get("pickle") == Decimal("2.5")
    assert isinstance(client.get_stats(), list)


class Reconstructed:
    """Notes where it is unpickled."""

    where: list[Any] = []

    def __reduce__(self) -> Any:
        return note_greenlet, ()


def note_greenlet() -> str:
    Reconstructed.where.append(gevent.getcurrent())
    return "made again"


def check_unpickling_is_done_by_the_caller(port: int) -> None:
    client = pylibmc.Client([f"127.0.0.1:{port}"])
    client.set("made", Reconstructed())
    assert client.get("made") == "made again"
    assert client.get_multi(["made"]) == {"made": "made again"}
    assert set(Reconstructed.where) == {gevent.getcurrent()}


class Forgiving(pylibmc.Client):
    """What its documentation shows: values that cannot be unpickled any more are not there."""

    def deserialize(self, data: bytes, flags: int) -> Any:
        try:
            return super().deserialize(data, flags)
        except LookupError:
            raise pylibmc.CacheMiss from None


class Broken:
    def __reduce__(self) -> Any:
        return {}.__getitem__, ("gone",)


def check_subclasses_that_deserialize(port: int) -> None:
    client = Forgiving([f"127.0.0.1:{port}"])
    client.set_multi({"broken": Broken(), "whole": Decimal(1)})
    assert client.get("broken") is None
    assert client.get_multi(["broken", "whole"]) == {"whole": Decimal(1)}


def check_pools(port: int) -> None:
    pool = pylibmc.ClientPool(pylibmc.Client([f"127.0.0.1:{port}"]), 4)

    def use(number: int) -> Any:
        with pool.reserve(block=True) as client:
            client.set(f"pooled-{number}", number)
            return client.get(f"pooled-{number}")

    tasks = [gevent.spawn(use, number) for number in range(20)]
    assert [each.get(timeout=10) for each in tasks] == list(range(20))


def check_kill(port: int) -> None:
    with slow_proxy(port) as slow:
        client = pylibmc.Client([f"127.0.0.1:{slow}"])
        client.set_multi({"one": 1, "two": 2})
        killed_inside(lambda: client.get("one"))
        assert client.get("two") == 2


def check_errors(port: int) -> None:
    del port
    client = pylibmc.Client(["127.0.0.1:1"])
    assert_raises(pylibmc.Error, lambda: client.get("x"))


def check_without_a_hub(port: int) -> None:
    def use() -> Any:
        client = pylibmc.Client([f"127.0.0.1:{port}"])
        client.set("native", Decimal(3))
        return client.get("native")

    assert gevent.get_hub().threadpool.apply(use) == Decimal(3)


def check_undo(port: int) -> None:
    assert_undone("pylibmc", pylibmc.client.Client)
    assert pylibmc.Client([f"127.0.0.1:{port}"]).set("x", 1)
