"""Connects to a server many times over, then sends waves of one request on each connection and times the answers."""

from __future__ import annotations

import argparse
import gc
import json

from ..stats import percentile
from .flock import Flock
from .requests import get_request


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.clients.waiting", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--waves", type=int, default=3)
    options = parser.parse_args()
    flock = Flock(options.host, options.port, options.connections)
    flock.connect()
    gc.disable()  # its pauses would be added to the server's latencies
    figures = {"connections": float(options.connections), "errors": 0.0}
    for number in range(1, options.waves + 1):
        wave = flock.wave(get_request(options.host, options.port), in_flight=options.connections)
        figures["errors"] += wave.errors
        if not wave.latencies:
            raise SystemExit(f"wave {number}: none of {options.connections:,} requests was answered")
        for name, percent in (("p50", 50), ("p99", 99), ("max", 100)):
            figures[f"{name}_{number}"] = percentile(wave.latencies, percent)
    flock.close()
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
