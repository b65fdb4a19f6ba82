"""Checks of what `open` returns; `run_checks` runs them in a patched process."""

from __future__ import annotations

import importlib
import io
import os
import pathlib
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
from gevent.monkey import get_original
from hublet.runtime.limits import OFFLOAD_FILE_PIECE
from hublet.runtime.offload import POOL

from loadtests.bench.libraries.ticker import measured

from .probe import assert_raises, assert_undone, killed_inside

PIECE = OFFLOAD_FILE_PIECE
native_sleep: Callable[[float], None] = get_original("time", "sleep")
AT_END = """
import hublet; hublet.patch_all()
import sys, gevent
gevent.sleep(0)
hublet.offload(abs, 1)
class Last:
    def __del__(self, open=open, path=sys.argv[1], write=__import__("os").write):
        with open(path, "wb") as file: file.write(b"x" * (1 << 20))
        with open(path, "rb") as file: print(len(file.read()), flush=True)
        write(1, b"the end")
last = Last()
print("y" * (1 << 20))
"""


def elsewhere(call: Callable[[], Any]) -> int:
    """How many calls on native threads a call makes."""
    before = POOL.statistics().finished
    call()
    return POOL.statistics().finished - before


@contextmanager
def file_of(size: int) -> Iterator[str]:
    """The path of a file of so many bytes."""
    with tempfile.TemporaryDirectory() as place:
        fd = os.open(f"{place}/file", os.O_CREAT | os.O_WRONLY)
        os.truncate(fd, size)
        os.close(fd)
        yield f"{place}/file"


def moved(path: str, mode: str, buffering: int, method: str, *arguments: Any) -> int:
    """How many calls elsewhere a method of a file makes."""
    with open(path, mode, buffering) as file:
        return elsewhere(partial(getattr(file, method), *arguments))


def check_reads_from_a_size_on() -> None:
    for size in (PIECE - 1, PIECE, PIECE + 1):
        large, buffer = int(size >= PIECE), bytearray(size)
        whole = (("read",), ("read", None), ("read", -1), ("read", size), ("readinto", buffer))
        pieces = (("read1", size), ("readinto1", buffer))
        with file_of(size) as path:
            for arguments in whole:
                assert moved(path, "rb", 0, *arguments) == large, (size, arguments)
            assert moved(path, "rb", 0, "readall") == large
            for mode in ("rb", "r+b"):
                for arguments in (*whole, *pieces):
                    assert moved(path, mode, -1, *arguments) == large, (size, mode, arguments)
                assert moved(path, mode, -1, "read1") == 0
            with open(path, "rb", 0) as file:
                file.seek(1)
                assert elsewhere(partial(file.read, size)) == int(size - 1 >= PIECE), "what is left counts"
                assert elsewhere(file.read) == 0


def check_writes_from_a_size_on() -> None:
    for size in (PIECE - 1, PIECE, PIECE + 1):
        for data in (b"x" * size, bytearray(size), memoryview(bytes(size))):
            with file_of(0) as path:
                for mode, buffering in (("wb", 0), ("wb", -1), ("w+b", -1), ("ab", -1)):
                    assert moved(path, mode, buffering, "write", data) == int(size >= PIECE), (size, mode)
                assert os.path.getsize(path) == 2 * size


def check_text_and_paths() -> None:
    text = "grün \n" * PIECE
    with file_of(0) as name:
        path = pathlib.Path(name)
        assert elsewhere(lambda: path.write_text(text, "utf-8")) == 1
        assert elsewhere(lambda: path.read_text("utf-8")) == 1
        assert path.read_text("utf-8") == text
        assert elsewhere(lambda: path.write_bytes(text.encode())) == 1
        assert elsewhere(lambda: path.read_bytes()) == 1
        assert path.read_bytes() == text.encode()
        with open(path, encoding="utf-8") as file:
            assert file.readline() == "grün \n"
            assert elsewhere(lambda: file.read()) == 1
        assert elsewhere(lambda: shutil.copyfile(path, name + "2")) >= 1
        assert Path(name + "2").read_bytes() == text.encode()
    with tempfile.NamedTemporaryFile() as named, tempfile.TemporaryFile() as nameless:
        for each in (named, nameless):
            assert elsewhere(lambda: each.write(bytes(PIECE))) == 1  # noqa: B023
            each.seek(0)
            assert elsewhere(lambda: each.read()) == 1  # noqa: B023
    with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
        assert elsewhere(lambda: spooled.write(bytes(PIECE))) == 1  # from memory to its file
        spooled.seek(0)
        assert elsewhere(lambda: spooled.read()) == 1


def check_the_hub_goes_on() -> None:
    data = bytearray(100 << 20)
    with file_of(len(data)) as path:
        seen = []
        for _ in range(6):
            with measured() as turned, open(path, "rb") as file:
                file.readinto(data)
            seen.append((turned.stall, turned.elapsed))
            if turned.stall < turned.elapsed / 3:
                return
    raise AssertionError(seen)


def check_files_are_what_they_were() -> None:
    with file_of(PIECE) as path:
        with open(path, "rb") as file:
            assert type(file) is io.BufferedReader
            assert type(file.raw) is io.FileIO
            assert repr(file) == f"<_io.BufferedReader name={path!r}>"
            assert "cannot pickle" in str(assert_raises(TypeError, lambda: pickle.dumps(file)))
            said = str(assert_raises(TypeError, lambda: file.read("a")))  # type: ignore[arg-type]
            assert said == "argument should be integer or None, not 'str'"
            assert_raises(ValueError, lambda: file.read(-2))
            assert_raises(io.UnsupportedOperation, lambda: file.write(b""))
            assert_raises(TypeError, lambda: file.readinto(bytes(PIECE)))
            assert file.read.__name__ == "read"
            for kind in (io.FileIO, io.BufferedReader, io.BufferedRandom):
                assert pickle.loads(pickle.dumps(kind.read)) is kind.read
                assert b"hublet" not in pickle.dumps(kind.read)
        said = str(assert_raises(ValueError, lambda: file.read()))
        assert said == "read of closed file"
        with open(path, "wb") as out:
            assert_raises(TypeError, lambda: out.write("text"))  # type: ignore[arg-type]
            assert_raises(io.UnsupportedOperation, lambda: io.FileIO(path, "wb").read(PIECE))
        detached = open(path, "wb")  # noqa: SIM115
        detached.detach().close()
        said = str(assert_raises(ValueError, lambda: detached.write(bytes(PIECE))))
        assert said == "raw stream has been detached"
    with open("/dev/full", "wb", 0) as full:
        assert assert_raises(OSError, lambda: full.write(bytes(PIECE))).args[0] == 28
    assert_raises(TypeError, lambda: io.BufferedReader.read(io.BytesIO()))


def check_an_error_of_the_disk_arrives() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with file_of(0) as path:
        file = open(path, "wb")  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_FSIZE, (PIECE, before[1]))
        try:
            assert assert_raises(OSError, lambda: file.write(bytes(4 * PIECE))).args[0] == 27
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        file.detach().close()


def check_only_files_go_elsewhere() -> None:
    class Own(io.RawIOBase):
        thread = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.thread = threading.get_ident()
            return len(buffer)

    own = Own()
    assert elsewhere(lambda: io.BufferedReader(own).read(2 * PIECE)) == 0
    assert own.thread == threading.get_ident()

    class Logged(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            assert gevent.getcurrent() is here
            return super().readinto(buffer)

    here = gevent.getcurrent()
    with file_of(2 * PIECE) as path, Logged(path) as logged:
        assert elsewhere(lambda: io.BufferedReader(logged).read(2 * PIECE)) == 0
    one, other = socket.socketpair()
    with one, other, one.makefile("rb") as stream:
        sender = gevent.spawn(other.sendall, bytes(2 * PIECE))
        assert elsewhere(lambda: stream.read(2 * PIECE)) == 0
        sender.get()
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe, open(writer, "wb") as end:
        end.write(b"abc")
        end.close()
        assert elsewhere(lambda: pipe.read()) == 0
    with open("/dev/zero", "rb") as zero:
        assert elsewhere(lambda: zero.read(PIECE)) == 0


def check_greenlets_share_a_file() -> None:
    """Each write whole, none lost, whatever their sizes; and no 'reentrant call'."""
    sizes = [PIECE * 4, 10, PIECE, 5000, PIECE - 1, 20_000] * 5
    for mode, letters in (("wb", [bytes([65 + n]) for n in range(30)]), ("w", [chr(65 + n) for n in range(30)])):
        with file_of(0) as path:
            with open(path, mode) as file:
                pieces = [letter * size for letter, size in zip(letters, sizes, strict=True)]  # type: ignore[operator]
                gevent.joinall([gevent.spawn(file.write, each) for each in pieces], raise_error=True, timeout=20)
                file.flush()
            whole = Path(path).read_bytes().decode()
            runs = {letter: whole.count(letter) for letter in set(whole)}
            assert runs == {chr(65 + n): size for n, size in enumerate(sizes)}
            changes = sum(one != other for one, other in pairwise(whole))
            assert changes == len(sizes) - 1, "a write was torn"


def check_greenlets_share_a_file_with_a_large_buffer() -> None:
    """What fills and empties the buffer holds the file's lock, and must not let a greenlet run that wants it."""
    with file_of(0) as path:
        with open(path, "wb", buffering=4 * PIECE) as file:

            def write(letter: bytes) -> None:
                for _ in range(100):
                    file.write(letter * 20_000)

            gevent.joinall([gevent.spawn(write, letter) for letter in (b"a", b"b")], raise_error=True, timeout=20)
        got: list[bytes] = []
        with open(path, "rb", buffering=4 * PIECE) as file:

            def read() -> None:
                while data := file.read(20_000):
                    got.append(data)

            gevent.joinall([gevent.spawn(read) for _ in range(2)], raise_error=True, timeout=20)
        assert sorted(got) == [b"a" * 20_000] * 100 + [b"b" * 20_000] * 100


def check_greenlets_and_threads_read_one_file() -> None:
    with file_of(0) as path:
        Path(path).write_bytes(b"".join(bytes([n]) * PIECE for n in range(40)))
        got: list[bytes] = []
        with open(path, "rb") as file:

            def read() -> None:
                while data := file.read(PIECE):
                    got.append(data)
                    file.tell()
                    file.peek(1)

            tasks = [gevent.spawn(read) for _ in range(4)]
            tasks += [gevent.get_hub().threadpool.spawn(read) for _ in range(2)]
            for each in tasks:
                each.get(timeout=20)
    assert sorted(each[0] for each in got) == list(range(40))
    assert all(each == each[:1] * PIECE for each in got)


def check_a_killed_greenlet_leaves_the_file_usable() -> None:
    with file_of(0) as path, open(path, "w+b") as file:
        data = bytes(300 << 20)
        killed_inside(lambda: file.write(data), 0.001)
        assert file.tell() == len(data)  # what was begun has ended
        file.seek(0)
        timer = gevent.Timeout(0.001)
        with timer:
            assert assert_raises(gevent.Timeout, lambda: file.read(100 << 20)) is timer
        assert file.read(3) == b"\0\0\0"


def check_with_too_many_calls_waiting_it_is_made_here() -> None:
    full, gates = POOL.queue, POOL.threads
    POOL.queue, POOL.threads = 0, POOL.statistics().threads or 1
    sleepers = [gevent.spawn(POOL.call, native_sleep, 0.3) for _ in range(POOL.threads)]
    gevent.sleep(0.05)
    try:
        with file_of(PIECE) as path, open(path, "rb") as file:
            assert len(file.read()) == PIECE
        assert not any(each.ready() for each in sleepers)
    finally:
        gevent.joinall(sleepers)
        POOL.queue, POOL.threads = full, gates


def check_imports_are_not_interrupted() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place, "a_large_module.py").write_text("x = 1\n" + "# a comment\n" * PIECE)
        sys.path.insert(0, place)
        try:
            assert elsewhere(lambda: importlib.import_module("a_large_module")) == 0
        finally:
            sys.path.remove(place)
            sys.modules.pop("a_large_module", None)


def check_at_the_end_of_the_interpreter_and_on_the_standard_streams() -> None:
    with file_of(0) as path, file_of(0) as output:
        with open(output, "wb") as out:
            done = subprocess.run(
                [sys.executable, "-c", AT_END, path], stdout=out, stderr=subprocess.PIPE, timeout=20, check=False
            )
        assert (done.returncode, done.stderr) == (0, b"")
        assert Path(output).read_bytes() == b"y" * (1 << 20) + b"\n1048576\nthe end"


def check_a_forked_child_has_its_files() -> None:
    with file_of(PIECE) as path, open(path, "rb") as file:
        file.read()
        pid = os.fork()
        if not pid:
            file.seek(0)
            os._exit(7 if len(file.read()) == PIECE else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def check_undo() -> None:
    assert_undone("file-objects", io.FileIO, io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
