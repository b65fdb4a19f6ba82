"""What users report of requests that have no answer, and what the recorder makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hublet.loadtest.recorder import (
    INTERVAL,
    MOST_KINDS,
    OTHERS,
    USER_KEY,
    Kind,
    Recorder,
    Unanswered,
    overall,
    pack,
    since,
)

from tests.conftest import ROOT

# In a process of its own: locust patches the one that imports it.
CUT_OFF = """
import gevent
from hublet.loadtest.users import PageUser, fire
from hublet.loadtest.recorder import Recorder, overall
from locust.env import Environment

PageUser.host = "http://127.0.0.1:1"
environment = Environment(user_classes=[], stop_timeout=0.1)
recorder, user = Recorder(environment.events), PageUser(environment)

def wait():
    with user.awaiting("GET"):
        gevent.sleep(60)

old = gevent.spawn(wait)
gevent.sleep(0.15)
new = gevent.spawn(wait)
gevent.sleep(0)
gevent.killall([old, new])
fire(user, "PUBLISH", "/push", None, 10)
totals = overall(recorder.by_kind())
print(totals.requests, totals.failures, totals.unanswered, totals.times.total)
"""


def recorder_of(*requests: dict[str, Any]) -> Recorder:
    """A recorder that has seen requests, without locust."""
    listeners: list[Any] = []
    event = SimpleNamespace(add_listener=listeners.append)
    recorder = Recorder(SimpleNamespace(request=event, report_to_master=event, worker_report=event))
    for each in requests:
        listeners[0](**each)
    return recorder


def test_a_request_that_the_end_cuts_off_is_a_failure() -> None:
    done = subprocess.run([sys.executable, "-c", CUT_OFF], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "2 1 1 1\n", done.stderr


def test_what_has_no_answer_is_not_in_the_percentiles() -> None:
    totals = overall(recorder_of({"response_time": None}, {"response_time": 200.0}).by_kind())
    assert (totals.requests, totals.times.total) == (2, 1)
    assert totals.times.percentile(0.01) == pytest.approx(0.2, rel=0.012)


def test_what_workers_have_counted_is_added_up() -> None:
    recorder = recorder_of(
        {"response_time": 9000.0, "exception": Unanswered()}, {"response_time": 1.0, "exception": OSError()},
        {"name": "/", "response_time": 30.0, "response_length": 7, "context": {USER_KEY: "Reader"}},
    )  # fmt: skip
    master = recorder_of()
    for _ in range(3):  # the later ones have nothing new
        data: dict[str, Any] = {}
        recorder._on_report_to_master("worker", data)
        master._on_worker_report("worker", json.loads(json.dumps(data)))
    assert {kind: pack(each) for kind, each in master.by_kind().items()} == {
        kind: pack(each) for kind, each in recorder.by_kind().items()
    }
    totals = overall(master.by_kind())
    assert (totals.requests, totals.failures, totals.unanswered, totals.times.total) == (3, 2, 1, 3)
    assert (totals.longest, totals.received) == (9.0, 7)
    assert set(master.by_kind()) == {Kind("", "", ""), Kind("Reader", "", "/")}


def test_intervals_are_no_response_times() -> None:
    recorder = recorder_of(
        {"request_type": INTERVAL, "response_time": 9000.0}, {"request_type": "GET", "response_time": 30.0}
    )
    total = overall(recorder.by_kind())
    assert (total.requests, total.times.total) == (2, 1)
    assert recorder.by_kind()[Kind("", INTERVAL, "")].times.total == 1


def test_what_has_come_since() -> None:
    recorder = recorder_of({"name": "old", "response_time": 1.0}, {"name": "quiet", "response_time": 1.0})
    before = recorder.by_kind()
    for name in ("old", "new"):
        recorder._on_request(name=name, response_time=2.0)
    fresh = since(recorder.by_kind(), before)
    assert {kind.name: (each.requests, each.seconds) for kind, each in fresh.items()} == {
        "old": (1, pytest.approx(0.002)), "new": (1, 0.002)
    }  # fmt: skip


@pytest.mark.parametrize(
    "names, kinds, others", [(MOST_KINDS - 1, 99, 0), (MOST_KINDS, 100, 0), (MOST_KINDS + 2, 101, 2)]
)
def test_names_without_number_share_a_place(names: int, kinds: int, others: int) -> None:
    by_kind = recorder_of(*({"name": f"/item/{number}", "response_time": 1.0} for number in range(names))).by_kind()
    assert len(by_kind) == kinds
    found = by_kind.get(Kind("", "", OTHERS))
    assert (0 if found is None else found.requests) == others


@pytest.mark.parametrize("seconds", [0.45, 0.49])
def test_a_percentile_below_the_bound_is_not_said_to_be_over_it(seconds: float) -> None:
    totals = overall(recorder_of({"response_time": seconds * 1000}).by_kind())
    assert seconds <= totals.times.percentile(0.99) <= 0.5
