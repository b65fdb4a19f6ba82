"""Runs locust in this process, as its documentation's "use as a library" has it, and looks at it once in a second."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
from locust import runners
from locust.env import Environment

from .plans import Knee
from .recorder import Recorder, Totals
from .server import ServerFailed, StatisticsReader, TestedServer
from .shapes import KneeShape, PlannedShape
from .visits import load_users, make_users

SAMPLE_INTERVAL: Final = 1.0
# Locust's own is 3 s, too long for an axis of seconds.
WORKER_REPORT_INTERVAL: Final = 1.0
WORKERS_TIMEOUT: Final = 60.0
# How long users get to end their request when the test is over.
STOP_TIMEOUT: Final = 10.0
WORKERS_STOP_TIMEOUT: Final = 2.0
OVER: Final = ("stopping", "stopped", "cleanup")


class Run:
    """One load test: its environment, its samples, and how it ended."""

    def __init__(self, options: argparse.Namespace, host: str | None, statistics: Path | None) -> None:
        self.options = options
        users = (
            load_users(options.locustfile, host)
            if options.locustfile
            else make_users(options.visit, host, options.pause)
        )
        # Not less than an answer may take: what is cut off then has failed.
        patience = max(WORKERS_STOP_TIMEOUT if options.master else STOP_TIMEOUT, options.max_p99)
        self.environment: Any = Environment(user_classes=users, host=host, stop_timeout=patience)
        self.recorder = Recorder(self.environment.events)
        self.knee: Knee | None = None
        self.samples: list[dict[str, Any]] = []
        self.statistics = None if statistics is None else StatisticsReader(statistics)
        self.interrupted = False
        self.server_failed: ServerFailed | None = None

    def make_shape(self) -> None:
        """Give the environment the shape that was asked for."""
        options = self.options
        if options.shape == "knee":
            self.knee = Knee(options.users, options.max_p99, options.max_errors)
            shape: Any = KneeShape(self.knee, self.recorder, options.stage, options.time)
        else:
            shape = PlannedShape(options.shape, options.users, options.time)
        self.environment.shape_class = shape

    def execute(self, server: TestedServer | None) -> None:
        """Make the load, to the end of the shape, or of the server, which `server_failed` then tells."""
        self.make_shape()
        runner = self.make_runner()
        if self.statistics is not None:
            self.statistics.skip()
        self.began = time.time()
        self._clock, self._before = time.monotonic(), self.recorder.totals()
        self._cpu = time.process_time()
        runner.start_shape()
        try:
            while runner.shape_greenlet is not None or runner.state not in OVER:
                gevent.sleep(SAMPLE_INTERVAL)
                self.sample(runner)
                if server is not None and server.status() is not None:
                    problem = f"the server ended with status {server.status()} under load"
                    self.server_failed = ServerFailed(problem, server.log_tail())
                    break
            if self.options.master:
                self.await_workers(runner)
                self.sample(runner)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            runner.quit()
            self.finish_progress()

    def await_workers(self, runner: Any) -> None:
        """Wait for what workers have counted at last, and until they can be told to end: they leave and come back."""
        deadline = time.monotonic() + 2 * self.environment.stop_timeout + 2 * WORKER_REPORT_INTERVAL
        gevent.sleep(2 * WORKER_REPORT_INTERVAL)
        while runner.worker_count < self.options.expect_workers and time.monotonic() < deadline:
            gevent.sleep(0.1)

    def make_runner(self) -> Any:
        """Locust's runner: local, or a master whose workers are there. Raises ServerFailed if they do not come."""
        if not self.options.master:
            return self.environment.create_local_runner()
        runner = self.environment.create_master_runner("*", self.options.master_port)
        wait_for(
            lambda: runner.worker_count >= self.options.expect_workers,
            f"{self.options.expect_workers} workers did not connect to port {self.options.master_port}",
        )
        return runner

    def sample(self, runner: Any) -> None:
        """Note what has come since the last look."""
        now, totals, cpu = time.monotonic(), self.recorder.totals(), time.process_time()
        since, seconds = totals - self._before, now - self._clock
        sample = {
            "at": round(time.time() - self.began, 2),
            "users": runner.user_count,
            **describe(since, seconds),
            "generator_cpu": round(max((cpu - self._cpu) / seconds, busiest_worker(runner)), 3),
        }
        state = None if self.statistics is None else self.statistics.read()
        if state is not None:
            sample |= {f"server_{name}": value for name, value in state.items()}
        self._clock, self._before, self._cpu = now, totals, cpu
        self.samples.append(sample)
        self.show_progress(sample)

    def show_progress(self, sample: dict[str, Any]) -> None:
        """One line a second, which takes the place of the one before on a terminal."""
        lag = f"  hub lag {sample['server_lag'] * 1000:4.0f} ms" if "server_lag" in sample else ""
        in_flight = f"  in flight {sample['server_in_flight']:5d}" if "server_in_flight" in sample else ""
        line = (
            f"{sample['at']:6.0f} s  {sample['users']:5d} users  {sample['rate']:8.0f} req/s  "
            f"p50 {sample['p50'] * 1000:6.0f} ms  p99 {sample['p99'] * 1000:6.0f} ms  "
            f"errors {sample['failures']:5d}{in_flight}{lag}"
        )
        sys.stderr.write(f"\r{line}\x1b[K" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.flush()

    def finish_progress(self) -> None:
        """End the line of the progress."""
        if sys.stderr.isatty():
            sys.stderr.write("\n")


def busiest_worker(runner: Any) -> float:
    """The part of a processor that the busiest worker uses, as it says itself; 0.0 without workers."""
    return max((each.cpu_usage for each in getattr(runner, "clients", {}).values()), default=0) / 100


def describe(since: Totals, seconds: float) -> dict[str, Any]:
    """The figures of an interval; times in seconds."""
    return {
        "rate": round(since.requests / seconds, 2),
        "failures": since.failures,
        "unanswered": since.unanswered,
        "requests": since.requests,
        "received": since.received,
        **{f"p{part}": round(since.times.percentile(part / 100), 5) for part in (50, 95, 99)},
    }


def wait_for(condition: Callable[[], bool], problem: str) -> None:
    """Wait until a condition is true. Raises ServerFailed."""
    deadline = time.monotonic() + WORKERS_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{problem} within {WORKERS_TIMEOUT:g} s", "")
        gevent.sleep(0.1)


def work(options: argparse.Namespace) -> int:
    """Make load for a master until it ends. Returns the exit status."""
    runners.WORKER_REPORT_INTERVAL = WORKER_REPORT_INTERVAL
    run = Run(options, options.host, None)
    runner = run.environment.create_worker_runner(options.master_host, options.master_port)
    runner.greenlet.join()
    return 0


def serve_page(options: argparse.Namespace, host: str) -> int:
    """Open locust's own page, and serve it until an interrupt. Returns the exit status."""
    run = Run(options, host, None)
    runner = run.make_runner()
    sys.argv = ["locust"]  # its page reads the command line
    page = run.environment.create_web_ui("127.0.0.1", options.web_port)
    print(
        f"locust's page: http://127.0.0.1:{options.web_port}/ for {host}; end with Ctrl-C", file=sys.stderr, flush=True
    )
    try:
        page.greenlet.join()
    except KeyboardInterrupt:
        pass
    finally:
        runner.quit()
        page.stop()
    return 0
