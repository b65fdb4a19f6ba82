"""The catalogue's entries for drivers and clients fit the libraries that are tested, and say what a user must know."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from hublet.patches.catalogue import cooperative, messaging, networking
from hublet.patches.replacement import Patch
from packaging.specifiers import SpecifierSet

from loadtests.private.mariadb import MariaDB

CHANGING = [each for each in (*networking.PATCHES, *messaging.PATCHES) if each.changes_something]
MISFITS = """if True:
    import importlib, sys
    from hublet.patches.catalogue import CATALOGUE
    for patch in [each for each in CATALOGUE if each.name in sys.argv[1:]]:
        importlib.import_module(patch.module)
        print(patch.name, patch.misfit())
"""
IMPORTED_EARLY = """if True:
    import sys
    from MySQLdb import connect as mysqlclient_connect
    import MySQLdb.connections
    from mariadb import connect as mariadb_connect
    from mysql.connector import connect as connector_connect
    import hublet
    hublet.patch_all()
    import gevent
    from tests.patches.libraries import sql
    options = dict(host="127.0.0.1", port=int(sys.argv[1]), user="hublet", password="secret")
    sql.queries_yield(lambda: mysqlclient_connect(**options))
    sql.queries_yield(lambda: mariadb_connect(**options))
    sql.queries_yield(lambda: connector_connect(collation="utf8mb4_general_ci", buffered=True, **options))
    print("all yield")
"""

ANEW = """if True:
    import importlib, sys
    import hublet
    hublet.patch_all()
    from hublet.patches.catalogue import databases, networking
    from hublet.patches.patching import REGISTRY
    patches = [each for each in (*databases.PATCHES, *networking.PATCHES) if each.changes_something]
    def complain(patch, when):
        outcome = REGISTRY.outcomes[patch.name]
        places = [holder_and_name(each.target) for each in patch.replacements]
        placed = [(each.holder, each.name) for each in patch.placed if vars(each.holder)[each.name] is each.value]
        missing = [str(each) for each in places if each not in placed]
        if outcome.state != "applied" or missing:
            print(patch.name, when, outcome.state, outcome.problem, missing)
    from hublet.patches.replacement import holder_and_name
    for patch in patches:
        importlib.import_module(patch.module)
        complain(patch, "at first")
    for patch in patches:
        for name in sorted(patch.modules):
            importlib.reload(sys.modules[name])
        complain(patch, "reloaded")
    for package in {patch.module.partition(".")[0] for patch in patches if patch.distribution}:
        for name in [each for each in sys.modules if each.partition(".")[0] == package]:
            del sys.modules[name]
    for patch in patches:
        importlib.import_module(patch.module)
        complain(patch, "imported again")
    print(len(patches))
"""


@pytest.mark.parametrize("patch", CHANGING, ids=lambda each: each.name)
def test_the_installed_version_is_one_that_is_said_to_be_tested(patch: Patch) -> None:
    assert importlib.metadata.version(patch.distribution) in SpecifierSet(patch.versions)
    assert patch.changes_something
    assert patch.cost, "its cost must be known"


def test_what_cooperates_changes_nothing() -> None:
    assert {each.effect for each in cooperative.PATCHES} == {"cooperative"}
    assert not [each.name for each in cooperative.PATCHES if each.changes_something or not each.versions]


def test_structures_fit_so_that_other_versions_are_patched_too() -> None:
    command = [sys.executable, "-W", "error", "-c", MISFITS, *(each.name for each in CHANGING)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == [f"{patch.name} " for patch in CHANGING]


def test_drivers_imported_before_the_patching_yield_too(mariadb: MariaDB) -> None:
    """Also by names that were taken from them."""
    command = [sys.executable, "-c", IMPORTED_EARLY, str(mariadb.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "all yield\n", done.stderr


def test_libraries_that_are_reloaded_or_imported_again_are_patched_again() -> None:
    done = subprocess.run([sys.executable, "-c", ANEW], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) > 10, done.stdout
