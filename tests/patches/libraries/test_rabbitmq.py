"""py-amqp, kombu, pika and Celery yield, against RabbitMQ; no call gets the reply to one that was interrupted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.private.caches import redis_server
from loadtests.private.process import running

from .probe import ROOT, assert_checks, run_checks

TASKS = f"{__package__}.celery_tasks"


def test_clients(rabbitmq: int, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("amqp_checks", port=rabbitmq))


@contextmanager
def worker(place: Path) -> Iterator[None]:
    """Run a worker of Celery as its documentation and ours say."""
    log = place / "worker-log"
    command = [sys.executable, "-m", "celery", "--workdir", str(ROOT), "-A", TASKS, "worker"]
    with running([*command, "-P", "gevent", "-c", "50", "-l", "info"], lambda: b" ready." in log.read_bytes(), log):
        yield


@pytest.mark.parametrize("results", ["rpc", "redis"])
def test_celery(
    rabbitmq: int, results: str, tmp_path: Path, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER", f"amqp://guest:guest@127.0.0.1:{rabbitmq}//")
    with redis_server() as port:
        monkeypatch.setenv("RESULTS", "rpc://" if results == "rpc" else f"redis://127.0.0.1:{port}/0")
        with worker(tmp_path):
            assert_checks(subtests, run_checks("celery_checks"))
    assert (tmp_path / "worker-log").read_text().count("Traceback") == 1  # of the task that fails
