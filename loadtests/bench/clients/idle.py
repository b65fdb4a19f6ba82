"""Opens connections, serves one request on each, reports, and holds them idle until its standard input is closed."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from .flock import Flock
from .requests import get_request

IN_FLIGHT: Final = 16


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.clients.idle", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    options = parser.parse_args()
    flock = Flock(options.host, options.port, options.connections)
    flock.connect()
    wave = flock.wave(get_request(options.host, options.port), IN_FLIGHT)
    print(json.dumps({"errors": wave.errors}), flush=True)
    sys.stdin.read()
    print(json.dumps({"lost": flock.count_lost()}), flush=True)
    flock.close()


if __name__ == "__main__":
    main()
