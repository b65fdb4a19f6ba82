"""The pytest plug-in: patches before conftest files and tests are imported, if asked to, and is idle otherwise.

pytest loads it wherever hublet is installed, so it imports nothing of hublet's until `--hublet`, `-p hublet` or the ini
option `hublet_patch` asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import pytest

NAME: Final = "hublet"
PROBLEMS: Final = pytest.StashKey[tuple[str, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the ini option."""
    text = "call hublet.patch_all() before anything of the tests is imported"
    parser.getgroup(NAME).addoption("--hublet", action="store_true", default=False, help=text)
    parser.addini("hublet_patch", f"{text} (true or false)", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Patch, as the first thing that is done after the options have been read."""
    options = early_config.known_args_namespace
    if options.hublet or NAME in options.plugins or early_config.getini("hublet_patch"):
        early_config.stash[PROBLEMS] = import_module("hublet.patches.patching").patch_all()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say that it is patched, and what could not be."""
    problems = config.stash.get(PROBLEMS, None)
    return [] if problems is None else ["hublet: patched", *(f"hublet: {each}" for each in problems)]
