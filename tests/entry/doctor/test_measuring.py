"""Measuring tells what yields from what does not, and what fails or hangs from both."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent import monkey
from hublet.doctor import measuring
from hublet.doctor.measuring import Probe, measure

native_sleep: Any = monkey.get_original("time", "sleep")


def test_what_yields_is_cooperative() -> None:
    found = measure(Probe("wait", lambda _: gevent.sleep(0.2)), 8)
    assert found.verdict == "cooperative"
    assert found.one >= 0.19
    assert found.together < 8 * 0.2


def test_what_does_not_blocks_and_the_stall_is_its_length() -> None:
    found = measure(Probe("wait", lambda _: native_sleep(0.1)), 4)
    assert found.verdict == "blocks"
    assert found.together >= 0.39
    assert found.stall >= 0.09


def test_waits_that_end_together_are_told_by_the_stall() -> None:
    """One lock that all wait for: it is let go once, so that they take no longer than one."""
    free = [0.0]

    def wait(_: None) -> None:
        native_sleep(max(free[0] - time.monotonic(), 0))

    def take() -> None:
        free[0] = time.monotonic() + 0.3

    def operate(_: None) -> None:
        if free[0] < time.monotonic():
            take()
        wait(None)

    found = measure(Probe("lock", operate), 4)
    assert found.verdict == "blocks"


def test_each_has_its_own_to_work_on_and_all_are_closed() -> None:
    opened: list[int] = []
    closed: list[int] = []

    def make() -> int:
        opened.append(len(opened))
        return opened[-1]

    used: list[int] = []

    def use(each: int) -> None:
        used.append(each)
        gevent.sleep(0.05)

    measure(Probe("wait", use, make, closed.append), 3)
    assert opened == closed == [0, 1, 2]
    assert sorted(used) == [0, 0, 1, 2]


def test_an_error_is_the_result() -> None:
    def fail(_: None) -> None:
        raise ConnectionRefusedError("nobody\nlistens")

    found = measure(Probe("broken", fail), 3)
    assert (found.verdict, found.problem) == ("failed", "ConnectionRefusedError: nobody")


def test_what_never_ends_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.3)
    calls: list[None] = []

    def hang_together(_: None) -> None:
        calls.append(None)
        gevent.sleep(0.01 if len(calls) == 1 else 1000)

    found = measure(Probe("pool", hang_together), 3)
    assert found.verdict == "blocks"
    assert "hangs" in found.problem


def test_one_that_never_ends_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.3)
    found = measure(Probe("pool", lambda _: gevent.sleep(1000)), 3)
    assert found.verdict == "blocks"
    assert "hangs" in found.problem


def test_a_server_that_never_answers_a_connection_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.3)
    found = measure(Probe("silent", lambda _: None, lambda: gevent.sleep(1000)), 3)
    assert (found.verdict, found.problem) == ("failed", "TimeoutError: not connected after 0.3 s")


def test_one_at_a_time_is_not_compared_with_itself() -> None:
    lengths = [0.1, 0.3]
    found = measure(Probe("pool of one", lambda _: gevent.sleep(lengths.pop(0))), 1)
    assert found.verdict == "cooperative"
