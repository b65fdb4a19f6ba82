"""Checks of locks of files, copies and input; `run_checks` runs them in a patched process."""

from __future__ import annotations

import builtins
import fcntl
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial

import gevent
from hublet.runtime.offload import POOL

from loadtests.bench.libraries.ticker import measured

from .probe import assert_ends_when_killed, assert_raises, assert_undone

SLOW = 0.8
HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "r+") as file:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""
ASK = """
import hublet; hublet.patch_all()
import gevent
turns = []
def turn():
    while True:
        gevent.sleep(0.005)
        turns.append(1)
gevent.spawn(turn)
print(input("colour? "), len(turns) > 10)
try:
    input()
except EOFError:
    print("ended")
"""


def held_by_another(path: str, kind: str) -> subprocess.Popen[bytes]:
    """A process that holds a lock for a while."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, path, kind, str(SLOW)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    return other


def wait_for_lock(lock: Callable[..., None], kind: str) -> None:
    with tempfile.NamedTemporaryFile("r+") as file, measured() as turned:
        other = held_by_another(file.name, kind)
        assert assert_raises(OSError, partial(lock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)).args[0] == 11
        assert_ends_when_killed(partial(lock, file, fcntl.LOCK_EX), within=0.2, after=0.02)
        lock(file, fcntl.LOCK_EX)
        lock(file.fileno(), fcntl.LOCK_UN)
        assert other.wait() == 0
        assert other.stdout is not None
        other.stdout.close()
    assert turned.stall < SLOW / 2, turned


def check_locks() -> None:
    wait_for_lock(fcntl.flock, "flock")
    wait_for_lock(fcntl.lockf, "lockf")
    for lock in (fcntl.flock, fcntl.lockf):
        assert assert_raises(OSError, partial(lock, 99_999, fcntl.LOCK_EX)).args[0] == 9


def check_greenlets_exclude_each_other() -> None:
    inside = list[int]()
    with tempfile.NamedTemporaryFile() as file:

        def enter(number: int) -> None:
            with open(file.name, "rb") as mine:
                fcntl.flock(mine, fcntl.LOCK_EX)
                inside.append(number)
                gevent.sleep(0.005)
                inside.append(number)

        gevent.joinall([gevent.spawn(enter, number) for number in range(5)], raise_error=True, timeout=10)
    assert inside[::2] == inside[1::2], inside


def check_copies() -> None:
    data = os.urandom(3 << 20)
    with tempfile.TemporaryDirectory() as place:
        first, second = f"{place}/first", f"{place}/second"
        with open(first, "wb") as file:
            before = POOL.statistics().finished
            shutil.copyfileobj(io.BytesIO(data), file)
            assert POOL.statistics().finished == before
        with open(first, "rb") as source, open(second, "wb") as target:
            shutil.copyfileobj(source, target)
            assert POOL.statistics().finished > before
        with open(second, "rb") as file:
            assert file.read() == data
        before = POOL.statistics().finished
        shutil.copyfile(second, first)
        assert POOL.statistics().finished > before
        with open(first, "rb") as source, open(second, "rb") as target:
            assert_raises(io.UnsupportedOperation, partial(shutil.copyfileobj, source, target))


def check_input() -> None:
    asked = subprocess.Popen([sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert asked.stdout is not None
    assert asked.stdin is not None
    assert asked.stdout.read(8) == b"colour? "
    gevent.sleep(SLOW)
    asked.stdin.write(b"green\n")
    asked.stdin.close()
    assert asked.stdout.read() == b"green True\nended\n"
    assert asked.wait() == 0
    asked.stdout.close()
    sys.stdin, before = io.StringIO("a line\n"), sys.stdin
    try:
        assert input() == "a line"
    finally:
        sys.stdin = before


def check_undo() -> None:
    assert_undone("file-locks", fcntl)
    assert_undone("shutil", shutil)
    assert_undone("input", builtins)
