"""Patching the standard library: whole, once, and with a warning about what was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run_python(script: str) -> str:
    """Run a script in an interpreter that nothing has patched yet; return what it prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_is_patched_once() -> None:
    script = """if True:
        from hublet.patches.stdlib import is_standard_library_patched, patch_standard_library
        before = is_standard_library_patched()
        patch_standard_library()
        import socket, time
        patched = socket.socket, time.sleep
        patch_standard_library()
        print(before, is_standard_library_patched(), patched == (socket.socket, time.sleep), socket.socket.__module__)
    """
    assert run_python(script) == "False True True gevent._socket3\n"


def test_nothing_is_reported_when_it_comes_first() -> None:
    assert run_python("from hublet.patches.stdlib import patch_standard_library as p; print(p(), p())") == "() ()\n"


@pytest.mark.parametrize(
    "module, name", [("ssl", "SSLContext"), ("time", "sleep"), ("queue", "SimpleQueue"), ("threading", "Lock")]
)
def test_a_module_imported_too_early_is_named_with_what_it_holds(module: str, name: str) -> None:
    script = f"""if True:
        import sys, types
        sys.modules["early.driver"] = driver = types.ModuleType("early.driver")
        exec("from {module} import {name} as its_own", vars(driver))
        from hublet.patches.stdlib import patch_standard_library
        (warning,) = patch_standard_library()
        print(warning)
    """
    warning = run_python(script)
    assert warning.startswith(f"early.driver was imported too early and holds {module}.{name}: ")
    assert "`hublet` command" in warning


def test_a_module_that_holds_only_modules_is_not_named() -> None:
    script = """if True:
        import ssl, time, queue, socket, threading
        from hublet.patches.stdlib import patch_standard_library
        print(patch_standard_library())
    """
    assert run_python(script) == "()\n"


def test_importing_it_loads_nothing_that_is_patched() -> None:
    script = "import sys, hublet.patches.stdlib; print({'ssl', 'socket', 'queue', 'subprocess'} & set(sys.modules))"
    assert run_python(script) == "set()\n"
