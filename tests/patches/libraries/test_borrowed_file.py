"""A greenlet's file, used by a native thread: who touches it, in which pieces, and what happens when the owner ends."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gevent
import pytest
from hublet.patches.libraries.borrowed_file import Loan, is_free
from hublet.runtime.limits import BORROWED_BATCH
from hublet.runtime.offload import offload


class Recorder:
    """Keeps what is written, and who wrote it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.by: set[Any] = set()

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.by.add(gevent.getcurrent())


@pytest.mark.parametrize("size", [1, BORROWED_BATCH - 1, BORROWED_BATCH, BORROWED_BATCH + 1, 3 * BORROWED_BATCH])
def test_every_write_arrives_by_itself_and_from_its_owner(size: int) -> None:
    recorder = Recorder()
    loan = Loan(recorder)
    pieces = [b"x" * size, b"y", b"z" * size]

    def write() -> int:
        file = loan.borrowed()
        assert not hasattr(file, "read")
        for each in pieces:
            file.write(each)
        loan.flush()
        return 7

    assert loan.during(lambda: offload(write)) == 7
    assert recorder.written == pieces
    assert recorder.by == {gevent.getcurrent()}


def test_errors_of_the_file_are_raised_where_it_is_used() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise OSError("no such disk")

    loan = Loan(Broken())
    with pytest.raises(OSError, match="no such disk"):
        loan.during(lambda: offload(lambda: loan.borrowed().read(1)))


def test_the_file_fails_once_its_owner_is_killed() -> None:
    seen: list[BaseException] = []

    class Endless:
        def read(self, size: int) -> bytes:
            gevent.sleep(0.001)
            return b"x"

    loan = Loan(Endless())

    def read_on() -> None:
        file = loan.borrowed()
        try:
            while file.read(1):
                pass
        except InterruptedError as error:
            seen.append(error)

    owner = gevent.spawn(loan.during, lambda: offload(read_on))
    gevent.sleep(0.01)
    owner.kill(timeout=5)
    assert owner.dead
    assert len(seen) == 1


def test_which_files_need_no_lending(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as binary, (tmp_path / "file").open() as text:
        assert all(is_free(each) for each in (io.StringIO(), io.BytesIO(), binary, text))
    assert not is_free(io.TextIOWrapper(io.BufferedReader(io.BytesIO())))
    assert not is_free(Recorder())
