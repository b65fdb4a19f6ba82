"""Pipes, terminals, files, children and programs under `hublet.patch_all()`, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .probe import assert_checks, run_checks

#: Starts the first child of a process, which has ended before the call that starts it returns.
SHORT_LIVED = """if True:
    import sys
    import hublet
    hublet.patch_all()
    import gevent, os, subprocess
    from gevent.monkey import get_original

    def ending(start):
        def call(*args, **kwargs):
            pid = start(*args, **kwargs)
            if pid and pid != (0, -1):  # the parent
                get_original("time", "sleep")(0.2)
            return pid
        return call

    subprocess._fork_exec = ending(subprocess._fork_exec)
    for name in ("_raw_fork", "_raw_forkpty", "_raw_posix_spawn"):
        setattr(gevent.os, name, ending(getattr(gevent.os, name)))
    gevent.sleep(0)  # the hub is there
    with gevent.Timeout(10):
        assert eval(sys.argv[1]) == 0
"""


def test_os_and_subprocess(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("os_checks"))


@pytest.mark.parametrize(
    "call",
    [
        "subprocess.call(['true'])",
        "subprocess.call(['true'], preexec_fn=int)",
        "os.system('true')",
        "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)[1]",
        "os.waitpid(os.fork() or os._exit(0), 0)[1]",
        "os.waitpid(os.forkpty()[0] or os._exit(0), 0)[1]",
    ],
)
def test_the_first_child_may_end_at_once(call: str) -> None:
    """Nobody has waited for a child before, so that the signal that tells of its end would be ignored."""
    command = [sys.executable, "-c", SHORT_LIVED, call]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
