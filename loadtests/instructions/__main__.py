"""The command line of the check: `python -m loadtests.instructions`, or `make bench-check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..bench.errors import BenchError, UsageError
from ..bench.signals import end_on_signals
from ..compiled import BuildError
from .baseline import BASELINE, GROWTH_PERCENT, compare, describe_environment, differences, read_baseline
from .baseline import write_baseline as write
from .measure import measure
from .revision import built, revision_of
from .traces import WrongAnswer

REMEDY = (
    "compare with a revision by --revision REV, or, on a revision that is known to be good, record this environment "
    f"by --update and commit {BASELINE.name}"
)


def make_parser() -> argparse.ArgumentParser:
    """Declare the options."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.instructions", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--update", action="store_true", help="record the counts as this environment's baseline")
    group.add_argument("--revision", metavar="REV", help="compare with this revision, built now, not with the baseline")
    return parser


def show(line: str) -> None:
    """Tell the person who waits."""
    print(line, flush=True)


def counts_before(revision: str | None) -> dict[str, int]:
    """Give the counts to compare with: the baseline's, or those of a revision, measured now. Raises BenchError."""
    environment = describe_environment()
    if revision is None:
        known = read_baseline(environment)
        if known is not None:
            show(f"compared with {BASELINE.name}, which has this environment")
            return known
        show("THE BASELINE IS OF ANOTHER ENVIRONMENT:")
        for line in differences(environment):
            show(f"  {line}")
        try:
            revision = revision_of(BASELINE)
        except UsageError as error:
            raise UsageError(f"{error}. Otherwise {REMEDY}") from error
        show(f"so the revision that last changed {BASELINE.name} is built and measured here: {revision}")
    with built(revision) as package:
        return measure(package)


def check(revision: str | None) -> bool:
    """Measure, compare, say what was found, and tell whether all of it passed."""
    before = counts_before(revision)
    comparisons = compare(before, measure())
    for comparison in comparisons:
        show(str(comparison))
    passed = all(comparison.passed for comparison in comparisons)
    if not passed:
        show(
            f"A request costs over {GROWTH_PERCENT} % more: find out why, or, if it is worth it, record it by --update."
        )
    return passed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; 0 if it passed, 1 if a request costs too much, 2 where nothing could be compared."""
    arguments = make_parser().parse_args(argv)
    end_on_signals()
    try:
        if arguments.update:
            counts = measure()
            write(describe_environment(), counts)
            show(f"recorded in {BASELINE.name}: {counts}")
            return 0
        return 0 if check(arguments.revision) else 1
    except (BenchError, BuildError, WrongAnswer) as error:
        show(f"loadtests.instructions: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
