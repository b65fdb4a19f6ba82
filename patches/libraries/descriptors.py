"""`os.read`, `os.write` and their kin: pipes, FIFOs and terminals wait on the hub, large pieces of files elsewhere.

A descriptor that is ready, or set non-blocking, gets the plain call: this costs one poll(2). Two processes that read
one pipe may both be told that it is ready; the slower one then waits in the kernel, as it does without this.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from select import PIPE_BUF
from typing import Any, Final
from weakref import WeakValueDictionary

from gevent import os as gevent_os
from gevent._hub_local import get_hub_if_exists
from gevent.hub import get_hub
from gevent.lock import BoundedSemaphore

from ...runtime.io_events import READ, WRITE
from ...runtime.limits import OFFLOAD_FILE_PIECE
from ...runtime.offload import may_yield, offload, this_thread
from .yielding import is_ready, wait_until_ready

# Of a terminal, or a blocking socket, poll(2) promises less room than of a pipe.
LITTLE: Final = 256
#: Descriptors to which a greenlet is writing more than a pipe takes at once: others wait, so that nothing is torn.
writing: Final[WeakValueDictionary[int, BoundedSemaphore]] = WeakValueDictionary()


closing: Final[dict[int, Any]] = gevent_os._closing_fd_to_event


def is_file(fd: int) -> bool:
    """Whether a descriptor is a regular file's. Raises OSError."""
    return stat.S_ISREG(os.fstat(fd).st_mode)


def size_of(data: Any) -> int:
    """Bytes in an object that has the buffer protocol. Raises TypeError."""
    with memoryview(data) as view:
        return view.nbytes


def becomes_readable(fd: int) -> None:
    """Wait for something to read, or for the other end's close; not where the call returns at once."""
    if not is_ready(fd, READ) and os.get_blocking(fd):
        wait_until_ready(fd, READ)


def reading(original: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """What takes the place of os.read."""

    def read(fd: int, length: int, /) -> bytes:
        if not may_yield():
            return original(fd, length)
        if length >= OFFLOAD_FILE_PIECE and is_file(fd):
            return offload(original, fd, length)
        becomes_readable(fd)
        return original(fd, length)

    return read


def reading_vector(original: Callable[..., int]) -> Callable[..., int]:
    """What takes the place of os.readv."""

    def readv(fd: int, buffers: Sequence[Any], /) -> int:
        if not may_yield():
            return original(fd, buffers)
        if sum(map(size_of, buffers)) >= OFFLOAD_FILE_PIECE and is_file(fd):
            return offload(original, fd, buffers)
        becomes_readable(fd)
        return original(fd, buffers)

    return readv


def writing_to(original: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    """What takes the place of os.write."""

    def write(fd: int, data: Any, /) -> int:
        if not may_yield():
            return original(fd, data)
        size = size_of(data)
        if size <= LITTLE and fd not in writing and is_ready(fd, WRITE):
            return original(fd, data)
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return offload(original, fd, data) if size >= OFFLOAD_FILE_PIECE else original(fd, data)
        if not os.get_blocking(fd) or (stat.S_ISCHR(mode) and not os.isatty(fd)):
            return original(fd, data)
        return write_pieces(original, fd, data, PIPE_BUF if stat.S_ISFIFO(mode) else LITTLE)

    return write


def write_pieces(original: Callable[[int, Any], int], fd: int, data: Any, piece: int) -> int:
    """Write everything, as a blocking call does, in pieces for which there is room."""
    turn = writing.setdefault(fd, BoundedSemaphore(1))
    with turn, memoryview(data) as whole, whole.cast("B") as view:
        done = 0
        while True:
            if not is_ready(fd, WRITE):
                wait_until_ready(fd, WRITE)
            done += original(fd, view[done : done + piece])
            if done >= len(view):
                return done


def writing_vector(original: Callable[..., int]) -> Callable[..., int]:
    """What takes the place of os.writev: to a pipe goes what os.write would write of the buffers joined."""

    def writev(fd: int, buffers: Sequence[Any], /) -> int:
        if not may_yield():
            return original(fd, buffers)
        size = sum(map(size_of, buffers))
        if size <= LITTLE and fd not in writing and is_ready(fd, WRITE):
            return original(fd, buffers)
        if is_file(fd):
            return offload(original, fd, buffers) if size >= OFFLOAD_FILE_PIECE else original(fd, buffers)
        return original(fd, buffers) if not os.get_blocking(fd) else os.write(fd, b"".join(buffers))

    return writev


def pread_elsewhere(original: Callable[[int, int, int], bytes]) -> Callable[[int, int, int], bytes]:
    """What takes the place of os.pread."""

    def pread(fd: int, length: int, offset: int, /) -> bytes:
        if length >= OFFLOAD_FILE_PIECE and may_yield():
            return offload(original, fd, length, offset)
        return original(fd, length, offset)

    return pread


def pwrite_elsewhere(original: Callable[[int, Any, int], int]) -> Callable[[int, Any, int], int]:
    """What takes the place of os.pwrite."""

    def pwrite(fd: int, data: Any, offset: int, /) -> int:
        if may_yield() and size_of(data) >= OFFLOAD_FILE_PIECE:
            return offload(original, fd, data, offset)
        return original(fd, data, offset)

    return pwrite


def copy_elsewhere(original: Callable[..., int]) -> Callable[..., int]:
    """What takes the place of os.sendfile: from file to file (shutil.copy); to a socket it is a plain call."""

    def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *more: Any, **named: Any) -> int:
        if count >= OFFLOAD_FILE_PIECE and may_yield() and is_file(out_fd):
            return offload(original, out_fd, in_fd, offset, count, *more, **named)
        return original(out_fd, in_fd, offset, count, *more, **named)

    return sendfile


def elsewhere(original: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the place of os.fsync and os.fdatasync, which wait for the disk."""

    def off_loaded(*arguments: Any, **named: Any) -> Any:
        return offload(original, *arguments, **named)

    return off_loaded


def closing_soon(original: Callable[[int], None]) -> Callable[[int], None]:
    """What takes the place of gevent's os.close, which closes when the loop has turned: have an idle loop turn.

    The loop of a hub that an off-loaded call has made turns only while that call waits.
    """

    def close(fd: int) -> None:
        original(fd)
        if closing and this_thread.makes_calls:
            close_what_is_to_be_closed()
        elif closing and (hub := get_hub_if_exists()) is not None:
            turn = hub.loop.idle()
            turn.start(turn.stop)

    return close


def close_what_is_to_be_closed() -> None:
    """Let the loop turn until what os.close was called for is closed, but for what another thread's loop closes."""
    before: set[int] = set()
    while (left := set(closing)) and left != before and may_yield():
        before = left
        hub = get_hub()
        for _ in range(2):  # the first time we may come before those that close
            with hub.loop.idle() as turn:
                hub.wait(turn)
