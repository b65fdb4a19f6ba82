"""The pidfile: made by one process, refused while another one lives, removed at the end if it is still ours."""

from __future__ import annotations

import os

from .claimed_path import Claim, locked_directory


class PidfileError(Exception):
    """The pidfile cannot be had; the text says why, and what to do about it."""


class Pidfile:
    """A file that holds this process's id. Raises PidfileError if it cannot be made."""

    def __init__(self, path: str) -> None:
        try:
            with locked_directory(path):
                self._fd = make_pidfile(path)
                self._claim = Claim(path)
        except OSError as error:
            raise PidfileError(f"cannot be made: {error.strerror}") from error

    def remove(self) -> None:
        """Remove the file if it is ours; empty it where privileges that were dropped do not allow that."""
        if self._claim.release():
            os.ftruncate(self._fd, 0)
        os.close(self._fd)


def make_pidfile(path: str) -> int:
    """Write this process's id into a new file, in the place of a dead process's; return the descriptor."""
    if (pid := living_owner(path)) is not None:
        raise PidfileError(
            f"the process {pid}, which it names, is running; stop that one, or remove the file if it is no server"
        )
    if os.path.lexists(path):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    os.write(fd, b"%d\n" % os.getpid())
    return fd


def check_pidfile(path: str) -> None:
    """Raise PidfileError for what would keep the pidfile from being made; leave everything as it is."""
    if (pid := living_owner(path)) is not None:
        raise PidfileError(f"the process {pid}, which it names, is running")
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise PidfileError(f"there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PidfileError(f"this user may not write to {directory}")


def living_owner(path: str) -> int | None:
    """The process that a pidfile names, if it lives and is not this one, as after the restart of a container.

    Raises PidfileError for a file that is no pidfile, and so not ours to replace.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(100)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PidfileError(f"there is something that cannot be read: {error.strerror}") from error
    if not text.strip():
        return None
    if not text.strip().isdigit() or len(text) > 20:
        raise PidfileError("there is a file that holds no process id; remove it, or choose another path")
    pid = int(text)
    if pid == os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass  # somebody else's, but alive
    return pid or None
