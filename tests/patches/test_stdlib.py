"""Patching the standard library: whole, and once."""

from __future__ import annotations

import subprocess
import sys


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


def test_lazy_objects_are_not_woken_by_the_search_for_locks() -> None:
    """Django's settings ask for a configuration as soon as somebody asks what they are."""
    script = """if True:
        import django.conf
        from hublet.patches.stdlib import patch_standard_library
        print(patch_standard_library(), django.conf.settings.configured)
    """
    assert run_python(script) == "() False\n"


def test_importing_it_loads_nothing_that_is_patched() -> None:
    script = "import sys, hublet.patches.stdlib; print({'ssl', 'socket', 'queue', 'subprocess'} & set(sys.modules))"
    assert run_python(script) == "set()\n"
