"""Runs the tests of a package in a greenlet, patched, and prints JSON.

Arguments: its folder, its name, patched or plain, the names of tests to leave out, and modules. Tests that lie in the
library's own package are those of the folder, beside the library that is installed.
"""

from __future__ import annotations

import json
import os
import sys
import unittest
from collections.abc import Iterator
from importlib import import_module

import gevent
import hublet


def cases(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The test cases of a suite, one by one."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each


def run(name: str, excluded: set[str], modules: list[str]) -> dict[str, object]:
    """Run the suite's modules, or all of them."""
    package = import_module(name)
    found = [import_module(f"{name}.{each}") for each in modules]
    suite = unittest.defaultTestLoader.loadTestsFromModule
    whole = package.test_suite() if hasattr(package, "test_suite") else suite(package)
    every = [case for module in found for case in cases(suite(module))] or list(cases(whole))
    chosen = unittest.TestSuite(case for case in every if case.id().rpartition(".")[2] not in excluded)
    result = unittest.TextTestRunner(stream=sys.stderr, warnings="default").run(chosen)
    failed = {case.id(): text for case, text in [*result.failures, *result.errors]}
    return {"ran": result.testsRun, "skipped": len(result.skipped), "failed": failed}


if __name__ == "__main__":
    folder, package_name, patched, excluded_names, *module_names = sys.argv[1:]
    if patched == "patched":
        hublet.patch_all()
    library = package_name.rpartition(".")[0]
    if library:
        import_module(library).__path__.append(os.path.join(folder, library))
    else:
        sys.path.insert(0, folder)
    outcome = gevent.spawn(run, package_name, set(excluded_names.split(",")), module_names).get()
    sys.stdout.write(f"outcome: {json.dumps(outcome)}\n")
