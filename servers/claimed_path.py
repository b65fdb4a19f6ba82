"""Paths that one process claims for its lifetime, a socket or a pidfile: taken by one starter, removed by their owner.

Two servers that start at the same moment may both find the file that a dead one has left. So whoever looks at such a
path and then replaces it holds a lock on its directory meanwhile. It is an flock, which leaves no file behind and ends
with the process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def locked_directory(path: str) -> Iterator[None]:
    """Hold the lock on the directory of `path`. Raises OSError when the directory cannot be opened."""
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        # Not left to the end of the descriptor, which gevent's close puts off where the hub watches descriptors.
        fcntl.flock(directory, fcntl.LOCK_UN)
        os.close(directory)


class Claim:
    """What stands at a path now, which this process has just put there; only this process removes it.

    Release it while the file is still in use (the socket bound, the pidfile open): until then no other file can have
    its inode number, so that a successor's file is never mistaken for it.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)  # the application may change the directory
        self._pid = os.getpid()
        self._identity = identity(self.path)

    def is_ours(self) -> bool:
        """Whether this process made the claim, and what it put there still stands there."""
        return self._pid == os.getpid() and self._identity is not None and identity(self.path) == self._identity

    def release(self) -> bool:
        """Remove the file if it is ours. Returns whether it was to be removed and could not be."""
        with suppress(FileNotFoundError):  # the whole directory is gone
            try:
                with locked_directory(self.path):
                    if self.is_ours():
                        os.unlink(self.path)
            except PermissionError:
                return self.is_ours()
        return False


def identity(path: str) -> tuple[int, int] | None:
    """What tells a file from every other one there is at the moment; None where there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
