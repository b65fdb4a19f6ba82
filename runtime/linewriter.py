"""Writes log lines without ever making the hub wait, however slow the disk or the reader of the pipe is.

`write` appends to a list. One native thread for each writer sleeps until the list is no longer empty, then for
LOG_FLUSH_INTERVAL, takes the whole list and writes it. Nothing here belongs to a hub: it works before there is one, in
native threads and at exit, and neither a timer nor a thread keeps the process alive.

Rules of this file:
- Every primitive is the native one (`monkey.get_original`). A cooperative lock in the writer thread would make a hub
  there and wait for greenlets of another.
- Whatever runs under the lock neither waits nor calls out. The lock is re-entrant, because a signal handler or a
  `__del__` may log in the middle of `write`; the wake-up is a SimpleQueue for the same reason: `put` is re-entrant.
- An error of the file costs its lines, which are counted, and nothing else.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import os
import select
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final
from weakref import WeakSet

from gevent import monkey

from .limits import KIB, LOG_FLUSH_INTERVAL, LOG_PENDING

allocate_lock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")
start_new_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
RLock: Callable[[], Any] = monkey.get_original("_thread", "RLock")
SimpleQueue: Callable[[], Any] = monkey.get_original("_queue", "SimpleQueue")
Empty: type[Exception] = monkey.get_original("_queue", "Empty")
poll: Callable[[], Any] = monkey.get_original("select", "poll")

# One write takes about so much. A pipe takes PIPE_BUF bytes as a whole (POSIX), so that programs that share it with us
# and write as little do not tear our lines; for files larger pieces save system calls.
FILE_PIECE: Final = 256 * KIB
PIPE_PIECE: Final = select.PIPE_BUF
# A descriptor that would block is polled, and tried again after this time whatever poll says: on some systems it does
# not know terminals.
RETRY_MILLISECONDS: Final = 1000
# When a burst has filled this part of the limit the interval is cut short.
RUSH: Final = 8
# How long `close` waits by default for a file that takes no more.
CLOSE_TIMEOUT: Final = 2.0
NEWLINE: Final = 0x0A
WRITERS: WeakSet[LineWriter] = WeakSet()
# For each pipe or socket, by its identity: the lock of the writers in this process, which fcntl's is not.
TURNS: Final[dict[tuple[int, int], Any]] = {}


def lost_report(count: int) -> bytes:
    """The line that stands for lines that could not be written."""
    return b"hublet: %d log lines were lost here: the log could not be written fast enough, or at all\n" % count


class LineWriter:
    """Writes lines to a descriptor, which it leaves open, or appends them to the file at a path.

    At most `limit` bytes wait; further lines are dropped and counted in `lost`, and once there is room again one line,
    made by `report`, says how many. Raises OSError if the path cannot be opened, and never afterwards: the first error
    of writing goes to `failed`, and every error of opening the file anew to `not_reopened`; the writer's own native
    thread calls both.

    Several processes may append to one file: each piece is whole lines in one write(2), which O_APPEND puts at the end
    in one step. On a pipe or a socket, which take longer pieces bit by bit, they take turns (fcntl(2), where the system
    locks such descriptors, as Linux does); what other programs write there may still tear lines above PIPE_BUF bytes.
    """

    def __init__(
        self,
        target: int | str | os.PathLike[str],
        *,
        limit: int = LOG_PENDING,
        interval: float = LOG_FLUSH_INTERVAL,
        report: Callable[[int], bytes] = lost_report,
        failed: Callable[[OSError], object] | None = None,
        not_reopened: Callable[[OSError], object] | None = None,
    ) -> None:
        # Absolute, since whoever opens it anew may be in another directory.
        self._path = None if isinstance(target, int) else os.path.abspath(target)
        self._fd = target if isinstance(target, int) else open_for_appending(os.path.abspath(target))
        self._piece = PIPE_PIECE if is_pipe(self._fd) else FILE_PIECE
        self._limit = limit
        self._interval = interval
        self._rush = limit // RUSH
        self._report = report
        self._failed = failed
        self._not_reopened = not_reopened
        self._closed = False
        self._torn = False
        self.lost = 0
        self._start_empty()
        WRITERS.add(self)

    def _start_empty(self) -> None:
        self._lock = RLock()
        self._lines: list[bytes] = []
        self._pending = 0
        self._unreported = 0
        self._started = False
        self._ordered = False
        self._reopening = False
        # None: there are lines. Else: write everything now and release the lock; True beside it ends the thread.
        self._orders = SimpleQueue()

    def write(self, line: bytes) -> None:
        """Take a line, or several at once that stay together, each with its newline. Never waits, from any thread."""
        with self._lock:
            if self._closed or self._pending + len(line) > self._limit or not (self._started or self._start()):
                self._lose(1)
                return
            before = self._pending
            self._pending = before + len(line)
            self._lines.append(line)
            if not self._ordered:
                self._ordered = True
                self._orders.put(None)
            if before < self._rush <= self._pending:
                self._orders.put(None)

    def reopen(self) -> None:
        """Open the path anew, as after the file has been renamed, once what is pending is in the old file.

        Returns at once, from any thread and in a signal handler. Nothing happens to a descriptor that was given open.
        If the path cannot be opened, lines go to the old file as before.
        """
        with self._lock:
            if self._path is not None and not self._closed and (self._started or self._start()):
                self._reopening = True
                for _ in range(2):  # one to wake the thread, one so that it does not wait for more lines
                    self._orders.put(None)

    def give_to(self, uid: int, gid: int) -> None:
        """Change the owner of the file, for a process that is about to become that user. Raises OSError."""
        if self._path is not None and stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.fchown(self._fd, uid, gid)

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Make the calling thread, and a hub in it, wait until everything is written. False: it took too long."""
        return self._closed or not self._started or self._finish(timeout, last=False)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Write what is pending, for at most `timeout` seconds; lines that come later are counted as lost."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        written = not self._started or self._finish(timeout, last=True)
        atexit.unregister(self.close)
        if (
            self._path is not None and written
        ):  # else the thread is still writing there, and the number could be reused under it
            os.close(self._fd)

    def _finish(self, timeout: float, last: bool) -> bool:
        done = allocate_lock()
        done.acquire()
        self._orders.put((done, last))
        written: bool = done.acquire(timeout=timeout)
        return written

    def _start(self) -> bool:
        """Start the writer thread; False: there can be no more threads, now."""
        self._started = True  # already: a signal handler may log before the thread has started
        try:
            start_new_thread(self._run, (self._orders,))
        except RuntimeError:
            self._started = False
            return False
        atexit.register(self.close)
        return True

    def _lose(self, count: int) -> None:
        with self._lock:
            self.lost += count
            self._unreported += count

    def _run(self, orders: Any) -> None:
        """The writer thread."""
        while True:
            order = orders.get()
            if order is None:
                with contextlib.suppress(Empty):
                    order = orders.get(timeout=self._interval)
            self._write_pending()
            if self._reopening:
                self._reopen()
            if order is not None:
                done, last = order
                done.release()
                if last:
                    return

    def _reopen(self) -> None:
        self._reopening = False
        try:
            fd = open_for_appending(self._path or "")
        except OSError as error:
            if self._not_reopened is not None:
                self._not_reopened(error)
            return
        before, self._fd = self._fd, fd
        self._piece = PIPE_PIECE if is_pipe(fd) else FILE_PIECE
        self._torn = False
        os.close(before)

    def _write_pending(self) -> None:
        with self._lock:
            self._ordered = False
            lines, self._lines = self._lines, []
            unreported, self._unreported = self._unreported, 0
        written = True
        for piece in pieces(lines, self._piece):
            written = self._write_piece(piece)
            with self._lock:
                self._pending -= sum(map(len, piece))
        if unreported and not (written and self._write_all(self._report(unreported)) is None):
            with self._lock:
                self._unreported += unreported

    def _write_piece(self, lines: list[bytes]) -> bool:
        """Write whole lines; count those that did not get out whole. Returns whether all did."""
        rest = self._write_all(b"".join(lines))
        if rest is None:
            return True
        complete = sum(map(len, lines)) - rest
        for line in lines:
            complete -= len(line)
            if complete < 0:
                self._lose(1)
        return False

    def _write_all(self, data: bytes) -> int | None:
        """Write in one piece, as others see it. Returns None, or after an error the number of bytes left over."""
        with own_turn(self._fd):
            return self._write_bytes(data)

    def _write_bytes(self, data: bytes) -> int | None:
        """Write, waiting as long as it takes. Returns as `_write_all` does."""
        view = memoryview(b"\n" + data if self._torn else data)
        while view:
            try:
                sent = os.write(self._fd, view)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                    failed, self._failed = self._failed, None
                    if failed is not None:
                        failed(error)
                    return min(len(view), len(data))
                self._wait_writable()
            else:
                # A file that fails in the middle of a line gets a newline before the next one.
                self._torn = view[sent - 1] != NEWLINE
                view = view[sent:]
        self._torn = False
        return None

    def _wait_writable(self) -> None:
        poller = poll()
        poller.register(self._fd, select.POLLOUT)
        poller.poll(RETRY_MILLISECONDS)


def open_for_appending(path: str) -> int:
    """Open a file to append to, and make it if there is none."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def is_pipe(fd: int) -> bool:
    """Whether a descriptor is open on a pipe."""
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def own_turn(fd: int) -> Iterator[None]:
    """Keep other writers, in this process and in others, from a pipe or a socket for the `with` block."""
    try:
        status = os.fstat(fd)
    except OSError:  # writing will say so
        yield
        return
    if not (stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        yield
        return
    with TURNS.setdefault((status.st_dev, status.st_ino), allocate_lock()):
        with contextlib.suppress(OSError):  # the system has no locks for such descriptors
            fcntl.lockf(fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.lockf(fd, fcntl.LOCK_UN)


def pieces(lines: list[bytes], size: int) -> Iterator[list[bytes]]:
    """Group lines into lists of at most `size` bytes, or of one longer line."""
    piece: list[bytes] = []
    length = 0
    for line in lines:
        if piece and length + len(line) > size:
            yield piece
            piece, length = [], 0
        piece.append(line)
        length += len(line)
    if piece:
        yield piece


def start_empty_after_fork() -> None:
    """A forked child has no writer thread, and the pending lines are its parent's."""
    TURNS.clear()  # a thread of the parent's may hold one
    for writer in list(WRITERS):
        writer._start_empty()


os.register_at_fork(after_in_child=start_empty_after_fork)
