"""The supervisor's decisions, with workers that are only played."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from hublet.servers.supervisor import supervisor as module
from hublet.servers.supervisor.channel import LEAVING, READY, RECYCLE
from hublet.servers.supervisor.supervisor import Rules, Supervisor
from hublet.servers.supervisor.worker import State

from tests.conftest import wait_until


class PlayedWorker:
    """What the supervisor asks of a worker; the test says what it does."""

    pids = iter(range(1000, 10**6))

    def __init__(self, generation: int, place: int, events: Any) -> None:
        self.pid = next(self.pids)
        self.generation, self.place, self.events = generation, place, events
        self.state = State.STARTING
        self.since = self.last_heard = time.monotonic()
        self.replaces: PlayedWorker | None = None
        self.exit_status: int | None = None
        self.signals: list[int] = []
        self.retired = False

    def say(self, message: bytes) -> None:
        self.last_heard = time.monotonic()
        self.events.heard(self, message)

    def end(self, status: int = 0) -> None:
        self.exit_status = status
        self.events.ended(self)

    def retire(self) -> None:
        self.retired = True
        self.state = State.LEAVING

    def stop(self, number: int) -> None:
        self.state = State.LEAVING
        self.signal(number)

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def close(self) -> None:
        """Nothing to let go of."""


class Play:
    """A supervisor and the workers it has started."""

    def __init__(self, workers: int = 2, **rules: float) -> None:
        self.started: list[PlayedWorker] = []
        limits: dict[str, Any] = {"grace": 5, "startup_timeout": 60, "worker_timeout": 30, **rules}
        self.supervisor = Supervisor(Rules(workers, **limits), self.start)
        self.supervisor.begin_generation()
        self.running = gevent.spawn(self.supervisor.run)

    def start(self, generation: int, place: int, events: Any) -> Any:
        self.started.append(PlayedWorker(generation, place, events))
        return self.started[-1]

    def expect(self, count: int) -> list[PlayedWorker]:
        """Wait until so many have been started in all; return the last of them."""
        wait_until(lambda: len(self.started) >= count)
        return self.started

    def settle(self) -> None:
        gevent.sleep(0.02)

    def serve(self, *workers: PlayedWorker) -> None:
        for worker in workers:
            worker.say(READY)
        wait_until(lambda: all(worker.state is not State.STARTING for worker in workers))
        self.settle()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.1)


@pytest.fixture
def play() -> Iterator[Play]:
    made = Play()
    made.serve(*made.expect(2))
    yield made
    made.running.kill()


def test_a_new_generation_takes_over_when_all_of_it_is_ready(play: Play) -> None:
    old = list(play.started)
    play.supervisor.signalled(signal.SIGHUP)
    new = play.expect(4)[2:]
    assert {each.place for each in new}.isdisjoint(each.place for each in old)
    new[0].say(READY)
    play.settle()
    assert not any(each.retired for each in old)
    play.serve(new[1])
    assert all(each.retired for each in old)
    assert not any(each.retired for each in new)
    for each in old:
        each.end()
    play.settle()
    assert len(play.started) == 4


def test_a_generation_that_fails_is_discarded(play: Play) -> None:
    old = list(play.started)
    play.supervisor.signalled(signal.SIGHUP)
    new = play.expect(4)[2:]
    new[0].say(READY)
    new[1].end(1)
    play.settle()
    assert new[0].signals == [signal.SIGKILL]
    new[0].end(-9)
    play.settle()
    assert not any(each.retired for each in old)
    assert len(play.started) == 4


def test_a_reload_during_a_reload_follows_it(play: Play) -> None:
    play.supervisor.signalled(signal.SIGHUP)
    new = play.expect(4)[2:]
    play.supervisor.signalled(signal.SIGHUP)
    play.settle()
    assert len(play.started) == 4
    play.serve(*new)
    assert len(play.expect(6)) == 6


def test_a_reload_during_one_that_fails_follows_it(play: Play) -> None:
    play.supervisor.signalled(signal.SIGHUP)
    broken = play.expect(4)[2:]
    play.supervisor.signalled(signal.SIGHUP)
    play.settle()
    broken[0].end(1)
    mended = play.expect(6)[4:]
    broken[1].end(-9)
    play.serve(*mended)
    assert all(each.retired for each in play.started[:2])
    assert len(play.started) == 6


def test_a_first_generation_that_fails_ends_everything() -> None:
    play = Play()
    first, second = play.expect(2)
    first.end(3)
    play.settle()
    assert second.signals == [signal.SIGKILL]
    second.end(-9)
    assert play.running.get(timeout=5) == 3


def test_one_that_is_killed_gets_a_successor(play: Play) -> None:
    first = play.started[0]
    first.end(-signal.SIGKILL)
    successor = play.expect(3)[2]
    assert successor.place == first.place
    play.serve(successor)
    assert not play.started[1].retired


def test_successors_of_those_that_end_early_wait_longer_and_longer(play: Play) -> None:
    times = []
    for _ in range(4):
        count = len(play.started)
        play.started[-1].end(1)
        play.expect(count + 1)
        times.append(time.monotonic())
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] >= 0.1
    assert pauses[1] >= 0.2
    assert pauses[2] >= 0.4


def test_one_that_is_told_to_leave_is_succeeded_without_a_pause(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 5)
    for _ in range(5):
        count = len(play.started)
        play.started[-1].end(0)
        began = time.monotonic()
        play.expect(count + 1)
        assert time.monotonic() - began < 1


def test_one_that_wants_to_be_recycled_leaves_when_its_successor_serves(play: Play) -> None:
    first = play.started[0]
    first.say(RECYCLE)
    first.say(RECYCLE)
    successor = play.expect(3)[2]
    play.settle()
    assert len(play.started) == 3
    assert not first.retired
    play.serve(successor)
    assert first.retired
    first.end()
    play.settle()
    assert len(play.started) == 3


def test_one_whose_successor_fails_is_recycled_when_it_asks_after_the_pause(play: Play) -> None:
    first = play.started[0]
    for count in (3, 4):
        first.say(RECYCLE)
        play.expect(count)[-1].end(1)
        play.settle()
    first.say(RECYCLE)
    play.settle()
    assert len(play.started) == 4
    gevent.sleep(module.FIRST_PAUSE * 2)
    first.say(RECYCLE)
    play.serve(play.expect(5)[4])
    assert first.retired


def test_one_that_was_told_to_leave_by_somebody_has_a_successor_before_it_is_gone(play: Play) -> None:
    first = play.started[0]
    first.say(LEAVING)
    successor = play.expect(3)[2]
    first.end()
    play.settle()
    assert len(play.started) == 3
    play.serve(successor)
    assert not first.retired


def test_one_that_dies_while_its_successor_starts_is_not_spoken_to_any_more(play: Play) -> None:
    first = play.started[0]
    first.say(RECYCLE)
    successor = play.expect(3)[2]
    first.end(-signal.SIGKILL)
    play.serve(successor)
    assert not first.retired
    assert len(play.started) == 3


def test_more_and_fewer(play: Play) -> None:
    play.supervisor.signalled(signal.SIGTTIN)
    play.serve(play.expect(3)[2])
    play.supervisor.signalled(signal.SIGTTOU)
    wait_until(lambda: any(each.retired for each in play.started))
    assert sum(each.retired for each in play.started) == 1
    for _ in range(3):
        play.supervisor.signalled(signal.SIGTTOU)
    play.settle()
    assert sum(each.retired for each in play.started) == 2


@pytest.mark.parametrize(
    ("number", "passed"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGQUIT), (signal.SIGQUIT, signal.SIGQUIT)],
)
def test_the_end(play: Play, number: int, passed: int) -> None:
    play.supervisor.signalled(number)
    wait_until(lambda: all(each.signals for each in play.started))
    assert [each.signals for each in play.started] == [[passed], [passed]]
    for each in play.started:
        each.end()
    assert play.running.get(timeout=5) == 0


def test_a_second_signal_does_not_wait(play: Play) -> None:
    play.supervisor.signalled(signal.SIGTERM)
    play.supervisor.signalled(signal.SIGTERM)
    wait_until(lambda: len(play.started[0].signals) == 2)
    assert play.started[0].signals == [signal.SIGTERM, signal.SIGQUIT]


def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KILL_AFTER", 0.05)
    play = Play(grace=0.05)
    play.serve(*play.expect(2))
    play.supervisor.signalled(signal.SIGTERM)
    wait_until(lambda: signal.SIGKILL in play.started[0].signals)
    play.running.kill()


def test_one_that_is_not_ready_in_time_is_killed() -> None:
    play = Play(startup_timeout=0.05)
    wait_until(lambda: signal.SIGKILL in play.started[0].signals)
    play.running.kill()


def test_one_whose_hub_does_not_turn_is_aborted_and_then_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KILL_AFTER", 0.2)
    play = Play(worker_timeout=0.1)
    play.serve(*play.expect(2))
    wait_until(lambda: signal.SIGKILL in play.started[0].signals)
    assert play.started[0].signals[0] == signal.SIGABRT
    play.running.kill()


def test_other_signals_are_passed_on(play: Play) -> None:
    play.supervisor.signalled(signal.SIGUSR1)
    wait_until(lambda: play.started[0].signals)
    assert [each.signals for each in play.started] == [[signal.SIGUSR1], [signal.SIGUSR1]]


def test_an_execution_anew_is_asked_for_by_returning(play: Play) -> None:
    play.supervisor.signalled(signal.SIGUSR2)
    assert play.running.get(timeout=5) is None
    assert [each.pid for each in play.supervisor.workers] == [each.pid for each in play.started]


def test_what_happens_before_the_execution_is_known_after_it(play: Play) -> None:
    first, second = play.started
    play.supervisor.signalled(signal.SIGUSR2)
    assert play.running.get(timeout=5) is None
    first.end()
    assert play.supervisor.catch_up()
    assert [each.pid for each in play.supervisor.workers] == [second.pid, play.started[2].pid]
    play.supervisor.signalled(signal.SIGTERM)
    assert not play.supervisor.catch_up()
    assert second.signals == [signal.SIGTERM]
