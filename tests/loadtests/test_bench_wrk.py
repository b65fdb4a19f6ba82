"""Reading what wrk prints: every figure, and every way in which a run must not count."""

from __future__ import annotations

import pytest

from loadtests.bench.errors import RoundFailed
from loadtests.bench.wrk import parse_wrk

GOOD = """\
Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   566.16us    1.02ms  14.48ms   93.41%
    Req/Sec   120.54k     8.83k  131.11k    80.00%
  Latency Distribution
     50%  320.00us
     75%  401.00us
     90%    0.87ms
     99%    1.36s
  120304 requests in 1.00s, 10.56MB read
Requests/sec: 120303.71
Transfer/sec:     10.56MB
"""

UNANSWERED = """\
Running 1s test @ http://127.0.0.1:8000/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.00us    0.00us   0.00us    -nan%
    Req/Sec     0.00      0.00     0.00      -nan%
  Latency Distribution
     50%    0.00us
     75%    0.00us
     90%    0.00us
     99%    0.00us
  0 requests in 1.10s, 0.00B read
Requests/sec:      0.00
Transfer/sec:       0.00B
"""

SOCKET_ERRORS = "  Socket errors: connect 1, read 14784, write 0, timeout 2\n"
BAD_STATUSES = "  Non-2xx or 3xx responses: 180027\n"


def before_totals(output: str, line: str) -> str:
    return output.replace("Requests/sec:", line + "Requests/sec:")


def test_reads_every_figure_in_milliseconds() -> None:
    result = parse_wrk(GOOD)
    assert (result.requests, result.rate) == (120304, 120303.71)
    assert result.percentiles == {"50": pytest.approx(0.32), "75": pytest.approx(0.401), "90": 0.87, "99": 1360.0}
    assert result.failure() is None


def test_no_answer_at_all_is_a_failure() -> None:
    assert parse_wrk(UNANSWERED).failure() == "no request was answered"


def test_socket_errors_are_a_failure_that_names_each_kind() -> None:
    result = parse_wrk(before_totals(GOOD, SOCKET_ERRORS))
    assert result.failure() == "socket errors: connect 1, read 14784, write 0, timeout 2"


def test_bad_statuses_are_a_failure() -> None:
    assert parse_wrk(before_totals(GOOD, BAD_STATUSES)).failure() == "180027 responses were not 2xx or 3xx"


def test_both_kinds_of_errors_are_read_from_one_output() -> None:
    result = parse_wrk(before_totals(GOOD, SOCKET_ERRORS + BAD_STATUSES))
    assert (result.socket_errors["timeout"], result.bad_statuses) == (2, 180027)


@pytest.mark.parametrize(
    "line", ["unable to create thread", "  Requests/sec: 5", "Requests/sec: many", "     50%    1.00 ms", "  Latency 1"]
)
def test_an_unknown_line_is_an_error(line: str) -> None:
    with pytest.raises(RoundFailed, match="not known"):
        parse_wrk(GOOD + line + "\n")


@pytest.mark.parametrize("lost", ["Requests/sec", "requests in", "%  "])
def test_missing_figures_are_an_error(lost: str) -> None:
    kept = "\n".join(line for line in GOOD.splitlines() if lost not in line)
    with pytest.raises(RoundFailed, match="no figures"):
        parse_wrk(kept)


def test_an_empty_output_is_an_error() -> None:
    with pytest.raises(RoundFailed, match="no figures"):
        parse_wrk("")
