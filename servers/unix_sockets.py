"""Unix listening sockets: taking a path from a dead server but not from a live one, and giving it back at the end.

The file that bind(2) makes outlives its server, so the path of a server that was killed is in use for ever unless
somebody removes it. Whether the server lives is found out by connecting: only a socket that nobody listens on refuses.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from typing import Any, Final, NamedTuple

from ..runtime.errors import ListenError
from .claimed_path import Claim, locked_directory
from .ownership import UNCHANGED, Owner

# Everybody may connect, as with systemd's SocketMode= and as with a port on 127.0.0.1. Connecting takes the permission
# to write, and a proxy runs as a user of its own: with what the usual umask leaves, 755, nginx would get EACCES.
SOCKET_MODE: Final = 0o666
# The size of sun_path (unix(7)), less the NUL at its end, which abstract names spend on their beginning.
LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
# What a live server may take to have room in its backlog: none of it, since a full backlog answers at once (EAGAIN).
PROBE_TIMEOUT: Final = 1.0


class SocketAccess(NamedTuple):
    """Who may connect to a Unix socket: the permission bits and the owner of its file."""

    mode: int = SOCKET_MODE
    owner: Owner = Owner()


class UnixListener(socket.socket):
    """A listening Unix socket whose file goes when it is closed, if the file is its own and this process made it."""

    _claim: Claim | None = None

    def claim(self, path: str) -> None:
        """Own the file at `path`: after `bind`, or in a process that takes the socket over from its maker."""
        self._claim = Claim(path)

    def disown(self) -> None:
        """Leave the file: another process has taken the socket over."""
        self._claim = None

    def claimed_path(self) -> str | None:
        """The absolute path of the file, if it is this process's to remove."""
        return self._claim.path if self._claim is not None and self._claim.is_ours() else None

    def close(self, *arguments: Any) -> None:
        """Remove the file, if it is ours, then close."""
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()
        super().close(*arguments)


def open_unix_listener(path: str, backlog: int, access: SocketAccess = SocketAccess()) -> UnixListener:  # noqa: B008
    """Listen on a path. Raises ListenError."""
    check_length(path, path)
    try:
        with locked_directory(path):
            remove_stale(path)
            return bind_and_listen(path, backlog, access)
    except OSError as error:
        if isinstance(error, ListenError):
            raise
        raise ListenError(f"unix:{path}", unix_problem(error, path)) from error


def bind_and_listen(path: str, backlog: int, access: SocketAccess) -> UnixListener:
    """Make the socket and its file; nobody can connect to it before its mode and owner are set."""
    listener = UnixListener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(path)
        try:
            os.chmod(path, access.mode)
            if access.owner != (UNCHANGED, UNCHANGED):
                os.chown(path, *access.owner, follow_symlinks=False)
            listener.listen(backlog)
        except OSError:
            os.unlink(path)
            raise
    except OSError:
        listener.close()
        raise
    listener.claim(path)
    return listener


def claim_again(listener: socket.socket, path: str) -> UnixListener:
    """Own a listener's file after this process has executed itself anew, when `claimed_path` has told it before."""
    claimed = UnixListener(fileno=listener.detach())
    claimed.setblocking(False)
    claimed.claim(path)
    return claimed


def open_abstract_listener(name: str, backlog: int) -> socket.socket:
    """Listen on a name that Linux keeps outside of the file system, without mode or owner. Raises ListenError."""
    address = f"unix:@{name}"
    if sys.platform != "linux":
        raise ListenError(address, "abstract sockets exist on Linux only; use a path: unix:/run/app.sock")
    check_length(name, f"@{name}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind("\0" + name)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise ListenError(address, unix_problem(error, name)) from error
    return listener


def check_unix_path(path: str) -> None:
    """Raise ListenError for what would keep a path from being listened on; leave everything as it is."""
    check_length(path, path)
    directory = os.path.dirname(path) or "."
    try:
        os.stat(directory)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        find_stale(path)
    except OSError as error:
        if isinstance(error, ListenError):
            raise
        raise ListenError(f"unix:{path}", unix_problem(error, path)) from error


def check_length(name: str, shown: str) -> None:
    """Refuse a path or an abstract name that the kernel has no room for."""
    size = len(os.fsencode(name))
    if size > LONGEST_PATH:
        rule = f"the path has {size} bytes, and a Unix socket's {LONGEST_PATH} at the most; choose a shorter one"
        raise ListenError(f"unix:{shown}", rule)


def remove_stale(path: str) -> None:
    """Remove the socket that a dead server has left at a path. Raises ListenError, or OSError."""
    if find_stale(path):
        os.unlink(path)


def find_stale(path: str) -> bool:
    """Whether the socket of a dead server is at a path. Raises ListenError for anything else that is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"unix:{path}", "there is a file that is no socket; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except (BlockingIOError, TimeoutError):
            pass  # its backlog is full
        except FileNotFoundError:
            return False  # it has just ended
    finder = f"`ss -lxp src {path}`" if sys.platform == "linux" else f"`lsof {path}`"
    rule = f"another process listens there; {finder} shows which; stop it, or choose another path"
    raise ListenError(f"unix:{path}", rule)


def unix_problem(error: OSError, path: str) -> str:
    """Say why a Unix socket cannot be had, and what to do about it."""
    directory = os.path.dirname(os.path.abspath(path))
    if error.errno == errno.ENOENT:
        return f"there is no directory {directory}; make it (systemd: RuntimeDirectory=)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied; this user must be able to write to {directory}, and be root to give the file away"
    if error.errno == errno.EADDRINUSE:
        return "another process listens there; stop it, or choose another name"
    return str(error)
