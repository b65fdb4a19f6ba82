"""Pools that are alive are found by their types; those that hang do hang."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy
from hublet.doctor.pools import find_pools
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool


def failing() -> dict[str, int]:
    return {each.what: each.count for each in find_pools() if each.fails}


def test_only_those_that_do_not_go_with_greenlets() -> None:
    before = failing()
    engines = [
        sqlalchemy.create_engine("sqlite://", poolclass=pool) for pool in (QueuePool, SingletonThreadPool, StaticPool)
    ]
    after = failing()
    grown = {name: count - before.get(name, 0) for name, count in after.items()}
    assert grown == {"sqlalchemy StaticPool": 1, "sqlalchemy SingletonThreadPool": 1}
    for engine in engines:
        engine.dispose()


def test_an_executor_is_a_note() -> None:
    with ThreadPoolExecutor(1):
        (found,) = [each for each in find_pools() if "ThreadPoolExecutor" in each.what]
    assert not found.fails
    assert "offload" in found.remedy
