"""The comparison as a user runs it: end to end with a real server, briefly, and its refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtests.bench.cases import CASES
from loadtests.bench.cases.case import Case, Options, too_few_descriptors
from loadtests.bench.cases.growth import measured_at
from loadtests.bench.errors import RoundFailed, UsageError
from loadtests.bench.launch import Probe, running, session_members
from loadtests.bench.runner import choose_servers
from loadtests.bench.servers import BY_NAME
from loadtests.bench.servers.server import WEBSOCKET, Server

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds
HELLO = CASES[0]
WRONG_SERVER = Server(
    "wrong", ("$python", "-m", "http.server", "--bind", "$host", "$port"), lambda: "1.0", frozenset({"wsgi"})
)

PLAIN_ECHO = """
import asyncio, sys
from websockets.asyncio.server import serve

async def echo(connection):
    async for message in connection:
        await connection.send(message)

async def main():
    async with serve(echo, sys.argv[1], int(sys.argv[2]), compression=None) as server:
        await server.serve_forever()

asyncio.run(main())
"""


def run_bench(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtests.bench", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bench:
        try:
            output, errors = bench.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            bench.terminate()  # so that it ends what it has started
            pytest.fail(f"not done after {PATIENCE:g} s: {bench.communicate()[1]}")
    return subprocess.CompletedProcess(command, bench.returncode, output, errors)


linux = pytest.mark.skipif(sys.platform != "linux", reason="cores are pinned and /proc is read")
two_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="server and load need a core each")


@linux
@two_cores
def test_one_short_run_writes_a_report_with_good_figures(tmp_path: Path) -> None:
    cases = ["hello", "waiting", "upload", "download", "idle"]
    run = run_bench(
        "--only", ",".join(cases), "--servers", "gunicorn gevent", "--rounds", "1", "--duration", "1",
        "--warm-up", "0", "--connections", "50", "--transfer-mib", "3", "--output", str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    assert list(found["cases"]) == cases
    figures = {name: case["servers"]["gunicorn gevent"]["summary"] for name, case in found["cases"].items()}
    assert figures["hello"]["rate"] > 100
    assert 1.0 <= figures["waiting"]["p50_1"] < 2.0
    assert figures["waiting"]["errors"] == 0
    assert figures["idle"]["connections"] == 50
    assert figures["download"]["gigabytes_per_second"] > 0
    assert figures["upload"]["transfers"] >= 1
    assert found["versions"]["gunicorn gevent"].startswith("gunicorn ")
    assert "| gunicorn gevent | " in (tmp_path / "benchmarks.md").read_text()


@linux
@two_cores
def test_every_case_of_wsgi_runs_with_hublet_and_with_a_peer(tmp_path: Path) -> None:
    cases = ["flask-json", "io-100", "postgres", "mixed", "startup"]
    run = run_bench(
        "--only", ",".join(cases), "--servers", "hublet,gunicorn gevent", "--rounds", "1", "--duration", "1",
        "--warm-up", "0", "--connections", "20", "--output", str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "min left]" in run.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())["cases"]
    for name in cases:
        servers = found[name]["servers"]
        assert list(servers) == ["hublet", "gunicorn gevent"]
        assert all(entry["summary"][found[name]["primary"]] > 10 for entry in servers.values()), name
        assert (tmp_path / "benchmarks" / f"{name}.svg").exists()
    assert 50 <= found["io-100"]["servers"]["hublet"]["summary"]["p50_ms"] < 1000


@linux
@two_cores
def test_growth_is_measured_at_each_point(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "growth-in-flight")
    with running(BY_NAME["gunicorn gevent"], case.app, tmp_path, 0, case.probe) as target:
        sample = measured_at((1, 5))(target, Options(seconds=1, connections=5))
    assert 3 * sample["rate_1"] < sample["rate_5"] < 100
    assert sample["mib_5"] > 10


@linux
def test_slow_clients_that_are_not_answered_fail_the_round(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "mixed")
    with (
        pytest.raises(RoundFailed),
        running(BY_NAME["gunicorn sync"], case.app, tmp_path, 0, case.probe) as target,
    ):
        case.measure(target, Options(seconds=1))


def test_the_whole_matrix_takes_no_selection() -> None:
    refused = run_bench("--compare", "--only", "hello")
    assert (refused.returncode, "leave out --only" in refused.stderr) == (2, True)
    refused = run_bench("--quick")
    assert (refused.returncode, "--quick goes with --compare" in refused.stderr) == (2, True)


@linux
@two_cores
def test_the_tls_cases_give_good_figures(tmp_path: Path) -> None:
    run = run_bench(
        "--only", "tls,tls-handshakes", "--servers", "hublet tls", "--rounds", "1", "--duration", "1",
        "--output", str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    figures = {name: case["servers"]["hublet tls"]["summary"] for name, case in found["cases"].items()}
    assert figures["tls"]["rate"] > figures["tls-handshakes"]["rate"] > 10


@linux
@two_cores
def test_the_websocket_cases_give_good_figures(tmp_path: Path) -> None:
    cases = ["ws-echo-32", "ws-echo-64k", "ws-deflate", "ws-idle", "ws-broadcast"]
    run = run_bench(
        "--only", ",".join(cases), "--servers", "websockets", "--rounds", "1", "--duration", "1",
        "--connections", "50", "--output", str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    figures = {name: case["servers"]["websockets"]["summary"] for name, case in found["cases"].items()}
    assert list(figures) == cases
    assert all(figures[name]["rate"] > 100 for name in cases if name != "ws-idle")
    assert figures["ws-echo-32"]["spread"] > 1
    assert figures["ws-idle"]["connections"] == 50
    assert 0 < figures["ws-broadcast"]["least"] <= figures["ws-broadcast"]["most"]


@linux
def test_an_echo_that_is_wrong_fails_the_round(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "ws-deflate")
    command = ("$python", "-c", PLAIN_ECHO, "$host", "$port")
    server = Server("plain", command, lambda: "1", frozenset({WEBSOCKET}))
    with (
        pytest.raises(RoundFailed, match=r"failed 64 - wsload: the server declined permessage-deflate"),
        running(server, "", tmp_path, 0, case.probe) as target,
    ):
        case.measure(target, Options(seconds=1))


@linux
@two_cores
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_comparison_and_its_servers(number: int) -> None:
    command = [
        sys.executable, "-m", "loadtests.bench", "--only", "startup", "--servers", "gunicorn gevent", "--rounds", "999",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stderr is not None
        assert bench.stderr.readline().startswith("about ")
        assert "gunicorn gevent: ms" in bench.stderr.readline()
        sessions: list[int] = []
        deadline = time.monotonic() + 20
        while not sessions:
            assert time.monotonic() < deadline, "no server was started"
            sessions = [child for child in children(bench.pid) if child in session_members(child)]
        bench.send_signal(number)
        assert bench.wait(timeout=20) == 128 + number
    assert [session_members(session) for session in sessions] == [[] for _ in sessions]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    case = run_bench("--only", "hello,nothing")
    assert case.returncode == 2
    assert "unknown case nothing; known are: hello, hello-browser" in case.stderr
    assert "growth, patches" in case.stderr
    server = run_bench("--only", "hello", "--servers", "nobody")
    assert server.returncode == 2
    assert "unknown server nobody; known are: hublet, " in server.stderr


@pytest.mark.parametrize("option", ["--rounds", "--duration", "--connections", "--transfer-mib"])
def test_counts_below_one_are_refused(option: str) -> None:
    refused = run_bench(option, "0")
    assert refused.returncode == 2
    assert "must be at least 1, not 0" in refused.stderr


@linux
def test_server_and_load_must_not_share_a_core() -> None:
    refused = run_bench("--server-core", "0", "--load-core", "0")
    assert refused.returncode == 2
    assert "need a core each" in refused.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wanted_servers_run_where_they_are_able_to(case: Case) -> None:
    kind = case.name.partition("-")[0]
    able = {
        "ws": "aiohttp", "tls": "gunicorn gevent tls", "library": "redis", "offloading": "gevent ThreadPool",
    }.get(kind, "gunicorn gevent")  # fmt: skip
    wanted = ["nginx", "cheroot", "gunicorn gevent", "gunicorn gevent tls", "aiohttp", "picows", "redis"]
    chosen = choose_servers(case, [*wanted, "gevent ThreadPool"])
    assert all(case.needs in server.abilities for server in chosen)
    assert BY_NAME[able] in chosen
    assert [server.name for server in choose_servers(case, [])] == list(case.servers)


def test_interpreters_that_differ_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho CPython 2.7.18\n")
    other.chmod(0o755)
    refused = run_bench("--only", "hello", BENCH_PEERS=str(other))
    assert refused.returncode == 2
    assert "would run on different interpreters (BENCH_HUBLET CPython 3." in refused.stderr
    assert "BENCH_PEERS CPython 2.7.18)" in refused.stderr


def test_an_unknown_server_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown server other"):
        choose_servers(HELLO, ["bjoern", "other"])


def test_too_low_a_descriptor_limit_is_an_obstacle_that_says_what_to_do() -> None:
    assert too_few_descriptors(Options(connections=1)) is None
    obstacle = too_few_descriptors(Options(connections=2**40))
    if obstacle is not None:
        assert "the hard limit is" in obstacle
        assert "--connections" in obstacle


@linux
def test_a_wrong_answer_fails_the_round_and_the_server_is_ended(tmp_path: Path) -> None:
    with (
        pytest.raises(RoundFailed, match="wrong answer to /"),
        running(WRONG_SERVER, HELLO.app, tmp_path, 0, HELLO.probe),
    ):
        pytest.fail("the block ran")


@linux
def test_a_server_that_cannot_start_fails_the_round_with_its_last_words(tmp_path: Path) -> None:
    server = Server("broken", ("$python", "-c", "raise SystemExit('no $app today')"), lambda: "1", frozenset())
    with (
        pytest.raises(RoundFailed, match="ended before it answered: no a:b today"),
        running(server, "a:b", tmp_path, 0, HELLO.probe),
    ):
        pytest.fail("the block ran")


@linux
def test_every_process_of_a_server_is_ended_when_the_block_fails(tmp_path: Path) -> None:
    (tmp_path / "index.txt").write_text("here")
    command = "import subprocess; subprocess.run(['$python', '-m', 'http.server', '-d', '$directory', '$port'])"
    server = Server("parent", ("$python", "-c", command), lambda: "1", frozenset())
    seen: list[int] = []

    def fail() -> None:
        with running(server, "a:b", tmp_path, 0, Probe("/index.txt", b"here")) as target:
            seen.append(target.pid)
            assert len(session_members(target.pid)) == 2
            assert target.resident_bytes() > 2**20
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert session_members(seen[0]) == []
