"""Lends a greenlet's file to a native thread: each read and write is done by the greenlet, which may wait for it.

A file may be a cooperative socket or a request's body, which only their own hub's thread may touch.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from ...runtime.limits import BORROWED_BATCH
from ...runtime.offload import to_be_seen

T = TypeVar("T")
allocate_lock: Final[Callable[[], Any]] = get_original("_thread", "allocate_lock")
IN_MEMORY: Final = (io.StringIO, io.BytesIO)
ON_DISK: Final = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)


def is_free(file: Any) -> bool:
    """Whether any thread may use a file: it is in memory or on a disk, of Python's own classes."""
    if type(file) is io.TextIOWrapper:
        file = file.buffer
    return type(file) in IN_MEMORY or (type(file) in ON_DISK and type(file.raw) is io.FileIO)


class Request:
    """One call of the file's, and what came of it."""

    __slots__ = ("answered", "arguments", "error", "method", "result")

    def __init__(self, method: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.method = method
        self.arguments = arguments
        self.answered = allocate_lock()
        self.answered.acquire()
        self.result: Any = None
        self.error: BaseException | None = None


class Loan:
    """One file, lent for one call.

    When the owner is killed or times out, the file fails from then on, so that the call ends soon.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self.asked: deque[Request] = deque()
        self.wake = Event()
        self.watcher = gevent.get_hub().loop.async_()
        self.thrown: BaseException | None = None
        self.unwritten: list[Any] = []
        self.size = 0

    def borrowed(self) -> Any:
        """The file for the other thread: as much of one as the lent file is."""
        made: Any = BorrowedText() if isinstance(self.file, io.TextIOBase) else Borrowed()
        if hasattr(self.file, "read"):
            made.read = self._read
        if hasattr(self.file, "write"):
            made.write = self._write
        return made

    def flush(self) -> None:
        """Have the owner do the writes that wait, each by itself. For the other thread. Raises what they raise."""
        if self.unwritten:
            written, self.unwritten, self.size = self.unwritten, [], 0
            self._ask(self._write_all, written)

    def during(self, call: Callable[[], T]) -> T:
        """Run `call`, which off-loads, in another greenlet and be at the file's service until it has ended."""
        self.watcher.start(self.wake.set)
        try:
            running = gevent.spawn(outcome, call)
            running.rawlink(lambda _: self.wake.set())
            while not running.ready():
                try:
                    self.wake.wait()
                except BaseException as error:
                    self.thrown = to_be_seen(self.thrown, error)
                self.wake.clear()
                self._answer()
        finally:
            self.watcher.close()
        if self.thrown is not None:
            raise self.thrown
        result, failure = running.get()
        if failure is not None:
            raise failure
        return result  # type: ignore[no-any-return]

    def _read(self, *arguments: Any) -> Any:
        return self._ask(self.file.read, *arguments)

    def _write(self, data: Any) -> None:
        self.unwritten.append(data)
        self.size += len(data)
        if self.size >= BORROWED_BATCH:
            self.flush()

    def _write_all(self, pieces: list[Any]) -> None:
        for each in pieces:
            self.file.write(each)

    def _ask(self, method: Callable[..., Any], *arguments: Any) -> Any:
        request = Request(method, arguments)
        self.asked.append(request)
        self.watcher.send()
        request.answered.acquire()
        if request.error is not None:
            raise request.error
        return request.result

    def _answer(self) -> None:
        while self.asked:
            request = self.asked.popleft()
            try:
                if self.thrown is not None:
                    raise InterruptedError("the greenlet that owns the file was killed or timed out")
                request.result = request.method(*request.arguments)
            except Exception as error:
                request.error = error
            except BaseException as error:  # thrown at the greenlet while the file was waiting
                self.thrown = error
                request.error = InterruptedError(f"the greenlet that owns the file ended: {error!r}")
            request.answered.release()


def outcome(call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What a call returns, or raises."""
    try:
        return call(), None
    except BaseException as error:
        return None, error


class Borrowed:
    """What is read and written as bytes."""


class BorrowedText(io.TextIOBase):
    """What is read and written as text."""
