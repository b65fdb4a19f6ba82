"""What is done to the cluster, one step after the other, and what may be lost by each."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..bench.wrk import WrkResult
from .cluster import Cluster
from .load import Counts, Load, load
from .tally import UNKNOWN, Failure, Tally

# A reload starts interpreters, which take time of the processors that the old workers and the clients run on. That
# shows in a percentile as some turns of the scheduler; a request that waits for an import shows as its seconds.
P99_SLACK_MS: Final = 25.0
P99_FACTOR: Final = 2.0
NO_WRK: Final = Counts(wrk=0)
# Requests of one kind, few enough that the processors have time left.
STEADY: Final = Counts(keep_alive=16, fresh=0, slow=0, websocket=0, wrk=0)
GOING_AWAY: Final = "closed with 1001"
SHOWN_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done: reloads, terminated workers, the seconds of the slow import, of grace, and between steps.

    Latencies are judged where nothing else runs on the machine: the brief form is part of the tests, which are at once.
    """

    reloads: int = 5
    terminations: int = 10
    import_seconds: float = 4.0
    grace: float = 10.0
    pause: float = 1.0
    judges_latency: bool = True


@dataclass(slots=True)
class Outcome:
    """What a step has shown. It is a failure of hublet's where there are violations."""

    name: str
    did: str
    requests: int
    messages: int
    reconnects: int
    lost: int
    p99_ms: float
    notes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def summarise(name: str, did: str, tally: Tally, wrk: WrkResult | None = None) -> Outcome:
    """Begin an outcome by what was counted."""
    outcome = Outcome(name, did, tally.served, tally.echoes, tally.reconnects, tally.failed, tally.milliseconds(99))
    if wrk is not None:
        outcome.requests += wrk.requests
        outcome.lost += sum(wrk.socket_errors.values()) + wrk.bad_statuses
        if problem := wrk.failure():
            outcome.violations.append(f"wrk: {problem}")
    if tally.idle_ends:
        outcome.notes.append(f"{tally.idle_ends} kept connections ended between two requests")
    return outcome


def forbid(outcome: Outcome, failures: list[Failure]) -> None:
    """Note failures as violations: the first ones, and how many there are."""
    outcome.violations += map(str, failures[:SHOWN_FAILURES])
    if len(failures) > SHOWN_FAILURES:
        outcome.violations.append(f"and {len(failures) - SHOWN_FAILURES} more")


def let_go_on(running: Load, plan: Plan) -> None:
    """Wait until the load runs, and drop what came of it so far."""
    while not running.report().echoes:
        time.sleep(plan.pause / 10)
    time.sleep(plan.pause)
    running.report()


def reload_and_terminate(cluster: Cluster, plan: Plan) -> list[Outcome]:
    """Reload, and terminate workers, with nothing lost."""
    with load(cluster.port, Counts()) as running:
        let_go_on(running, plan)
        for number in range(plan.reloads):
            before = cluster.workers()
            cluster.deploy(f"reload-{number}")
            cluster.signal(signal.SIGHUP)
            cluster.until_logged("serves:")
            cluster.until_settled(without=before)
        reloads = running.report()
        for _ in range(plan.terminations):
            victim = min(cluster.workers())
            os.kill(victim, signal.SIGTERM)
            cluster.until_settled(without={victim})
        time.sleep(plan.pause)
        terminations, wrk = running.report(), running.end_wrk()
    first = summarise("Reloads", f"{plan.reloads} x HUP", reloads)
    forbid(first, reloads.failures)
    if missing := {f"reload-{number}" for number in range(plan.reloads)} - reloads.versions():
        first.violations.append(f"no answer came from {', '.join(sorted(missing))}")
    second = summarise("Terminated workers", f"{plan.terminations} x kill -TERM of a worker", terminations, wrk)
    second.notes.append(f"with {wrk.requests:,} requests of wrk during the reloads too")
    forbid(second, terminations.failures)
    return [first, second]


def deploy_broken(cluster: Cluster, plan: Plan) -> list[Outcome]:
    """Reload a version whose import fails: the old one stays."""
    with load(cluster.port, Counts()) as running:
        let_go_on(running, plan)
        before = cluster.workers()
        cluster.deploy("broken", broken=True)
        cluster.signal(signal.SIGHUP)
        cluster.until_logged("is discarded")
        cluster.until_settled()
        time.sleep(plan.pause)
        tally, wrk = running.report(), running.end_wrk()
    cluster.deploy("mended")
    outcome = summarise("Broken deploy", "HUP with an application that cannot be imported", tally, wrk)
    forbid(outcome, tally.failures)
    if cluster.workers() != before:
        outcome.violations.append("the workers are others than before")
    return [outcome]


def import_slowly(cluster: Cluster, plan: Plan) -> list[Outcome]:
    """Reload a version whose import takes long, and compare latencies with the same time without."""
    with load(cluster.port, STEADY) as running:
        while not running.report().served:
            time.sleep(plan.pause / 10)
        time.sleep(plan.pause)
        running.report()
        before = cluster.workers()
        cluster.deploy("slow", import_seconds=plan.import_seconds)
        began = time.monotonic()
        cluster.signal(signal.SIGHUP)
        cluster.until_logged("serves:")
        cluster.until_settled(without=before)
        took = time.monotonic() - began
        during = running.report()
        time.sleep(took)
        without = running.report()
    cluster.deploy("quick")
    quiet = summarise("No reload", f"nothing, for {took:.1f} s", without)
    outcome = summarise("Slow import", f"HUP; the import takes {plan.import_seconds:g} s", during)
    outcome.notes.append(
        f"p50 {during.milliseconds(50):.1f} ms (without a reload {without.milliseconds(50):.1f}), "
        f"slowest {during.milliseconds(100):.1f} ms ({without.milliseconds(100):.1f})"
    )
    for each, tally in ((quiet, without), (outcome, during)):
        forbid(each, tally.failures)
    bound = P99_FACTOR * quiet.p99_ms + P99_SLACK_MS
    if plan.judges_latency and outcome.p99_ms > bound:
        outcome.violations.append(f"p99 is {outcome.p99_ms:.1f} ms, above {bound:.1f}: twice that without, and slack")
    return [quiet, outcome]


def upgrade(cluster: Cluster, plan: Plan) -> list[Outcome]:
    """Execute the supervisor anew."""
    with load(cluster.port, Counts()) as running:
        let_go_on(running, plan)
        before = cluster.workers()
        cluster.signal(signal.SIGUSR2)
        cluster.until_logged("executing the supervisor anew")
        cluster.until_logged("serves:")
        cluster.until_settled(without=before)
        time.sleep(plan.pause)
        tally, wrk = running.report(), running.end_wrk()
    outcome = summarise("Upgrade", "USR2: the supervisor executes itself anew", tally, wrk)
    forbid(outcome, tally.failures)
    return [outcome]


def kill_worker(cluster: Cluster, plan: Plan) -> list[Outcome]:
    """Kill a worker: it loses what is in flight in it, and nobody else loses anything."""
    with load(cluster.port, NO_WRK) as running:
        let_go_on(running, plan)
        victim = min(cluster.workers())
        os.kill(victim, signal.SIGKILL)
        cluster.until(lambda: victim not in cluster.workers(), "the end of a worker")
        gone = time.monotonic()
        cluster.until_settled(without={victim})
        time.sleep(plan.pause)
        tally = running.report()

    def was_in_flight(failure: Failure) -> bool:
        if failure.client == "websocket" and failure.worker == victim:
            return True  # a client that was not sending just then finds it out later
        return failure.worker in (victim, UNKNOWN) and failure.sent <= gone

    outcome = summarise("Killed worker", "kill -KILL of a worker", tally)
    outcome.notes.append("lost is what was in flight in it, its WebSockets included")
    forbid(outcome, [each for each in tally.failures if not was_in_flight(each)])
    if tally.failed > sum(NO_WRK):
        outcome.violations.append(f"{tally.failed} failures of {sum(NO_WRK)} clients: some lost more than one request")
    return [outcome]


def kill_supervisor(cluster: Cluster, plan: Plan) -> list[Outcome]:
    """Kill the supervisor: workers finish what they have and leave; then nobody listens."""
    with load(cluster.port, NO_WRK) as running:
        let_go_on(running, plan)
        killed = time.monotonic()
        cluster.process.kill()
        cluster.process.wait()
        cluster.until(lambda: not cluster.workers(), "the end of the workers")
        took = time.monotonic() - killed
        tally = running.report()

    def is_the_end(failure: Failure) -> bool:
        """A connection that nobody had accepted, or a WebSocket that was told."""
        return failure.at >= killed and (failure.worker == UNKNOWN or failure.kind == GOING_AWAY)

    outcome = summarise("Killed supervisor", "kill -KILL of the supervisor", tally)
    outcome.lost = sum(not is_the_end(each) for each in tally.failures)
    outcome.notes.append(
        f"workers had left after {took:.1f} s; {tally.failed - outcome.lost} connections were refused from then on, "
        "had not been accepted, or were WebSockets told that the server goes away"
    )
    forbid(outcome, [each for each in tally.failures if not is_the_end(each)])
    return [outcome]


Step = Callable[[Cluster, Plan], list[Outcome]]
# The last one leaves nothing to do more to.
STEPS: Final[tuple[Step, ...]] = (
    reload_and_terminate, deploy_broken, import_slowly, upgrade, kill_worker, kill_supervisor,
)  # fmt: skip
