"""What users report of requests that have no answer, and what the recorder makes of it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hublet.loadtest.recorder import Recorder, Unanswered

from tests.conftest import ROOT

# In a process of its own: locust patches the one that imports it.
CUT_OFF = """
import gevent
from hublet.loadtest.users import PageUser, fire
from hublet.loadtest.recorder import Recorder
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
totals = recorder.totals()
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
    totals = recorder_of({"response_time": None}, {"response_time": 200.0}).totals()
    assert (totals.requests, totals.times.total) == (2, 1)
    assert totals.times.percentile(0.01) == pytest.approx(0.2, rel=0.012)


def test_what_workers_have_counted_is_added_up() -> None:
    recorder = recorder_of(
        {"response_time": 9000.0, "exception": Unanswered()}, {"response_time": 1.0, "exception": OSError()}
    )
    data: dict[str, Any] = {}
    recorder._on_report_to_master("worker", data)
    master = recorder_of()
    master._on_worker_report("worker", data)
    totals = master.totals()
    assert (totals.requests, totals.failures, totals.unanswered, totals.times.total) == (2, 2, 1, 2)


@pytest.mark.parametrize("seconds", [0.45, 0.49])
def test_a_percentile_below_the_bound_is_not_said_to_be_over_it(seconds: float) -> None:
    totals = recorder_of({"response_time": seconds * 1000}).totals()
    assert seconds <= totals.times.percentile(0.99) <= 0.5
