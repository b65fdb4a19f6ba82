"""What becomes of the application under gunicorn, where something is imported before the patching.

Each way is tried in an interpreter of its own, which imports what that way imports first, patches, and prints what it
found as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import gevent

from ..loader import load_application
from ..patches.patching import CAPTURES, REGISTRY, patch_all
from ..runtime.errors import ApplicationLoadError
from .findings import ImportOrder

PATIENCE: Final = 60.0  # seconds; an application whose import takes longer is not looked at this way
WORKER: Final = "gunicorn -k hublet.servers.gunicorn_worker.HubletWorker"
WAYS: Final = {"worker": WORKER, "preload": f"{WORKER} --preload"}
GUNICORN: Final = ("gunicorn.app.wsgiapp", "gunicorn.arbiter", "gunicorn.sock", "gunicorn.workers.base")

CODE: Final = (
    r"import sys; sys.path[:] = sys.argv.pop().split('\n'); import hublet.doctor.import_order as it; it.main()"
)
MARK: Final = '{"rebound": '


def try_import_orders(target: str) -> list[ImportOrder]:
    """Try each way in a process of its own, all at once; none where gunicorn is not installed."""
    if find_spec("gunicorn") is None:
        return []
    tried = [gevent.spawn(try_import_order, way, target) for way in WAYS]
    return [each.get() for each in tried]


def try_import_order(way: str, target: str) -> ImportOrder:
    """Try one way."""
    # The path is an argument: neither the directory nor PYTHONPATH has what this process has added to it.
    command = [sys.executable, "-c", CODE, way, target, "\n".join(sys.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        found = json.loads(next(each for each in reversed(done.stdout.splitlines()) if each.startswith(MARK)))
    except subprocess.TimeoutExpired:
        return ImportOrder(WAYS[way], 0, (), f"the application was not imported within {PATIENCE:g} s")
    except StopIteration:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return ImportOrder(WAYS[way], 0, (), reason)
    return ImportOrder(WAYS[way], found["rebound"], tuple(found["unpatched"]), found["problem"])


def main() -> None:
    """Import, patch, and print, in the process that was started for it."""
    way, target = sys.argv[1:]
    problem = ""
    for name in GUNICORN:
        import_module(name)
    try:
        if way == "preload":
            load_application(target)
    except ApplicationLoadError as error:
        problem = str(error).splitlines()[0]
    unpatched = list(patch_all())
    unpatched += [
        f"{each.patch.name}: {each.problem}" for each in REGISTRY.outcomes.values() if each.state == "refused"
    ]
    rebound = sum(each.rebound for each in CAPTURES)
    print()
    print(json.dumps({"rebound": rebound, "unpatched": list(dict.fromkeys(unpatched)), "problem": problem}), flush=True)
