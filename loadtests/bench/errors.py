"""What may go wrong in a benchmark: with one round of one server, or with the machine it is to run on."""

from __future__ import annotations


class BenchError(Exception):
    """Base of the benchmark's own exceptions."""


class RoundFailed(BenchError):
    """One round of one server gave no figure that can be trusted. `reason` and the number of `errors` are reported."""

    def __init__(self, reason: str, errors: int = 0) -> None:
        self.reason = reason
        self.errors = errors
        super().__init__(reason)


class UsageError(BenchError):
    """The command line or the machine does not allow the run that was asked for. The text says what to change."""
