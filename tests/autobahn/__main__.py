"""Runs the suite against hublet, in both styles of applications and both ways of compression: `make autobahn`."""

from __future__ import annotations

import argparse
import sys

from .server import ServerError, echo_server
from .suite import SuiteError, build_suite, run_suite

COMPRESSIONS = ("connection", "message")
STYLES = ("callback", "blocking")


def main() -> int:
    """Run; 0 if every case is accepted in every run, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn", description=__doc__)
    parser.add_argument("cases", nargs="*", default=["*"], metavar="CASE", help='patterns such as "1.*"; default: all')
    parser.add_argument("--count", type=int, help="messages of a case of sections 12 and 13; default: upstream's 1,000")
    parser.add_argument("--compression", choices=COMPRESSIONS, action="append", help="default: both")
    parser.add_argument("--style", choices=STYLES, action="append", help="default: both")
    options = parser.parse_args()
    status = 0
    try:
        build_suite()
        for compression in options.compression or COMPRESSIONS:
            with echo_server(compression) as port:
                for style in options.style or STYLES:
                    report = run_suite(f"ws://127.0.0.1:{port}/{style}", count=options.count, cases=options.cases)
                    print(f"{style}, websocket_compression={compression}: {report.summary()}", flush=True)
                    for complaint in report.complaints():
                        print(f"  {complaint}", flush=True)
                        status = 1
    except (SuiteError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
