"""The command line of the check: `python -m loadtests.instructions`, or `make bench-check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..bench.errors import BenchError, UsageError
from ..bench.signals import end_on_signals
from ..compiled import BuildError
from .baseline import (
    BASELINE,
    GROWTH_PERCENT,
    compare,
    describe_environment,
    differences,
    entry_of,
    read_entries,
    record_counts,
    reference_of,
    without_recorded_growth,
)
from .measure import measure
from .revision import built, revision_of
from .traces import WrongAnswer

REMEDY = (
    "compare with a revision by --revision REV, or, on a revision that is known to be good, record this environment "
    f"by --update and commit {BASELINE.name}"
)
WORTH_IT = f"If it is worth it, record it with the reason: --accept REASON, and commit {BASELINE.name}."


def make_parser() -> argparse.ArgumentParser:
    """Declare the options."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.instructions", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--update", action="store_true",
        help="record the counts too, if they pass; later ones are judged by the least that was recorded",
    )  # fmt: skip
    group.add_argument(
        "--accept", metavar="REASON", help="record the counts though they grew: later ones are judged by these"
    )
    group.add_argument("--revision", metavar="REV", help="compare with this revision, built now, not with the baseline")
    return parser


def show(line: str) -> None:
    """Tell the person who waits."""
    print(line, flush=True)


def counts_before(revision: str | None) -> dict[str, int]:
    """Give the counts to compare with: the baseline's, or those of a revision, measured now. Raises BenchError."""
    environment = describe_environment()
    if revision is not None:
        with built(revision) as package:
            return measure(package)
    known = entry_of(environment)
    if known is not None:
        show(
            f"compared with the least that {BASELINE.name} has of this environment, in {len(known['records'])} records"
        )
        return reference_of(known)
    show("THE BASELINE IS OF ANOTHER ENVIRONMENT:")
    for line in differences(environment):
        show(f"  {line}")
    try:
        revision = revision_of(BASELINE)
    except UsageError as error:
        raise UsageError(f"{error}. Otherwise {REMEDY}") from error
    show(f"so the revision that last changed {BASELINE.name} is built and measured here: {revision}")
    with built(revision) as package:
        counts = measure(package)
    reference = without_recorded_growth(counts, read_entries()[-1])
    show(f"it has {counts}; without the growth that was recorded before it: {reference}")
    return reference


def check(revision: str | None, counts: dict[str, int]) -> bool:
    """Compare, say what was found, and tell whether all of it passed."""
    comparisons = compare(counts_before(revision), counts)
    for comparison in comparisons:
        show(str(comparison))
    return all(comparison.passed for comparison in comparisons)


def update(counts: dict[str, int], accepted: str) -> bool:
    """Record counts that pass, or that are accepted; tell whether that was done."""
    environment = describe_environment()
    known = entry_of(environment)
    if known is not None and not accepted:
        comparisons = compare(reference_of(known), counts)
        for comparison in comparisons:
            show(str(comparison))
        # A trace that is new has nothing to be judged by.
        if any(not comparison.passed and comparison.before is not None for comparison in comparisons):
            show(f"Not recorded. {WORTH_IT}")
            return False
    record_counts(environment, counts, accepted)
    show(f"recorded in {BASELINE.name}{f', accepted: {accepted}' if accepted else ''}: {counts}")
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; 0 if it passed, 1 if a request costs too much, 2 where nothing could be compared."""
    arguments = make_parser().parse_args(argv)
    end_on_signals()
    if arguments.accept is not None and not arguments.accept.strip():
        show("loadtests.instructions: --accept needs a reason, which is kept beside the counts")
        return 2
    try:
        counts = measure()
        if arguments.update or arguments.accept:
            return 0 if update(counts, arguments.accept or "") else 1
        if check(arguments.revision, counts):
            return 0
        show(f"A request costs over {GROWTH_PERCENT} % more, or is not measured: find out why. {WORTH_IT}")
        return 1
    except (BenchError, BuildError, WrongAnswer) as error:
        show(f"loadtests.instructions: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
