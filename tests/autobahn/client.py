"""Runs the suite's fuzzing client against one server, and prints every case's verdict as JSON. See suite.py.

This file is run by the suite's own environment, which has Twisted and the suite and nothing of this project.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from autobahntestsuite import fuzzing
from autobahntestsuite.case import case12_x_x
from twisted.internet import reactor

AGENT = "server"
CONNECT_TRIES = 50
CONNECT_PAUSE = 0.2  # seconds


class Client(fuzzing.FuzzingClientFactory):  # type: ignore[misc]  # the suite has no types
    """The suite's client, which waits for a server that is slow to accept instead of leaving out all other cases."""

    refused = 0
    aborted: str | None = None

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        """Try again a while later, and in the end give up."""
        self.refused += 1
        if self.refused < CONNECT_TRIES:
            reactor.callLater(CONNECT_PAUSE, connector.connect)
        else:
            self.abort(reason.getErrorMessage())

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        """Go on to the next case, as upstream does."""
        self.refused = 0
        super().clientConnectionLost(connector, reason)

    def abort(self, reason: str) -> None:
        """End before all cases have been run."""
        self.aborted = f"{reason}, at case {self.currentCaseId}"
        reactor.stop()


def main() -> None:
    """Run the cases that match the patterns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--reports", required=True, help="the folder of the suite's own reports, one a case")
    parser.add_argument("--cases", nargs="+", default=["*"], help='patterns such as "1.*"')
    parser.add_argument("--count", type=int, help="messages of a case of sections 12 and 13; upstream's are 1,000")
    parser.add_argument("--seconds", type=float, required=True, help="give up after so long")
    options = parser.parse_args()
    if options.count:
        for case in case12_x_x.Case12_X_X + case12_x_x.Case13_X_X:
            case.COUNT = options.count
    fuzzing.print = lambda *_, **__: None  # it would tell of every case on standard output
    factory = Client(
        {
            "outdir": options.reports, "cases": options.cases, "exclude-cases": [], "exclude-agent-cases": {},
            "servers": [{"agent": AGENT, "url": options.url, "options": {"version": 18}}],
        }
    )  # fmt: skip
    started = time.monotonic()
    reactor.callLater(options.seconds, factory.abort, f"not done within {options.seconds:g} s")
    reactor.run()
    found = factory.agents.get(AGENT, {})
    report = {
        "selected": factory.specCases,
        "seconds": round(time.monotonic() - started, 1),
        "aborted": factory.aborted,
        "verdicts": {
            case: {
                "behavior": each["behavior"], "close": each["behaviorClose"],
                "result": each["result"], "result_close": each["resultClose"],
            }
            for case, each in found.items()
        },
    }  # fmt: skip
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
