"""Runs gevent's own tests of its WSGI server against hublet's: `python -m tests.integration.pywsgi.runner VERDICTS`.

A program and not a fixture, because importing the suite patches the standard library. The suite is imported from the
installed gevent and left as it is; only the two names under test are exchanged before: `pywsgi.WSGIServer` and
`pywsgi.Input`. VERDICTS is the JSON file to write: {test id: {"verdict": ..., "failure": ..., "traceback": ...}}.
"""

# ruff: noqa: E402, I001 (the standard library is patched before anything is imported, pywsgi before the suite is)
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import faulthandler
import json
import sys
import traceback
import unittest
from pathlib import Path
from typing import Any

from gevent import pywsgi

from hublet.servers.server import WSGIServer

from .live_input import close_all, live_input

# Seconds after which the whole run is given up, showing where it hangs; it takes two or three.
TIME_LIMIT = 50

# These try a class that the suite itself makes, and would pass without any server.
NOT_ABOUT_THE_SERVER = (
    "test_default_secure_repr",
    "test_override_class_defaults",
    "test_copy_still_secure",
    "test_pickle_copy_returns_dict",
)


class SuiteServer(WSGIServer):
    """hublet's server, told nothing of the handler classes in which the suite only mutes pywsgi's own reports."""

    def __init__(self, listener: Any, application: Any, handler_class: Any = None, **options: Any) -> None:
        if handler_class in (suite.TestCase.handler_class, suite.BadRequestTests.handler_class):
            handler_class = None
        super().__init__(listener, application, handler_class=handler_class, **options)


class Verdicts(unittest.TestResult):
    """Notes for each test whether it passed, failed or was skipped, and how it failed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._note(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._note(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        # Shortened, because a test that times out tells the state of every greenlet.
        self._note(test, "failed", f"{err[0].__name__}: {err[1]}"[:500], "".join(traceback.format_tb(err[2])))

    addError = addFailure

    def stopTest(self, test: unittest.TestCase) -> None:
        close_all()
        super().stopTest(test)

    def _note(self, test: unittest.TestCase, verdict: str, failure: str = "", where: str = "") -> None:
        name = test.id().removeprefix(f"{type(test).__module__}.")
        # A test can fail a second time in its tearDown: the first failure is the one that tells.
        if self.found.get(name, {}).get("verdict") != "failed":
            self.found[name] = {"verdict": verdict, "failure": failure, "traceback": where}


pywsgi.WSGIServer = SuiteServer
pywsgi.Input = live_input
from gevent.tests import test__pywsgi as suite


def main(path: Path) -> None:
    """Run the suite and write the verdicts to `path`."""
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    for name in NOT_ABOUT_THE_SERVER:
        delattr(suite.TestEnviron, name)
    verdicts = Verdicts()
    unittest.defaultTestLoader.loadTestsFromModule(suite).run(verdicts)
    path.write_text(json.dumps(verdicts.found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
