"""The fuzz target for WebSocket frames: a short run, what longer ones have found, and whether its checks can fail."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hublet.servers.websocket.frames import MessageReader

from tests.fuzz.frames import CHECKS, FOUND_FRAMES, check_stream, propose, run
from tests.fuzz.search import problem_of, read_findings
from tests.servers.websocket.streams import TEXT, Event, compressed_reader, feed, frame


def test_short_run() -> None:
    report = run(seconds=3, seed=1)
    assert report.findings == []
    assert report.tried > 500


def test_what_was_found_before() -> None:
    for finding in read_findings(FOUND_FRAMES):
        for seed in range(20):
            assert problem_of(CHECKS[finding.check], finding.data, seed) == "", finding


def test_what_is_made_up_leads_to_everything() -> None:
    random = Random(2)
    seen: Counter[Any] = Counter()
    for _ in range(1000):
        name, data = propose(random)
        if name != "server":
            seen.update(
                event[: 2 if event[0] == "failed" else 1] for event in feed([data], lambda: compressed_reader(300))
            )
    kinds = [("message",), ("ping",), ("pong",), ("close",), ("failed", 1002), ("failed", 1007), ("failed", 1009)]
    assert min(seen[kind] for kind in kinds) >= 10, seen


class Faulty:
    """A reader with a fault that the checks have to find."""

    def __init__(self, limit: int, fault: str) -> None:
        self.reader = MessageReader(0 if fault == "boundless" else limit)
        self.fault = fault
        self.kept: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        if self.fault == "forgetful" and len(data) == 1:
            return []
        if self.fault == "greedy":
            self.kept.append(bytes(1_000_000))
        found = self.reader.feed(data)
        return found * 2 if self.fault == "talkative" and found and found[-1][0] == "close" else found


@pytest.mark.parametrize(
    ("fault", "data", "problem"),
    [
        ("forgetful", frame(TEXT, b"a"), "the events depend on the cut"),
        ("boundless", frame(TEXT, b"a" * 500), "a message over the limit"),
        ("talkative", frame(8), "an event behind the end"),
        ("greedy", frame(TEXT, b"a"), "more memory than input accounts for"),
    ],
)
def test_faults_are_found(fault: str, data: bytes, problem: str) -> None:
    def new_reader(limit: int) -> Any:
        return Faulty(limit, fault)

    found = {problem_of(lambda data, random: check_stream(data, random, new_reader), data, seed) for seed in range(40)}
    assert any(each.startswith(f"AssertionError: {problem}") for each in found), found
    assert problem_of(CHECKS["client"], data, 0) == ""
