"""The process that is measured: `python -m loadtests.bench.libraries.measure KIND NAME WAY SECONDS DIRECTORY`.

KIND is `costs`, `stalls` or `offloading`. WAY says what is patched: `plain` nothing, `gevent` the standard library by
gevent's `monkey.patch_all`, `hublet` everything by `hublet.patch_all`. It prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

ADDRESSES: Final = "addresses.json"
AT_ONCE: Final = 20
WARM_UP: Final = 50  # operations
BATCH: Final = 10  # operations between two looks at the clock
WAYS: Final[Mapping[str, Callable[[], Any]]] = {
    "plain": lambda: None,
    "gevent": lambda: import_module("gevent.monkey").patch_all(),
    "hublet": lambda: import_module("hublet").patch_all(),
}


def repeat(operation: Callable[[], object], end: float) -> int:
    """Make an operation again and again until the clock says `end`, and tell how often."""
    count = 0
    while time.perf_counter() < end:
        for _ in range(BATCH):
            operation()
        count += BATCH
    return count


def cost_alone(operation: Callable[[], object], seconds: float) -> float:
    """Measure an operation in sequence: microseconds."""
    for _ in range(WARM_UP):
        operation()
    begun = time.perf_counter()
    count = repeat(operation, begun + seconds)
    return (time.perf_counter() - begun) / count * 1e6


def cost_at_once(operations: list[Callable[[], object]], seconds: float) -> float:
    """Measure operations that greenlets make at the same time: microseconds for each."""
    gevent: Any = import_module("gevent")
    gevent.joinall([gevent.spawn(each) for each in operations], raise_error=True)
    begun = time.perf_counter()
    tasks = [gevent.spawn(repeat, each, begun + seconds) for each in operations]
    gevent.joinall(tasks, raise_error=True)
    count: int = sum(each.value for each in tasks)
    return (time.perf_counter() - begun) / count * 1e6


def in_greenlet(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function where it can yield."""
    return import_module("gevent").spawn(function, *arguments).get()


def measure_costs(name: str, way: str, seconds: float, directory: Path) -> dict[str, float]:
    """Measure a library's small operation."""
    driver = driver_of(name, directory)
    if way == "plain":
        return {"alone_us": cost_alone(driver.make_small(), seconds)}
    alone: float = in_greenlet(cost_alone, driver.make_small(), seconds)
    if way == "gevent":
        return {"alone_us": alone}
    return {"alone_us": alone, "at_once_us": cost_at_once([driver.make_small() for _ in range(AT_ONCE)], seconds)}


def measure_stalls(name: str, way: str, seconds: float, directory: Path) -> dict[str, float]:
    """Make slow operations at once, again until the time is over, and give the worst that was seen."""
    gevent: Any = import_module("gevent")
    measured = import_module("loadtests.bench.libraries.ticker").measured
    driver = driver_of(name, directory)
    elapsed = stall = 0.0
    end = time.perf_counter() + seconds
    while not elapsed or time.perf_counter() < end:
        operations = [driver.make_slow() for _ in range(AT_ONCE)]
        with measured() as seen:
            gevent.joinall([gevent.spawn(each) for each in operations], raise_error=True)
        elapsed, stall = max(elapsed, seen.elapsed), max(stall, seen.stall)
    return {"elapsed_s": elapsed, "stall_ms": stall * 1000}


def measure_offloading(name: str, way: str, seconds: float, directory: Path) -> dict[str, float]:
    """Measure a call of nothing on native threads: hublet's, or those of gevent's ThreadPool."""
    gevent: Any = import_module("gevent")
    hublet: Any = import_module("hublet")

    def by_hublet() -> object:
        return hublet.offload(abs, 1)

    def by_gevent() -> object:
        return gevent.get_hub().threadpool.apply(abs, (1,))

    call = by_hublet if name == "hublet" else by_gevent
    alone = in_greenlet(cost_alone, call, seconds)
    return {"alone_us": alone, "at_once_us": cost_at_once([call] * AT_ONCE, seconds)}


def driver_of(name: str, directory: Path) -> Any:
    """Import a library, now that what is to be patched is, and give what is measured of it."""
    drivers = import_module("loadtests.bench.libraries.drivers")
    return drivers.DRIVERS[name](json.loads((directory / ADDRESSES).read_text()))


KINDS: Final = {"costs": measure_costs, "stalls": measure_stalls, "offloading": measure_offloading}


def main(kind: str, name: str, way: str, seconds: str, directory: str) -> None:
    """Patch, measure and print."""
    WAYS[way]()
    print(json.dumps(KINDS[kind](name, way, float(seconds), Path(directory))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
