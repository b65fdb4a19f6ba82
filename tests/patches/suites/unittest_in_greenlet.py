"""Runs a package named `tests` in a greenlet, patched, and prints JSON.

Arguments: its folder, patched or plain, the names of tests to leave out, and modules.
"""

from __future__ import annotations

import json
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


def run(excluded: set[str], modules: list[str]) -> dict[str, object]:
    """Run the suite's modules, or all of them."""
    package = import_module("tests")
    found = [import_module(f"tests.{each}") for each in modules]
    suite = unittest.defaultTestLoader.loadTestsFromModule
    every = [case for module in found for case in cases(suite(module))] or list(cases(package.test_suite()))
    chosen = unittest.TestSuite(case for case in every if case.id().rpartition(".")[2] not in excluded)
    result = unittest.TextTestRunner(stream=sys.stderr).run(chosen)
    failed = {case.id(): text for case, text in [*result.failures, *result.errors]}
    return {"ran": result.testsRun, "skipped": len(result.skipped), "failed": failed}


if __name__ == "__main__":
    folder, patched, excluded_names, *module_names = sys.argv[1:]
    if patched == "patched":
        hublet.patch_all()
    sys.path.insert(0, folder)
    outcome = gevent.spawn(run, set(excluded_names.split(",")), module_names).get()
    sys.stdout.write(json.dumps(outcome) + "\n")
