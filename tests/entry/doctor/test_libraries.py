"""Guesses are made only about what the registry does not know, and name the package as it is installed."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import sqlalchemy
from hublet.doctor.libraries import describe_libraries, describe_suspects, known_packages
from hublet.doctor.shared_objects import Suspect
from hublet.patches.registry import Registry
from hublet.patches.replacement import Patch


def test_a_known_library_is_no_guess() -> None:
    suspects = [Suspect("sqlalchemy", "libx.so", ("poll",)), Suspect("acme_binary", "liby.so", ("connect", "recv"))]
    registry = Registry((Patch("driver", "why", module="acme_binary.core", distribution="acme"),), print)
    (found,) = describe_suspects(suspects, known_packages(registry))
    assert (found.name, found.version, found.status) == ("sqlalchemy", sqlalchemy.__version__, "unknown")
    assert found.why == "libx.so calls poll by itself"
    assert len(describe_suspects(suspects, set())) == 2


def test_the_worst_comes_first_and_what_is_not_loaded_not_at_all() -> None:
    registry = Registry(
        (
            Patch("fine", "why", module="json", effect="cooperative"),
            Patch("bad", "why", module="re", effect="blocks", remedy="do it elsewhere"),
            Patch("absent", "why", module="no_such_module", effect="blocks"),
        ),
        print,
    )
    found = [
        (each.name, each.status) for each in describe_libraries(registry) if each.name in {"fine", "bad", "absent"}
    ]
    assert found == [("bad", "blocks"), ("fine", "cooperative")]


def test_a_library_that_loads_what_is_patched_later_is_told_already() -> None:
    """As MySQLdb, whose connections are loaded by the first `connect`."""
    code = (
        "import hublet; hublet.patch_all()\n"
        "import sys, MySQLdb\n"
        "from hublet.doctor.libraries import describe_libraries\n"
        "from hublet.patches.patching import REGISTRY\n"
        "assert 'MySQLdb.connections' not in sys.modules\n"
        "found = [each for each in describe_libraries(REGISTRY) if 'mysqlclient' in each.name]\n"
        "print(*(f'{each.status} {each.version}' for each in found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"patched {metadata.version('mysqlclient')}\n", done.stderr
