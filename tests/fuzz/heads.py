"""Fuzz the head parser and the chunked decoder: `python -m tests.fuzz.heads --seconds 60 --seed 7`.

Mutates the corpus and checks the invariants. What it finds is written to tests/corpus/found/ (see search.py).
"""

from __future__ import annotations

import sys
from random import Random

from tests.corpus import FOUND, load
from tests.fuzz.invariants import check_chunked, check_head
from tests.fuzz.mutation import mutate, splice
from tests.fuzz.search import Check, Report, command, explore
from tests.servers.http1.verdicts import Accepted, read_head

# Longer cases cost time, and what is special about them is their length.
LONGEST_SEED = 1000


def check_message(data: bytes, random: Random) -> None:
    """Check a head and, if it announces one, the chunked body behind it."""
    verdict = check_head(data, random)
    if isinstance(verdict, Accepted) and verdict.chunked:
        check_chunked(data[verdict.size :], random)


CHECKS: dict[str, Check] = {"message": check_message, "chunked": check_chunked}


def run(seconds: float, seed: int) -> Report:
    """Try inputs for `seconds`; report the first that breaks each invariant."""
    requests = [case.request for case in load() if len(case.request) <= LONGEST_SEED]
    heads = [(data, read_head(data)) for data in requests]
    bodies = [data[head.size :] for data, head in heads if isinstance(head, Accepted) and head.chunked]

    def propose(random: Random) -> tuple[str, bytes]:
        name = "message" if random.randrange(4) else "chunked"
        seeds = requests if name == "message" else bodies
        data = splice(seeds, random) if random.randrange(4) == 0 else random.choice(seeds)
        return name, mutate(data, random)

    return explore(seconds, Random(seed), propose, CHECKS)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    return command("tests.fuzz.heads", __doc__.partition("\n")[0], run, FOUND, arguments)


if __name__ == "__main__":
    sys.exit(main())
