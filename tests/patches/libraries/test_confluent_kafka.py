"""confluent-kafka yields while brokers are silent; reports come in the greenlet that asks for them."""

from __future__ import annotations

import pytest

from .probe import run_checks


def test_confluent_kafka(subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("confluent_kafka_checks").items():
        with subtests.test(name):
            assert problem == ""
