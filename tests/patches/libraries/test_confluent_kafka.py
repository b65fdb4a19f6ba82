"""confluent-kafka yields; messages and transactions are as before, reports come in the greenlet that asks for them."""

from __future__ import annotations

import pytest

from .probe import assert_checks, run_checks


def test_confluent_kafka(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("confluent_kafka_checks"))
