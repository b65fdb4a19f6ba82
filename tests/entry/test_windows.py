"""On Windows hublet is imported, and says that it does not run there: played, without what Python lacks there."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Of the standard library, and what of hublet is compiled, which nobody compiles there.
PLAY = """
import sys
sys.platform = "win32"
MISSING = ("fcntl", "grp", "pwd", "resource", "termios", "syslog", "posix", "gevent", "greenlet")

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in MISSING:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Lacking())
import os, signal, socket
for name in ("posix_spawn", "fork", "register_at_fork"):
    delattr(os, name)
del signal.SIGHUP, socket.AF_UNIX
"""
USES = [
    "hublet.serve(app)",
    "hublet.serve('shop:app', bind=(':80',))",
    "hublet.WSGIServer(('', 80), app)",
    "hublet.patch_all()",
    "hublet.Settings(bind=(':80',))",
]


def play(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PLAY + script], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("use", USES)
def test_every_use_is_refused_with_the_remedy(use: str) -> None:
    run = play(f"""
import hublet
app = None
try:
    {use}
except hublet.HubletError as error:
    assert isinstance(error, NotImplementedError)
    print(error)
""")
    assert run.returncode == 0, run.stderr
    assert "does not run on Windows" in run.stdout
    assert "WSL" in run.stdout


def test_the_command_says_so() -> None:
    run = play("import runpy; sys.argv = ['hublet', 'shop:app']; runpy.run_module('hublet', run_name='__main__')")
    assert run.returncode == 1
    assert run.stderr.startswith("hublet: hublet does not run on Windows")
    assert "WSL" in run.stderr
    assert run.stderr.count("\n") == 1
