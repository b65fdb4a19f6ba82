"""Checks of the patches of `os` and subprocess; `run_checks` runs them in a patched process."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gevent
from gevent.queue import Queue
from hublet.runtime.limits import OFFLOAD_FILE_PIECE
from hublet.runtime.offload import POOL, offload

from loadtests.bench.libraries.ticker import measured

from .probe import assert_ends_when_killed, assert_raises, assert_undone, assert_yields, killed_inside

SLOW = 0.2
STARTING = 0.2  # seconds for which the hub may stand while it starts twenty programs, a few milliseconds each


def later(writer: int, data: bytes) -> None:
    """Write to a descriptor after a while, and close it."""

    def write() -> None:
        os.write(writer, data)
        os.close(writer)

    gevent.spawn_later(SLOW, write)


def check_reads_of_pipes_yield() -> None:
    def operation() -> None:
        reader, writer = os.pipe()
        later(writer, b"answer")
        assert os.read(reader, 100) == b"answer"
        assert os.read(reader, 100) == b""
        os.close(reader)

    assert_yields(operation)


def check_readv_and_terminals() -> None:
    def operation() -> None:
        leader, terminal = pty.openpty()
        gevent.spawn_later(SLOW, os.write, leader, b"answer\n")
        first, second = bytearray(3), bytearray(10)
        assert os.readv(terminal, [first, second]) == 7
        assert first + second[:4] == b"answer\n"
        gevent.spawn_later(0.02, os.write, terminal, b"x" * 1000)
        got = b""
        while len(got) < 1008:
            got += os.read(leader, 1000)
        assert got == b"answer\r\n" + b"x" * 1000  # first the echo
        os.close(terminal)
        os.close(leader)

    assert_yields(operation)


def check_fifos_between_processes() -> None:
    def operation() -> None:
        with tempfile.TemporaryDirectory() as place:
            path = f"{place}/fifo"
            os.mkfifo(path)
            reader = os.open(path, os.O_RDWR)
            with subprocess.Popen(["sh", "-c", f"sleep {SLOW}; printf answer >{path}"]):
                assert os.read(reader, 10) == b"answer"
            os.close(reader)

    assert_yields(operation, STARTING)


def check_writes_wait_for_the_reader_and_are_not_torn() -> None:
    reader, writer = os.pipe()
    pieces = [bytes([letter]) * 150_000 for letter in b"abc"]
    written = [gevent.spawn(os.write, writer, piece) for piece in pieces]
    small = gevent.spawn_later(0.01, os.write, writer, b"-")
    vector = gevent.spawn_later(0.02, os.writev, writer, [b"d" * 100_000, b"e" * 50_000])
    with measured() as turned:
        gevent.sleep(SLOW)
        got = b""
        while len(got) < 600_001:
            got += os.read(reader, 1 << 16)
    assert got == b"".join(pieces) + b"-" + b"d" * 100_000 + b"e" * 50_000, got[::10_000]
    assert [each.get(timeout=10) for each in written] == [150_000] * 3
    assert (small.get(timeout=10), vector.get(timeout=10)) == (1, 150_000)
    assert turned.stall < 0.15, turned
    os.close(reader)
    gevent.sleep(0.01)  # gevent closes when its loop has turned
    assert_raises(BrokenPipeError, lambda: os.write(writer, b"x" * 5000))
    os.close(writer)


def check_what_does_not_block_is_as_before() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    assert_raises(BlockingIOError, lambda: os.read(reader, 1))
    assert 0 < os.write(writer, b"x" * 1_000_000) < 1_000_000
    assert_raises(BlockingIOError, lambda: os.write(writer, b"x"))
    for call in (lambda: os.read(-1, 1), lambda: os.write(99_999, b"x" * 9999), lambda: os.write(99_999, b"x")):
        assert assert_raises(OSError, call).args[0] == 9
    assert_raises(TypeError, lambda: os.write(writer, "text"))  # type: ignore[arg-type]
    null = os.open(os.devnull, os.O_RDWR)
    assert os.write(null, b"x" * 100_000) == 100_000
    assert os.read(null, 10) == b""
    for each in (reader, writer, null):
        os.close(each)


def check_a_reader_sees_the_end_though_nothing_else_happens() -> None:
    reader, writer = os.pipe()
    read = gevent.spawn(os.read, reader, 10)
    gevent.spawn_later(0.02, os.close, writer)
    assert read.get() == b""
    os.close(reader)


def check_a_kill_inside_a_read_loses_nothing() -> None:
    reader, writer = os.pipe()
    assert killed_inside(lambda: os.read(reader, 10)) < 1
    assert_raises(gevent.Timeout, lambda: gevent.with_timeout(0.02, os.read, reader, 10))
    os.write(writer, b"answer")
    assert os.read(reader, 10) == b"answer"


def check_on_the_hub_and_in_native_threads_calls_are_plain() -> None:
    reader, writer = os.pipe()
    done: Queue[bytes] = Queue()

    def on_hub() -> None:
        os.write(writer, b"hub")
        done.put(os.read(reader, 10))

    gevent.get_hub().loop.run_callback(on_hub)
    assert done.get(timeout=10) == b"hub"
    elsewhere = gevent.spawn(offload, os.read, reader, 10)  # waits in the kernel
    gevent.sleep(0.02)
    assert offload(os.write, writer, b"thread") == 6
    assert elsewhere.get(timeout=10) == b"thread"
    with tempfile.TemporaryFile() as file:
        offload(os.fsync, file.fileno())
    os.close(reader)
    os.close(writer)


def check_large_pieces_of_files_are_moved_elsewhere() -> None:
    for size, calls in ((OFFLOAD_FILE_PIECE - 1, 0), (OFFLOAD_FILE_PIECE, 1), (OFFLOAD_FILE_PIECE + 1, 1)):
        with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as copy:
            move(size, calls, file.fileno(), copy.fileno())
    assert assert_raises(OSError, lambda: os.fsync(99_999)).args[0] == 9


def move(size: int, calls: int, fd: int, copy: int) -> None:
    """Write and read a file in each way, which takes so many calls elsewhere each time."""
    data = os.urandom(size)
    steps: list[tuple[Callable[[], object], object, int]] = [
        (lambda: os.write(fd, data), size, calls),
        (lambda: os.pwrite(fd, data, 0), size, calls),
        (lambda: os.lseek(fd, 0, 0) or os.read(fd, size), data, calls),
        (lambda: os.pread(fd, size, 0), data, calls),
        (lambda: os.lseek(fd, 0, 0) or os.readv(fd, [bytearray(size)]), size, calls),
        (lambda: os.lseek(fd, 0, 0) or os.writev(fd, [data]), size, calls),
        (lambda: os.sendfile(copy, fd, 0, size), size, calls),
        (lambda: os.fsync(fd), None, 1),
        (lambda: os.fdatasync(fd), None, 1),
    ]
    for step, expected, elsewhere in steps:
        before = POOL.statistics().finished
        assert step() == expected
        assert POOL.statistics().finished - before == elsewhere


def check_a_pipe_within_an_offloaded_call() -> None:
    """Who writes to it is a greenlet of the thread that reads."""

    def write_and_read() -> bytes:
        reader, writer = os.pipe()
        writing = gevent.spawn_later(0.02, os.write, writer, b"written")
        got = os.read(reader, 10)
        assert writing.get() == 7
        for end in (reader, writer):
            os.close(end)
        gevent.sleep(0.01)  # gevent closes when its loop has turned
        return got

    assert gevent.spawn(offload, write_and_read).get(timeout=10) == b"written"


def check_system_yields() -> None:
    assert_yields(lambda: os.system(f"sleep {SLOW}"), STARTING)
    assert os.system("exit 3") == 3 << 8
    assert os.system(b"kill -9 $$") == signal.SIGKILL
    assert os.system("/no/such/program 2>/dev/null") == 127 << 8
    os.environ["HUBLET_COLOUR"] = "green"
    assert os.system('test "$HUBLET_COLOUR" = green') == 0
    assert_raises(ValueError, lambda: os.system("a\0b"))
    assert_ends_when_killed(lambda: os.system("sleep 0.5"), within=0.4)


def child(seconds: float = SLOW, status: int = 5) -> int:
    shell = ["sh", "-c", f"sleep {seconds}; exit {status}"]
    return os.posix_spawn("/bin/sh", shell, os.environ)


def check_waits_for_children_yield() -> None:
    gevent.sleep(0.6)  # that of the check before has ended
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break

    def wait4() -> None:
        pid = child()
        found, status, usage = os.wait4(pid, 0)
        assert (found, os.waitstatus_to_exitcode(status)) == (pid, 5)
        assert isinstance(usage, resource.struct_rusage)
        assert usage.ru_maxrss > 0

    def waitid() -> None:
        pid = child()
        ended = os.waitid(os.P_PID, pid, os.WEXITED)
        assert ended is not None
        assert (ended.si_pid, ended.si_status, ended.si_code) == (pid, 5, os.CLD_EXITED)

    assert_yields(wait4, STARTING)
    assert_yields(waitid, STARTING)
    with measured() as turned:
        children = {child() for _ in range(3)}
        assert {os.wait()[0], os.wait3(0)[0], os.wait4(-1, 0)[0]} == children
    assert turned.elapsed < 2
    assert turned.stall < SLOW / 2 + 0.05, turned
    for call in (os.wait, lambda: os.wait3(0), lambda: os.wait4(-1, 0), lambda: os.wait4(1, 0)):
        assert_raises(ChildProcessError, call)
    assert_raises(ChildProcessError, lambda: os.waitid(os.P_ALL, 0, os.WEXITED))
    pid = child(5 * SLOW)
    assert os.wait4(pid, os.WNOHANG)[0] == 0
    assert_ends_when_killed(lambda: os.wait4(pid, 0), within=SLOW / 2)
    for options in (os.WEXITED | os.WNOWAIT, os.WEXITED):
        assert os.waitid(os.P_PID, pid, options).si_status == 5  # type: ignore[union-attr]


def check_programs_start_without_a_copy_of_the_memory() -> None:
    ballast = bytearray(256 << 20)
    for place in range(0, len(ballast), resource.getpagesize()):
        ballast[place] = 1
    costs = []
    for _ in range(5):
        begun = time.perf_counter()
        process = subprocess.Popen(["/bin/true"])
        costs.append(time.perf_counter() - begun)
        assert process.wait() == 0
    assert min(costs) < 0.01, costs  # fork: 30 ms
    assert_yields(lambda: subprocess.run(["sleep", str(SLOW)], check=True), STARTING)


def check_subprocess_is_as_before() -> None:
    done = subprocess.run(
        "cat; echo $X; pwd; echo error >&2; exit 4",
        shell=True, env={"X": "y"}, cwd="/", input="in ", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (4, "in y\n/\n", "error\n")
    for program, place in (("/no/such", None), ("no-such-program", None), ("true", "/no/such")):
        error = assert_raises(FileNotFoundError, partial(subprocess.run, [program], cwd=place, check=False))
        assert getattr(error, "filename", "") == (place or program)
    assert_raises(PermissionError, lambda: subprocess.run(["/etc/passwd"], check=False))
    killed = subprocess.Popen(["sleep", "10"], start_new_session=True, process_group=None)
    killed.kill()
    assert killed.wait(timeout=10) == -signal.SIGKILL
    reader, writer = os.pipe()
    code = f"import os; os.write({writer}, str(os.getpgrp() == os.getpid()).encode())"
    subprocess.run([sys.executable, "-c", code], pass_fds=[writer], process_group=0, check=True)
    assert os.read(reader, 10) == b"True"
    assert subprocess.run(["true"], close_fds=False, check=True).returncode == 0
    assert subprocess.run(["sh", "-c", "umask"], umask=0o77, capture_output=True, check=True).stdout == b"0077\n"
    marks: list[int] = []
    assert subprocess.run(["true"], preexec_fn=lambda: marks.append(1), check=True).returncode == 0
    assert len(list(Path("/proc/self/fd").iterdir())) < 60


def check_undo() -> None:
    import gevent.subprocess as green

    assert_undone("os-descriptors", os)
    assert_undone("os-sync", os)
    assert_undone("os-children", os)
    assert_undone("subprocess-start", green.Popen)
