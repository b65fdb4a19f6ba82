"""The costs of patched libraries: each library has operations that work, and what fails is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.bench.cases import libraries
from loadtests.bench.cases.case import Options
from loadtests.bench.cases.libraries import costs, measured_in_process
from loadtests.bench.errors import RoundFailed
from loadtests.bench.libraries.servers import private_servers
from loadtests.bench.servers import BY_NAME
from loadtests.bench.servers.libraries import LIBRARIES, library

from .test_bench_run import linux, run_bench, two_cores


@pytest.fixture(scope="module")
def library_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that says where the libraries' servers are."""
    directory = tmp_path_factory.mktemp("libraries")
    with private_servers(directory):
        yield directory


@linux
@two_cores
def test_the_libraries_are_measured_on_their_servers(tmp_path: Path) -> None:
    run = run_bench(
        "--only", "patches", "--rounds", "1", "--duration", "1", "--output", str(tmp_path),
        "--servers", "hublet.offload,gevent ThreadPool,psycopg2,redis,pylibmc",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())["cases"]
    figures = {name: {server: entry["summary"] for server, entry in found[name]["servers"].items()} for name in found}
    assert list(figures["offloading"]) == ["hublet.offload", "gevent ThreadPool"]
    assert all(each["at_once_us"] > 0 and each["alone_us"] > 0 for each in figures["offloading"].values())
    assert list(figures["library-costs"]) == list(figures["library-stalls"]) == ["psycopg2", "redis", "pylibmc"]
    assert all(0 < each["plain_us"] < 1e5 and 0 < each["hublet_us"] < 1e5 for each in figures["library-costs"].values())
    for name, each in figures["library-stalls"].items():
        assert each["hublet_elapsed_s"] >= 0.2, name
        if name == "redis":  # which yields as it is
            assert each["gevent_elapsed_s"] < 4, name
        else:
            assert each["gevent_elapsed_s"] >= 4, name
            assert each["gevent_stall_ms"] >= 3900, name
            assert each["hublet_elapsed_s"] < each["gevent_elapsed_s"], name


@linux
@two_cores
@pytest.mark.parametrize("name", [server.name for server in LIBRARIES])
def test_every_library_has_its_operations(name: str, library_servers: Path) -> None:
    figures = costs(BY_NAME[name], Options(seconds=1), library_servers)
    assert list(figures) == ["plain_us", "gevent_us", "hublet_us", "at_once_us", "times"]
    assert all(0 < value < 1e6 for value in figures.values())
    answer = measured_in_process("stalls", name, "hublet", 0, library_servers, 0)
    assert 0.19 < answer["elapsed_s"] < 2.0  # of twenty that take 0.2 s each


@linux
def test_a_library_whose_server_does_not_answer_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "addresses.json").write_text(json.dumps({"redis": 1, "directory": str(tmp_path)}))
    with pytest.raises(RoundFailed, match="the redis client ended early: .*onnection"):
        costs(BY_NAME["redis"], Options(seconds=1), tmp_path)


@linux
def test_a_library_that_hangs_fails_its_round_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = {"redis": silent.getsockname()[1], "directory": str(tmp_path)}
        (tmp_path / "addresses.json").write_text(json.dumps(addresses))
        with pytest.raises(RoundFailed, match="the redis client said nothing within 1 s"):
            costs(BY_NAME["redis"], Options(seconds=1), tmp_path)


def test_a_library_without_its_server_is_missing_and_says_what_to_install() -> None:
    without = library("redis", "no-such-server", "redis-server")
    assert without.version() is None
    assert "no-such-server is not installed: run tests/install-packages.sh, or install redis-server" in (
        without.why_missing()
    )
