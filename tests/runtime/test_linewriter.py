"""The line writer: in order and whole, never waiting, bounded, and honest about what was lost."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import monkey
from hublet.runtime import linewriter
from hublet.runtime.linewriter import LineWriter, lost_report

PATIENCE = 10.0


def wait_until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Pipe:
    """A pipe that nobody reads until `read_all` does."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def fill(self) -> int:
        """Fill it, so that the next write waits; return how much there is in it."""
        os.set_blocking(self.writer, False)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += os.write(self.writer, b"\n" * 512)
        os.set_blocking(self.writer, True)
        return filled

    def read_all(self) -> bytes:
        """Close the writing end and read what comes until then."""
        os.close(self.writer)
        self.writer = -1
        data = bytearray()
        while part := os.read(self.reader, 65536):
            data += part
        return bytes(data)

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            if fd != -1:
                os.close(fd)
        self.reader = self.writer = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_lines_arrive_in_order_and_whole(tmp_path: Path) -> None:
    lines = [b"%d %s\n" % (number, b"x" * (number % 97)) for number in range(20_000)]
    writer = LineWriter(tmp_path / "log")
    for line in lines:
        writer.write(line)
    writer.close()
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    assert writer.lost == 0


def test_a_file_is_appended_to_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    before = set(os.listdir("/dev/fd"))
    writer = LineWriter(str(path))
    writer.write(b"after\n")
    writer.close()
    writer.close()
    assert set(os.listdir("/dev/fd")) == before
    assert path.read_bytes() == b"before\nafter\n"


def test_a_path_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LineWriter(tmp_path / "no" / "log")


def test_a_descriptor_stays_open(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writer)
    writer.write(b"line\n")
    writer.close()
    assert pipe.read_all() == b"line\n"


def test_lines_are_written_after_the_interval_without_being_asked(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log", interval=0.01)
    for line in (b"one\n", b"two\n"):
        writer.write(line)
        wait_until(lambda line=line: (tmp_path / "log").read_bytes().endswith(line))
    writer.close()


def test_flush_does_not_wait_for_the_interval(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log", interval=1000)
    writer.write(b"line\n")
    assert writer.flush()
    assert (tmp_path / "log").read_bytes() == b"line\n"
    writer.close()
    assert writer.flush()


def test_a_burst_does_not_wait_for_the_interval(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log", interval=1000, limit=8000)
    writer.write(b"x" * 999 + b"\n")
    writer.write(b"y" * 999 + b"\n")
    wait_until(lambda: (tmp_path / "log").stat().st_size == 2000)
    writer.close()


def test_a_full_pipe_does_not_make_write_wait(pipe: Pipe) -> None:
    filled = pipe.fill()
    writer = LineWriter(pipe.writer, interval=0)
    began = time.monotonic()
    for _ in range(1000):
        writer.write(b"line\n")
    assert time.monotonic() - began < 1
    assert not writer.flush(timeout=0.01)
    assert len(os.read(pipe.reader, filled)) == filled
    assert writer.flush()
    writer.close()
    assert pipe.read_all() == b"line\n" * 1000


def test_a_full_pipe_does_not_stop_the_hub(pipe: Pipe) -> None:
    pipe.fill()
    writer = LineWriter(pipe.writer, interval=0)
    turns = []

    def turn() -> None:
        for _ in range(20):
            writer.write(b"line\n")
            gevent.sleep(0.001)
            turns.append(time.monotonic())

    with gevent.Timeout(PATIENCE):
        gevent.spawn(turn).join()
    assert len(turns) == 20
    os.close(pipe.reader)
    pipe.reader = -1
    writer.close()
    assert writer.lost == 20


def test_a_non_blocking_descriptor_is_waited_for(pipe: Pipe) -> None:
    filled = pipe.fill()
    os.set_blocking(pipe.writer, False)
    writer = LineWriter(pipe.writer, interval=0)
    writer.write(b"line\n")
    assert not writer.flush(timeout=0.01)
    os.read(pipe.reader, filled)
    writer.close()
    assert pipe.read_all() == b"line\n"
    assert writer.lost == 0


@pytest.mark.parametrize("over, lost", [(-1, 0), (0, 0), (1, 1)])
def test_the_limit(pipe: Pipe, over: int, lost: int) -> None:
    writer = LineWriter(pipe.writer, interval=1000, limit=1000)
    writer.write(b"x" * 99 + b"\n")
    writer.write(b"y" * (899 + over) + b"\n")
    assert writer.lost == lost
    writer.close()


def test_what_was_dropped_is_reported_in_one_line_once_there_is_room(pipe: Pipe) -> None:
    filled = pipe.fill()
    writer = LineWriter(pipe.writer, interval=0, limit=100)
    writer.write(b"x" * 99 + b"\n")
    for _ in range(7):
        writer.write(b"y\n")
    assert writer.lost == 7
    assert len(os.read(pipe.reader, filled)) == filled
    assert writer.flush()
    writer.write(b"z\n")
    writer.close()
    text = pipe.read_all()
    assert text.replace(lost_report(7), b"") == b"x" * 99 + b"\nz\n"
    assert text.count(b"7 log lines were lost") == 1


def test_the_report_can_have_the_form_of_the_lines(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writer, limit=10, report=lambda count: b'{"lost":%d}\n' % count)
    writer.write(b"x" * 11)
    writer.write(b"y\n")
    writer.close()
    assert pipe.read_all() == b'y\n{"lost":1}\n'


def test_a_reader_that_is_gone_costs_the_lines_and_nothing_else(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    writer = LineWriter(pipe.writer, interval=0)
    for number in range(3):
        writer.write(b"line\n")
        assert writer.flush()
        assert writer.lost == number + 1
    writer.close()


def test_a_full_disk_costs_the_lines_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = LineWriter(tmp_path / "log")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        writer.write(b"one\n")
        writer.write(b"two\n")
        assert writer.flush()
    assert writer.lost == 2
    writer.write(b"three\n")
    writer.close()
    assert (tmp_path / "log").read_bytes() == b"three\n" + lost_report(2)


def test_a_line_that_got_out_in_part_is_ended_before_the_next(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = iter([3, 2, 0])
    write = os.write

    def failing(fd: int, data: memoryview) -> int:
        length = next(lengths, len(data))
        if not length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[:length])

    monkeypatch.setattr(os, "write", failing)
    writer = LineWriter(pipe.writer)
    writer.write(b"one\n")
    writer.write(b"two\n")
    writer.write(b"three\n")
    assert writer.flush()
    assert writer.lost == 2
    writer.write(b"four\n")
    writer.close()
    assert pipe.read_all() == b"one\nt\nfour\n" + lost_report(2)


def test_pieces_for_a_pipe_are_atomic_and_end_with_a_line(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def write(fd: int, data: memoryview) -> int:
        written.append(bytes(data))
        return len(data)

    monkeypatch.setattr(os, "write", write)
    writer = LineWriter(pipe.writer)
    for _ in range(1000):
        writer.write(b"x" * 99 + b"\n")
    writer.write(b"y" * 10_000 + b"\n")
    writer.close()
    assert all(len(data) <= select.PIPE_BUF for data in written[:-1])
    assert len(written[-1]) == 10_001  # one line alone cannot be cut
    assert all(data.endswith(b"\n") for data in written)
    assert sum(map(len, written)) == 110_001


def test_native_threads_write_too(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log")
    native = monkey.get_original("threading", "Thread")

    def write(name: bytes) -> None:
        for number in range(2000):
            writer.write(b"%s %d\n" % (name, number))

    threads = [native(target=write, args=(name,)) for name in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    for name in (b"a", b"b", b"c", b"d"):
        assert [line for line in lines if line.startswith(name)] == [b"%s %d" % (name, each) for each in range(2000)]


def test_a_thread_that_cannot_start_costs_the_line_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise RuntimeError("can't start new thread")

    writer = LineWriter(tmp_path / "log")
    with monkeypatch.context() as patched:
        patched.setattr(linewriter, "start_new_thread", refuse)
        writer.write(b"one\n")
        assert writer.flush()
    assert writer.lost == 1
    writer.write(b"two\n")
    writer.close()
    assert (tmp_path / "log").read_bytes() == b"two\n" + lost_report(1)


def test_the_first_error_is_told(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    errors: list[OSError] = []
    writer = LineWriter(pipe.writer, interval=0, failed=errors.append)
    for _ in range(3):
        writer.write(b"line\n")
        assert writer.flush()
    writer.close()
    assert [error.errno for error in errors] == [errno.EPIPE]


def test_after_close_lines_are_counted_as_lost(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log")
    writer.close()
    writer.write(b"late\n")
    assert writer.lost == 1
    assert (tmp_path / "log").read_bytes() == b""


def test_close_waits_no_longer_than_it_is_told(pipe: Pipe) -> None:
    filled = pipe.fill()
    writer = LineWriter(pipe.writer, interval=0)
    writer.write(b"line\n")
    threads = threading.active_count()
    began = time.monotonic()
    writer.close(timeout=0.05)
    assert time.monotonic() - began < 1
    assert threading.active_count() == threads
    os.read(pipe.reader, filled)  # let its thread end
    assert os.read(pipe.reader, 100) == b"line\n"


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_pending_lines_are_written_at_exit_and_nothing_keeps_the_process_alive() -> None:
    done = run_python("""
        from gevent import monkey; monkey.patch_all()
        from hublet.runtime.linewriter import LineWriter
        LineWriter(1, interval=1000).write(b"line\\n")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")


def test_it_does_not_keep_the_loop_running() -> None:
    done = run_python("""
        from gevent import monkey; monkey.patch_all()
        import gevent
        from hublet.runtime.linewriter import LineWriter
        LineWriter(1, interval=1000).write(b"line\\n")
        gevent.wait()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")


def test_a_forked_child_writes_its_own_lines_only() -> None:
    done = run_python("""
        from gevent import monkey; monkey.patch_all()
        import os
        from hublet.runtime.linewriter import LineWriter
        writer = LineWriter(1, interval=1000)
        writer.write(b"parent\\n")
        if os.fork() == 0:
            writer.write(b"child\\n")
            writer.close()
            os._exit(0)
        os.wait()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "child\nparent\n", "")


def test_a_renamed_file_is_opened_anew_and_no_line_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = LineWriter("log", interval=1000)
    monkeypatch.chdir("/")
    writer.write(b"before\n")
    (tmp_path / "log").rename(tmp_path / "log.1")
    writer.reopen()
    wait_until((tmp_path / "log").exists)
    writer.write(b"after\n")
    writer.close()
    assert (tmp_path / "log.1").read_bytes() == b"before\n"
    assert (tmp_path / "log").read_bytes() == b"after\n"
    assert writer.lost == 0


def test_opening_anew_needs_no_line_before_it(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log")
    (tmp_path / "log").unlink()
    writer.reopen()
    wait_until((tmp_path / "log").exists)
    writer.close()
    writer.reopen()


def test_a_file_that_cannot_be_opened_anew_goes_on_in_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    errors: list[OSError] = []
    writer = LineWriter(tmp_path / "logs" / "log", interval=0, not_reopened=errors.append)
    (tmp_path / "logs" / "log").rename(tmp_path / "log.1")
    (tmp_path / "logs").rmdir()
    for count in (1, 2):
        writer.reopen()
        wait_until(lambda count=count: len(errors) == count)
    writer.write(b"line\n")
    writer.close()
    assert {error.errno for error in errors} == {errno.ENOENT}
    assert (tmp_path / "log.1").read_bytes() == b"line\n"
    assert writer.lost == 0


def test_a_descriptor_that_was_given_open_is_not_opened_anew(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writer)
    writer.reopen()
    writer.write(b"line\n")
    writer.close()
    assert pipe.read_all() == b"line\n"


def test_a_device_that_is_full() -> None:
    errors: list[OSError] = []
    writer = LineWriter("/dev/full", interval=0, failed=errors.append)
    writer.write(b"one\n")
    writer.write(b"two\n")
    writer.close()
    assert writer.lost >= 2
    assert [error.errno for error in errors] == [errno.ENOSPC]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_can_be_given_to_another_user(tmp_path: Path, pipe: Pipe) -> None:
    writer = LineWriter(tmp_path / "log")
    writer.give_to(65534, 65533)
    writer.close()
    status = (tmp_path / "log").stat()
    assert (status.st_uid, status.st_gid) == (65534, 65533)
    LineWriter(pipe.writer).give_to(65534, 65533)
    assert os.fstat(pipe.writer).st_uid == os.getuid()


APPENDER = """
import sys
from hublet.runtime.linewriter import LineWriter
name, count = sys.argv[2], int(sys.argv[3])
writer = LineWriter(sys.argv[1], interval=0.001, limit=1 << 30)
for number in range(count):
    # From a few bytes to more than a pipe takes as a whole, and now and then more than one write's piece.
    length = 300_000 if number % 500 == 0 else number * 37 % 9000
    writer.write(f"{name} {number} {length} {name * length}\\n".encode())
    if number % 100 == 0:
        writer.reopen()
writer.close(60)
print(writer.lost)
"""


def test_several_processes_append_to_one_file_and_no_line_is_torn_or_lost(tmp_path: Path) -> None:
    count, names = 1500, "abcd"
    path = tmp_path / "log"
    processes = [
        subprocess.Popen([sys.executable, "-c", APPENDER, path, name, str(count)], stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    assert [process.communicate(timeout=6 * PATIENCE)[0] for process in processes] == ["0\n"] * len(names)
    numbers: dict[str, list[int]] = {name: [] for name in names}
    for line in path.read_text().splitlines():
        name, number, length, text = line.split(" ")
        assert text == name * int(length)
        numbers[name].append(int(number))
    assert numbers == {name: list(range(count)) for name in names}


SHARER = """
import sys
from hublet.runtime.linewriter import LineWriter
name, count = sys.argv[1], int(sys.argv[2])
writers = [LineWriter(fd, interval=0.001, limit=1 << 30) for fd in (1, 2)]
for number in range(count):
    length = 3 * 1024 if number % 2 else 20 * 1024  # below what a pipe takes as a whole, and far above it
    writers[number % 4 // 2].write(f"{name} {number} {name * length}\\n".encode())
for writer in writers:
    writer.close(60)
assert writers[0].lost == writers[1].lost == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux locks pipes and sockets")
@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_long_lines_of_several_processes_on_one_descriptor_are_whole(tmp_path: Path, kind: str) -> None:
    count, names = 200, "abcd"
    if kind == "pipe":
        reader, writer = os.pipe()
    elif kind == "socket":
        reader, writer = (each.detach() for each in socket.socketpair())
    else:
        writer = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        reader = os.open(tmp_path / "log", os.O_RDONLY)
    processes = [
        subprocess.Popen([sys.executable, "-c", SHARER, name, str(count)], stdout=writer, stderr=writer)
        for name in names
    ]
    os.close(writer)
    if kind == "file":
        assert [process.wait(6 * PATIENCE) for process in processes] == [0] * len(names)
    with open(reader, "rb") as file:
        lines = file.read().decode().splitlines()
    assert [process.wait(PATIENCE) for process in processes] == [0] * len(names)
    seen = set()
    for line in lines:
        name, number, text = line.split(" ")
        assert text == name * (3 * 1024 if int(number) % 2 else 20 * 1024)
        seen.add((name, int(number)))
    assert len(lines) == len(seen) == count * len(names)
