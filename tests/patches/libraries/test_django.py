"""Django's ORM behind hublet: concurrent requests, each with a connection of its own, on one thread."""

from __future__ import annotations

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loadtests.private.postgresql import PostgreSQL
from tests.integration.served_process import ServedProcess, wait_until

AT_ONCE = 20


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_concurrent_requests(
    driver: str, postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_DRIVER", driver)
    monkeypatch.setenv("TEST_PORT", str(postgresql.port))
    monkeypatch.setenv("PGAPPNAME", f"orders-{driver}")  # other tests' queries may still run in the same server
    served = ServedProcess(tmp_path, "tests.patches.libraries.django_orm_app:application")

    def get(path: str) -> Any:
        with urllib.request.urlopen(f"http://{served.authority}/{path}", timeout=30) as response:
            return json.load(response)

    try:
        assert get("create")["driver"] == driver
        began = time.perf_counter()
        assert get("place/first")["placed"]
        one = time.perf_counter() - began
        names = [*(f"order-{number}" for number in range(AT_ONCE - 1)), "bad"]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            began = time.perf_counter()
            answers = list(threads.map(lambda name: get(f"place/{name}"), names))
            together = time.perf_counter() - began
        assert [each.get("name") for each in answers] == [*names[:-1], None]
        assert len({each.get("backend") for each in answers}) == AT_ONCE  # one each, and None
        assert together < 4 * one, f"{AT_ONCE} requests take {together:.2f} s, one takes {one:.2f} s"
        assert get("count")["orders"] == AT_ONCE
        wait_until(lambda: get("count")["connections"] == 1, lambda: f"connections are left: {get('count')}")
    finally:
        served.kill()
