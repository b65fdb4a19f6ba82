"""The order of rounds, and what becomes of servers that are missing or fail; no server is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.bench import runner
from loadtests.bench.cases import CASES
from loadtests.bench.cases.case import Case, Options
from loadtests.bench.errors import RoundFailed
from loadtests.bench.launch import Probe, Running
from loadtests.bench.servers import BY_NAME
from loadtests.bench.servers.server import Server
from loadtests.bench.stats import Sample

SERVERS = [Server(name, (), lambda: "1.0", frozenset({"wsgi"})) for name in ("one", "two", "three")]


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the servers in the order of their rounds, none of which is really started."""
    started: list[str] = []

    @contextmanager
    def running(server: Server, app: str, directory: Path, core: int, probe: Probe) -> Iterator[Running]:
        started.append(server.name)
        yield Running(server.name, 1, 1, directory)

    monkeypatch.setattr(runner, "running", running)
    return started


def measure(server: Running, options: Options) -> Sample:
    return {"rate": 1.0, "p50_ms": 1.0, "p99_ms": 1.0}


def fail_for_two(server: Running, options: Options) -> Sample:
    if server.name == "two":
        raise RoundFailed("no luck")
    return measure(server, options)


def run(
    servers: Sequence[Server], rounds: int, seed: int = 0, **changes: object
) -> tuple[runner.CaseResult, list[str]]:
    changed = {"measure": measure, "obstacle": lambda options: None, **changes}
    case: Case = dataclasses.replace(CASES[0], **changed)  # type: ignore[arg-type]  # a field each, as above
    lines: list[str] = []
    return runner.run_case(case, servers, Options(rounds=rounds, seed=seed), lines.append), lines


def test_rounds_are_interleaved_and_each_has_an_order_of_its_own(order: list[str]) -> None:
    result, lines = run(SERVERS, 8)
    rounds = [tuple(order[number : number + 3]) for number in range(0, 24, 3)]
    assert all(sorted(each) == ["one", "three", "two"] for each in rounds)
    assert len(set(rounds)) > 1
    assert [(outcome.server, len(outcome.samples)) for outcome in result.results] == [
        ("one", 8), ("two", 8), ("three", 8),
    ]  # fmt: skip
    assert lines[0].startswith(
        f"hello, round 1 of 8, {order[0]}: req/s 1, p50 ms (approx.) 1.00, p99 ms (approx.) 1.00 [about "
    )


def test_the_order_is_that_of_the_seed(order: list[str]) -> None:
    for seed in (1, 1, 2):
        run(SERVERS, 8, seed=seed)
    assert order[:24] == order[24:48]
    assert order[24:48] != order[48:]


def test_what_needs_no_server_is_measured_by_itself(order: list[str]) -> None:
    result, _ = run(SERVERS, 2, alone=lambda server, options, directory: measure(server, options))
    assert order == []
    assert [len(outcome.samples) for outcome in result.results] == [2, 2, 2]


def test_missing_servers_are_named_and_left_out(order: list[str]) -> None:
    missing = dataclasses.replace(SERVERS[1], version=lambda: None, why_missing=lambda: "Get two.")
    result, lines = run([SERVERS[0], missing], 1)
    assert (result.missing, order) == (["two"], ["one"])
    assert lines[0] == "hello: two is not installed. Get two."


def test_a_server_that_fails_fails_alone(order: list[str]) -> None:
    result, lines = run(SERVERS, 2, measure=fail_for_two)
    assert [(len(outcome.samples), outcome.failures) for outcome in result.results] == [
        (2, []), (0, ["no luck", "no luck"]), (2, []),
    ]  # fmt: skip
    assert any(line.startswith("hello, round 1 of 2, two: failed: no luck [about ") for line in lines)


def stumble_over_two(server: Running, options: Options) -> Sample:
    if server.name == "two":
        raise ZeroDivisionError("division by zero")
    return measure(server, options)


def forget_a_figure(server: Running, options: Options) -> Sample:
    return {"rate": 1.0} if server.name == "two" else measure(server, options)


@pytest.mark.parametrize(
    "broken, reason",
    [(stumble_over_two, "ZeroDivisionError: division by zero"), (forget_a_figure, "KeyError: 'p50_ms'")],
)
def test_a_mistake_of_the_comparison_itself_costs_one_round_only(
    order: list[str], broken: Callable[[Running, Options], Sample], reason: str
) -> None:
    result, lines = run(SERVERS, 1, measure=broken)
    assert [(len(outcome.samples), outcome.failures) for outcome in result.results] == [
        (1, []), (0, [reason]), (1, []),
    ]  # fmt: skip
    assert any("two: failed: Traceback" in line and reason in line for line in lines)


def test_what_does_not_end_beside_the_servers_costs_no_results(order: list[str]) -> None:
    @contextmanager
    def endless(options: Options, directory: Path) -> Iterator[None]:
        yield
        raise RoundFailed("mariadbd does not end")

    result, lines = run(SERVERS, 1, beside=endless)
    assert (result.skipped, [len(outcome.samples) for outcome in result.results]) == (None, [1, 1, 1])
    assert lines[-1] == "hello: what it needs beside the servers did not end: mariadbd does not end"


def test_an_obstacle_skips_the_whole_case(order: list[str]) -> None:
    result, lines = run(SERVERS, 2, obstacle=lambda options: "it rains")
    assert (result.skipped, result.results, order) == ("it rains", [], [])
    assert lines == ["hello: skipped: it rains"]


@pytest.mark.parametrize("kind", [RuntimeError, RoundFailed, KeyError])
def test_what_cannot_be_started_beside_the_servers_skips_the_case(order: list[str], kind: type[Exception]) -> None:
    @contextmanager
    def broken(options: Options, directory: Path) -> Iterator[None]:
        raise kind("mariadbd does not come up")
        yield

    result, lines = run(SERVERS, 2, beside=broken)
    assert result.skipped == f"what it needs beside the servers failed: {kind('mariadbd does not come up')}"
    assert (order, lines) == ([], [f"hello: skipped: {result.skipped}"])


@pytest.mark.parametrize("name", ["io-100", "io-1000", "postgres", "mixed"])
def test_servers_with_threads_have_as_many_as_the_others_where_requests_wait(name: str) -> None:
    (found,) = (case for case in CASES if case.name == name)
    commands = {each.name: " ".join(each.command).replace("=", " ") for each in runner.choose_servers(found, ())}
    threaded = {name for name, command in commands.items() if "threads 64" in command}
    assert threaded == {"gunicorn gthread", "granian 64 threads", "waitress", "cheroot"}
    assert "granian" not in commands


@pytest.mark.parametrize(
    "name, option", [("gunicorn gthread", "--worker-connections"), ("waitress", "use-poll"), ("uWSGI gevent", "4096")]
)
def test_no_server_refuses_ten_thousand_connections_by_its_settings(name: str, option: str) -> None:
    assert any(option in part for part in BY_NAME[name].command)


def test_no_command_names_a_folder_of_this_machine() -> None:
    """The report shows the commands."""
    here = str(Path(__file__).resolve().parents[2])
    assert not [server.name for server in BY_NAME.values() if any(here in part for part in server.command)]
