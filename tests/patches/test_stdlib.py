"""Patching the standard library: whole, and once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_python(script: str, **variables: str) -> str:
    """Run a script in an interpreter that nothing has patched yet; return what it prints."""
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
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


def test_the_packages_that_are_installed_are_read_once_and_gevents_plugins_called(tmp_path: Path) -> None:
    """gevent asks for plug-ins at each of its events, and looked through every package each time."""
    metadata = tmp_path / "listener-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: listener\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gevent.plugins.monkey.did_patch_all]\nit = listener:patched\n")
    (tmp_path / "listener.py").write_text("def patched(event): print('told of', type(event).__name__)\n")
    script = """if True:
        import importlib.metadata
        real, reads = importlib.metadata.entry_points, []
        def counted(**chosen):
            reads.append(chosen)
            return real(**chosen)
        importlib.metadata.entry_points = counted
        from hublet.patches.stdlib import patch_standard_library
        patch_standard_library()
        print(reads, importlib.metadata.entry_points is counted)
    """
    assert run_python(script, PYTHONPATH=str(tmp_path)) == "told of GeventDidPatchAllEvent\n[{}] True\n"
