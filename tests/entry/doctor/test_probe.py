"""`--probe` against a real server: the two times, and the ways in which a server is not there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hublet.doctor.probe import parts, probe_all

from loadtests.private.process import free_port

PATIENCE = 20.0


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    directory = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
    yield port
    process.terminate()
    process.wait()


def test_a_driver_is_measured_against_its_server(redis_port: int, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def app(environ, start_response): return []\n")
    command = [sys.executable, "-m", "hublet", "doctor", "shop", "--probe", "--json", "--dsn", "redis://127.0.0.1:1/0"]
    environ = os.environ | {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environ)
    found = {each["name"]: each for each in json.loads(done.stdout)["measured"]}
    assert found.keys() == {"redis (REDIS_URL)", "redis (--dsn)"}
    there = found["redis (REDIS_URL)"]
    assert there["verdict"] == "cooperative"
    assert there["one"] > 0.15
    assert there["together"] < 10 * there["one"]
    assert there["count"] == 20
    assert found["redis (--dsn)"]["verdict"] == "failed"
    assert "refused" in found["redis (--dsn)"]["problem"]
    assert done.returncode == 1  # what was to be measured could not be


@pytest.mark.parametrize(
    "dsn, problem",
    [
        ("gopher://x", "gopher: is none of postgresql, mysql, redis"),
        ("postgresql+psycopg2://127.0.0.1:1/x?sslmode=nonsense", 'invalid sslmode value: "nonsense"'),
        ("postgresql+psycopg://127.0.0.1:1/x?sslmode=nonsense", 'invalid sslmode value: "nonsense"'),
        (
            "postgresql+pg8000://127.0.0.1:1/x?sslmode=require",
            "pg8000.dbapi does not take sslmode from the DSN's query",
        ),
        ("postgresql+pg8000://127.0.0.1:1/x?sslmode", "bad query field: 'sslmode'"),
        ("mysql+pymysql://127.0.0.1:1/x?connect_timeout=0", "connect_timeout should be >0"),
        ("mysql+MySQLdb://127.0.0.1:1/x?no_such_option=1", "MySQLdb does not take no_such_option from the DSN's query"),
        ("mysql+pymysql://127.0.0.1:1/x?charset=utf8&charset=latin1", "names an option twice"),
    ],
)
def test_what_nobody_understands(dsn: str, problem: str) -> None:
    (found,) = probe_all([dsn])
    assert found.verdict == "failed"
    assert problem in found.problem


def test_a_dsn_becomes_the_arguments_that_a_driver_takes() -> None:
    url = urlsplit("postgresql://me:p%40ss@db.example:5433/shop")
    assert parts(url, {"database": "dbname"}) == {
        "host": "db.example",
        "port": 5433,
        "user": "me",
        "password": "p@ss",
        "dbname": "shop",
    }
    assert parts(urlsplit("mysql://localhost"), {}) == {"host": "localhost"}
    query = "charset=utf8mb4&connect_timeout=5&host=%2Frun%2Fdb&password=007&init_command="
    assert parts(urlsplit(f"mysql://me:secret@db.example/?{query}"), {}) == {
        "host": "/run/db",
        "user": "me",
        "password": "007",
        "charset": "utf8mb4",
        "connect_timeout": 5,
        "init_command": "",
    }
