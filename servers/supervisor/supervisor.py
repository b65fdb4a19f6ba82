"""Which workers run: generations that replace each other whole, and successors for those that end.

A generation is started beside the one that serves, and takes over when every one of its workers is ready; if one of
them fails first, the new generation is discarded and nothing has happened. A worker that ends unexpectedly gets a
successor at once, and later ones after growing pauses while they keep ending early. One that is to be recycled leaves
when its successor serves. Workers share the listening sockets, so connections that wait there are never lost with one.

Everything happens in one greenlet, event after event: nothing here has to be locked or can overtake itself.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import gevent
from gevent.queue import Queue

from ...runtime.errors import ApplicationLoadError
from .channel import LEAVING, READY, RECYCLE
from .worker import Events, State, Worker, describe_end

log = logging.getLogger("hublet.supervisor")

FAILURE: Final = 1
# A worker that ends sooner has not worked: its successors have to wait, each twice as long as the one before.
EARLY: Final = 10.0
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 30.0
# What a worker gets beyond its grace time to end by itself, and what one that hangs gets to write its traceback.
KILL_AFTER: Final = 3.0
CHECK_INTERVAL: Final = 0.5


@dataclass(frozen=True, slots=True)
class Rules:
    """How many workers there are, and how long they may take: for finishing, for starting, for a turn of their hub."""

    workers: int
    grace: float
    startup_timeout: float
    worker_timeout: float


def do_nothing() -> None:
    """What is called where nobody wants to know."""


class Supervisor:
    """Keeps workers running. `start(generation, place, events)` starts one; raises OSError or ApplicationLoadError."""

    def __init__(self, rules: Rules, start: Callable[[int, int, Events], Worker]) -> None:
        self._rules = rules
        self._start = start
        self._target = rules.workers
        self._events: Any = Queue()
        self._workers: dict[int, Worker] = {}
        self._generation = 0
        #: The generation that is being started to take over, if there is one.
        self._coming: set[Worker] = set()
        self._reload_again = False
        self._has_served = False
        self._ending = False
        self._status = 0
        self._early_ends = 0
        self._paused_until = 0.0
        self._reexecute = False
        #: Called with each worker that has ended.
        self.on_end: Callable[[Worker], None] | None = None
        #: Called when a reload begins, and when one ends, whatever came of it, or the first generation serves.
        self.on_reload: Callable[[], None] = do_nothing
        self.on_serving: Callable[[], None] = do_nothing
        #: Called when the end has begun.
        self.on_ending: Callable[[], None] = do_nothing

    # From outside, on the hub or in any greenlet.

    def signalled(self, number: int) -> None:
        """Take a signal."""
        self._events.put(partial(self._on_signal, number))

    def heard(self, worker: Worker, messages: bytes) -> None:
        """Take what a worker has written."""
        self._events.put(partial(self._on_message, worker, messages))

    def ended(self, worker: Worker) -> None:
        """Take the end of a worker."""
        self._events.put(partial(self._on_end, worker))

    def adopt(self, worker: Worker, state: State) -> None:
        """Take over a worker of this process's own earlier life; `state` is where in its own life it was."""
        worker.state = state
        self._workers[worker.pid] = worker
        self._generation = max(self._generation, worker.generation)
        self._has_served = True

    @property
    def workers(self) -> list[Worker]:
        """The workers that run."""
        return list(self._workers.values())

    # The life.

    def run(self) -> int | None:
        """Run workers until a signal has ended them all. Returns the exit status; None when it is to be executed anew.

        In that case `run` may be called again, if the execution fails.
        """
        self._reexecute = False
        checks = gevent.spawn(self._check_regularly)
        try:
            while not self._reexecute and (self._workers or not self._ending):
                self._events.get()()
        finally:
            checks.kill()
        return None if self._reexecute else self._status

    def catch_up(self) -> bool:
        """After `run` has returned None: handle what has happened since. Returns whether to execute anew all the same.

        A worker that has ended meanwhile is reaped already, so that nobody would ever hear of it again.
        """
        while not self._events.empty():
            self._events.get()()
        return not self._ending and not self._coming

    def _check_regularly(self) -> None:
        while True:
            gevent.sleep(CHECK_INTERVAL)
            self._events.put(self._check)

    def _check(self) -> None:
        now = time.monotonic()
        for worker in self.workers:
            if worker.state is State.STARTING:
                if now - worker.since > self._rules.startup_timeout:
                    log.error("%s is not ready after %g s: killing it", worker, self._rules.startup_timeout)
                    worker.signal(signal.SIGKILL)
            elif worker.state is State.SERVING:
                self._check_heartbeat(worker, now - worker.last_heard)
            elif now - worker.since > self._rules.grace + KILL_AFTER:
                log.warning("%s has not ended within its grace time: killing it", worker)
                worker.signal(signal.SIGKILL)
        self._fill_up()

    def _check_heartbeat(self, worker: Worker, silence: float) -> None:
        limit = self._rules.worker_timeout
        if not limit or silence < limit:
            return
        if silence > limit + KILL_AFTER:
            worker.signal(signal.SIGKILL)
        elif silence < limit + 2 * CHECK_INTERVAL:
            log.error("%s: its hub has been blocked for %g s, so that nobody is served: aborting it", worker, limit)
            worker.signal(signal.SIGABRT)  # which writes where it is

    # Signals.

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._end(number)
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR2:
            self._reexecute = not self._ending and not self._coming
            if not self._reexecute:
                log.warning("SIGUSR2 is ignored: the workers are being replaced")
        elif number == signal.SIGTTIN:
            self._resize(self._target + 1)
        elif number == signal.SIGTTOU:
            self._resize(max(self._target - 1, 1))
        else:
            for worker in self.workers:
                worker.signal(number)

    def _end(self, number: int) -> None:
        """SIGTERM lets requests finish; SIGINT, SIGQUIT and a second signal do not wait, as with gunicorn."""
        at_once = self._ending or number != signal.SIGTERM
        self._ending = True
        self.on_ending()
        log.info("%s: stopping %d workers%s", signal.Signals(number).name, len(self._workers), " at once" * at_once)
        for worker in self.workers:
            worker.stop(signal.SIGQUIT if at_once else signal.SIGTERM)

    def _resize(self, target: int) -> None:
        self._target = target
        log.info("%d workers are wanted", target)
        self._fill_up()

    # Generations.

    def _reload(self) -> None:
        if self._ending:
            return
        if self._coming:
            self._reload_again = True
            return
        log.info("SIGHUP: starting a new generation of %d workers", self._target)
        self.on_reload()
        self.begin_generation()

    def begin_generation(self) -> None:
        """Start a generation that takes over from the workers that serve, if there are any."""
        self._generation += 1
        for place in self._free_places(self._target):
            worker = self._start_worker(place)
            if worker is None:
                self._discard_generation("a worker cannot be started")
                return
            self._coming.add(worker)

    def _take_over(self) -> None:
        """Every worker of the new generation is ready."""
        coming, self._coming = self._coming, set()
        self._has_served = True
        self._early_ends = 0
        log.info("generation %d serves: %s", self._generation, ", ".join(str(each.pid) for each in coming))
        for worker in self.workers:
            if worker not in coming and worker.state is not State.LEAVING:
                worker.retire()
        self.on_serving()
        self._reload_if_asked_again()

    def _reload_if_asked_again(self) -> None:
        """A reload that was asked for during another one follows it, whatever came of that: it may bring the cure."""
        if self._reload_again:
            self._reload_again = False
            self._reload()

    def _discard_generation(self, reason: str, status: int = FAILURE) -> None:
        coming, self._coming = self._coming, set()
        for worker in coming:
            worker.stop(signal.SIGKILL)
        if self._has_served:
            log.error("generation %d is discarded: %s; the one before it goes on", self._generation, reason)
            self.on_serving()
            self._fill_up()
            self._reload_if_asked_again()
        else:
            log.error("%s: giving up", reason)
            self._status = status
            self._ending = True

    # Workers.

    def _on_message(self, worker: Worker, messages: bytes) -> None:
        if worker.pid not in self._workers:
            return
        if READY in messages and worker.state is State.STARTING:
            worker.state = State.SERVING
            worker.since = time.monotonic()
            if worker in self._coming:
                if all(each.state is State.SERVING for each in self._coming):
                    self._take_over()
            elif worker.replaces is not None:
                worker.replaces.retire()
                worker.replaces = None
        if worker.state is State.SERVING and not self._ending:
            if LEAVING in messages:
                self._succeed(worker, "was told to leave")
            elif RECYCLE in messages and time.monotonic() >= self._paused_until:  # it asks again
                self._succeed(worker, "has reached a limit")

    def _succeed(self, worker: Worker, why: str) -> None:
        if worker in self._coming or any(each.replaces is worker for each in self.workers):
            return
        (place,) = self._free_places(1)
        successor = self._start_worker(place)
        if successor is not None:
            log.info("%s %s: %s succeeds it", worker, why, successor)
            successor.replaces = worker

    def _on_end(self, worker: Worker) -> None:
        status = worker.exit_status or 0
        del self._workers[worker.pid]
        worker.close()
        has_successor = False
        for each in self.workers:
            if each.replaces is worker:
                each.replaces = None
                has_successor = True
        if self.on_end is not None:
            self.on_end(worker)
        how = f"{worker} {describe_end(status)}"
        if worker in self._coming:
            self._coming.discard(worker)
            if not self._ending:
                self._discard_generation(how, status if status > 0 else FAILURE)
        elif worker.state is State.LEAVING:
            log.info("%s", how)
        elif status == 0 and not self._ending:  # somebody told it to leave
            log.info("%s%s", how, "" if has_successor else "; a successor is started")
        elif not self._ending:
            self._ended_unasked(worker, how)
        self._fill_up()

    def _ended_unasked(self, worker: Worker, how: str) -> None:
        served = time.monotonic() - worker.since if worker.state is State.SERVING else 0.0
        if served >= EARLY:
            self._early_ends = 0
            log.error("%s; a successor is started", how)
            return
        pause = min(FIRST_PAUSE * 2**self._early_ends, LONGEST_PAUSE) if self._early_ends else 0.0
        self._early_ends += 1
        self._paused_until = time.monotonic() + pause
        log.error("%s soon after its start; a successor is started%s", how, f" in {pause:g} s" if pause else "")

    def _fill_up(self) -> None:
        """Start what is missing of the generation that serves, and let go what is too many."""
        if self._ending or not self._has_served:
            return
        present = [each for each in self.workers if each.state is not State.LEAVING and each not in self._coming]
        replaced = {each.replaces for each in present}
        lasting = [each for each in present if each not in replaced]
        for worker in lasting[self._target :]:
            worker.retire()
        if time.monotonic() >= self._paused_until:
            for place in self._free_places(self._target - len(lasting)):
                self._start_worker(place)

    def _start_worker(self, place: int) -> Worker | None:
        try:
            worker = self._start(self._generation, place, self)
        except (OSError, ApplicationLoadError) as error:
            log.error("a worker cannot be started: %s", error)
            self._paused_until = time.monotonic() + LONGEST_PAUSE
            return None
        self._workers[worker.pid] = worker
        return worker

    def _free_places(self, count: int) -> list[int]:
        taken = {each.place for each in self.workers}
        places: list[int] = []
        candidate = 0
        while len(places) < count:
            if candidate not in taken:
                places.append(candidate)
            candidate += 1
        return places
