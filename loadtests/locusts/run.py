"""Runs locust in this process, as its documentation's "use as a library" has it, and samples it once in a second."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
from locust import runners
from locust.env import Environment

from .interrupts import Interrupts
from .plans import Knee, least_users, sample_interval
from .recorder import Recorder, overall, since
from .server import ServerFailed, StatisticsReader, TestedServer
from .shapes import KneeShape, PlannedShape, users_by_class
from .visits import LISTENING, equip, load_users, make_users
from .workers import WorkerWatch

# Locust's own is 3 s, too long for an axis of seconds.
WORKER_REPORT_INTERVAL: Final = 1.0
WORKERS_TIMEOUT: Final = 60.0
# How long users get to end their request when the test is over.
STOP_TIMEOUT: Final = 10.0
WORKERS_STOP_TIMEOUT: Final = 2.0
# How long a message to the master may take to leave.
FLUSH: Final = 0.5
PAGE_HOST: Final = "127.0.0.1"
OVER: Final = ("stopping", "stopped", "cleanup")


class Run:
    """One load test: its environment, its samples, and how it ended."""

    def __init__(
        self, options: argparse.Namespace, host: str | None, statistics: Path | None, interrupts: Interrupts
    ) -> None:
        self.options = options
        self.interrupts = interrupts
        users = load_users(options.locustfile) if options.locustfile else make_users(options.visit, options.pause)
        for each in users:
            equip(each, host, options.tls)
        # Not less than an answer may take: what is cut off then has failed.
        patience = max(WORKERS_STOP_TIMEOUT if options.master else STOP_TIMEOUT, options.bounds.p99.most)
        self.environment: Any = Environment(user_classes=users, host=host, stop_timeout=patience)
        self.recorder = Recorder(self.environment.events)
        self.workers = WorkerWatch(self.environment.events) if options.master else None
        self.knee: Knee | None = None
        self.samples: list[dict[str, Any]] = []
        self.statistics = None if statistics is None else StatisticsReader(statistics)
        self.server_failed: ServerFailed | None = None
        self.interval = sample_interval(options.time)

    @property
    def asking(self) -> frozenset[str]:
        """The classes of users who ask all the time. What those of a locustfile do is not known."""
        if self.options.locustfile:
            return frozenset()
        return frozenset(visit.label for visit in self.options.visit if visit.kind not in LISTENING)

    @property
    def unseen(self) -> float:
        """How long users may be silent without it being seen: between samples, and on the way from a worker."""
        return self.interval + (WORKER_REPORT_INTERVAL if self.options.master else 0.0)

    def make_shape(self) -> None:
        """Give the environment the shape that was asked for."""
        options = self.options
        if options.shape == "knee":
            self.knee = Knee(options.users, least_users(each.weight for each in self.environment.user_classes))
            shape: Any = KneeShape(self.knee, self.recorder, options.bounds, self.asking, options.stage, options.time)
        else:
            shape = PlannedShape(options.shape, options.users, options.time)
        self.environment.shape_class = shape

    def execute(self, server: TestedServer | None) -> None:
        """Make the load, to the end of the shape, or of the server, which `server_failed` then tells, or to a signal.

        Raises Interrupted for a signal before the load, and ServerFailed if workers do not come.
        """
        self.make_shape()
        runner = self.make_runner()
        try:
            self.await_connections(runner)
            if self.statistics is not None:
                self.statistics.skip()
            self.began = time.time()
            self._clock, self.counted = time.monotonic(), self.recorder.by_kind()
            self._cpu = time.process_time()
            runner.start_shape()
            while not self.interrupts.received and (runner.shape_greenlet is not None or runner.state not in OVER):
                self.interrupts.pause(self.interval)
                self.sample(runner)
                if server is not None and server.status() is not None and not self.interrupts.received:
                    problem = f"the server ended with status {server.status()} under load"
                    self.server_failed = ServerFailed(problem, server.log_tail())
                    break
            if self.workers is not None and not self.interrupts.received:
                self.await_workers(runner, self.workers)
                self.sample(runner)
        finally:
            if self.interrupts.received:
                self.environment.stop_timeout = 0.0  # whoever interrupts does not want to wait for answers
            runner.quit()
            self.finish_progress()

    def await_workers(self, runner: Any, workers: WorkerWatch) -> None:
        """Wait for what workers have counted at last, and until they can be told to end: they leave and come back.

        Those who do not report it in time are lost.
        """
        workers.end()
        deadline = time.monotonic() + 2 * self.environment.stop_timeout + 2 * WORKER_REPORT_INTERVAL
        while (
            (workers.awaited() or runner.worker_count < len(workers.known) - len(workers.lost))
            and time.monotonic() < deadline
            and not self.interrupts.received
        ):
            gevent.sleep(0.1)
        for each in workers.awaited():
            workers.lose(each)

    def make_runner(self) -> Any:
        """Locust's runner: local, or a master."""
        if self.options.master:
            check_port("", self.options.master_port, "--master-port")
            return self.environment.create_master_runner("*", self.options.master_port)
        return self.environment.create_local_runner()

    def await_connections(self, runner: Any) -> None:
        """Wait for a master's workers. Raises ServerFailed if they do not come."""
        if not self.options.master:
            return
        expected, port = self.options.expect_workers, self.options.master_port
        deadline = time.monotonic() + WORKERS_TIMEOUT
        print(f"waiting for workers ({expected}) on port {port}", file=sys.stderr, flush=True)
        while runner.worker_count < expected:
            self.interrupts.check()
            if time.monotonic() > deadline:
                problem = f"{runner.worker_count} of {expected} workers connected to port {port}"
                raise ServerFailed(f"{problem} within {WORKERS_TIMEOUT:g} s", "")
            gevent.sleep(0.1)

    def sample(self, runner: Any) -> None:
        """Note what has come since the last look."""
        now, by_kind, cpu = time.monotonic(), self.recorder.by_kind(), time.process_time()
        fresh, seconds, by_user = since(by_kind, self.counted), now - self._clock, users_by_class(runner)
        at = round(time.time() - self.began, 2)
        sample = {
            "at": at,
            "users": sum(by_user.values()),
            **overall(fresh).describe(seconds),
            "generator_cpu": round(max((cpu - self._cpu) / seconds, busiest_worker(runner)), 3),
        }
        if self.workers is not None and runner.state not in OVER:
            self.workers.look(runner.clients, at)
        state = None if self.statistics is None else self.statistics.read()
        if state is not None:
            sample |= {f"server_{name}": value for name, value in state.items()}
        sample["by_user"] = by_user
        sample["kinds"] = [kind._asdict() | totals.describe(seconds) for kind, totals in fresh.items()]
        self._clock, self.counted, self._cpu = now, by_kind, cpu
        self.samples.append(sample)
        self.show_progress(sample)

    def show_progress(self, sample: dict[str, Any]) -> None:
        """One line a second, which takes the place of the one before on a terminal."""
        lag = f"  hub lag {sample['server_lag'] * 1000:4.0f} ms" if "server_lag" in sample else ""
        in_flight = f"  in flight {sample['server_in_flight']:5d}" if "server_in_flight" in sample else ""
        lost = f"  workers lost: {len(self.workers.lost)}" if self.workers is not None and self.workers.lost else ""
        p50, p99 = ((sample[each] or 0) * 1000 for each in ("p50", "p99"))
        line = (
            f"{sample['at']:6.0f} s  {sample['users']:5d} users  {sample['rate']:8.0f} req/s  "
            f"p50 {p50:6.0f} ms  p99 {p99:6.0f} ms  errors {sample['failures']:5d}{in_flight}{lag}{lost}"
        )
        sys.stderr.write(f"\r{line}\x1b[K" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.flush()

    def finish_progress(self) -> None:
        """End the line of the progress."""
        if sys.stderr.isatty():
            sys.stderr.write("\n")


def check_port(host: str, port: int, option: str) -> None:
    """Raise ValueError if a port is taken: locust would not say it in a line."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ValueError(
            f"port {port} cannot be had ({os.strerror(error.errno or 0)}): name another one with {option}"
        ) from None


def busiest_worker(runner: Any) -> float:
    """The part of a processor that the busiest worker uses, as it says itself; 0.0 without workers."""
    return max((each.cpu_usage for each in getattr(runner, "clients", {}).values()), default=0) / 100


def work(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Make load for a master until it ends, or a signal comes. Returns the exit status."""
    runners.WORKER_REPORT_INTERVAL = WORKER_REPORT_INTERVAL
    environment = Run(options, options.host, None, interrupts).environment
    # In a greenlet, since locust tries to connect for five minutes.
    connecting = gevent.spawn(connect, environment, options)
    wait_for(connecting.ready, interrupts)
    runner = environment.runner
    if not connecting.ready():
        connecting.kill()
    elif runner is None:
        print(
            f"hublet loadtest: no master answers at {options.master_host}:{options.master_port}: "
            "start one with --master, or name it with --master-host and --master-port",
            file=sys.stderr,
        )
        return 1
    else:
        wait_for(lambda: not runner.greenlet, interrupts)
    if interrupts.received and runner is not None and runner.greenlet:
        leave(runner)
    elif runner is not None and is_master_silent(runner):
        print("hublet loadtest: the master is not there any more", file=sys.stderr)
        return 1
    return 0


def connect(environment: Any, options: argparse.Namespace) -> None:
    """Connect a worker to its master; without success `environment` still has no runner."""
    try:
        environment.create_worker_runner(options.master_host, options.master_port)
    except ConnectionError:
        pass  # after a message by locust


def wait_for(condition: Callable[[], object], interrupts: Interrupts) -> None:
    """Wait until a condition is true, or a signal has come."""
    while not condition() and not interrupts.received:
        gevent.sleep(0.1)


def is_master_silent(runner: Any) -> bool:
    """Whether a worker has ended since its master sends no heartbeats."""
    heard = runner.last_heartbeat_timestamp
    return heard is not None and heard < time.time() - runners.MASTER_HEARTBEAT_TIMEOUT


def leave(runner: Any) -> None:
    """Stop a worker's users at once, send what they have counted, and tell the master that this worker has gone."""
    runner.environment.stop_timeout = 0.0
    runner.stop()
    runner._send_stats()
    runner.environment.events.quitting.fire(environment=runner.environment)
    gevent.sleep(FLUSH)
    runner.greenlet.kill(block=True)


def serve_page(options: argparse.Namespace, host: str, interrupts: Interrupts) -> None:
    """Open locust's own page, and serve it until a signal comes."""
    check_port(PAGE_HOST, options.web_port, "--web-port")
    run = Run(options, host, None, interrupts)
    runner = run.make_runner()
    sys.argv = ["locust"]  # its page reads the command line
    page = run.environment.create_web_ui(PAGE_HOST, options.web_port)
    print(
        f"locust's page: http://{PAGE_HOST}:{options.web_port}/ for {host}; end with Ctrl-C",
        file=sys.stderr,
        flush=True,
    )
    try:
        wait_for(page.greenlet.ready, interrupts)
    finally:
        run.environment.stop_timeout = 0.0
        runner.quit()
        page.stop()
