"""Child processes: `os.system`, `os.wait` and its kin, and starting them without copying the memory of the server.

gevent's loop collects every child that ends (SIGCHLD, `waitpid(-1)`) and keeps the status for who asks. So a call that
waits asks the loop, and of the kernel only what it says at once. The loop's handler must be there before the child is:
the signal of one that ends sooner is lost, and with it the end.
"""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import monkey
from gevent import os as gevent_os
from gevent.hub import get_hub

from ...runtime.offload import may_yield
from .yielding import retry

SHELL: Final = "/bin/sh"
#: The standard library's own: starts programs by `vfork` where the system has it.
NATIVE_POPEN: Final[Any] = monkey.get_original("subprocess", "Popen")
collected: Final[dict[int, Any]] = gevent_os._watched_children
raw_waitid: Final[Callable[..., Any]] = os.waitid
raw_waitpid: Final[Callable[[int, int], tuple[int, int]]] = monkey.get_original("os", "waitpid")


def may_watch() -> bool:
    """Whether the loop of this hub collects children: only the main thread's does."""
    return may_yield() and bool(get_hub().loop.default)


def shell(original: Callable[[Any], int]) -> Callable[[Any], int]:
    """What takes the place of os.system. Unlike that, it does not ignore SIGINT meanwhile: it is the server's too."""

    def system(command: Any) -> int:
        if not may_watch():
            return original(command)
        sys.audit("os.system", command)
        program = [SHELL, "-c", "--", os.fsdecode(command)]
        return os.waitpid(os.posix_spawn(SHELL, program, os.environ), 0)[1]

    return system


def spawning(original: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the place of os.fork, os.forkpty, os.posix_spawn and os.posix_spawnp."""

    @functools.wraps(original)
    def start(*args: Any, **kwargs: Any) -> Any:
        get_hub().loop.install_sigchld()
        return original(*args, **kwargs)

    return start


def child_status(pid: int) -> tuple[int, int]:
    """Wait for a child, or any child for -1; return its number and status. Raises ChildProcessError."""
    if pid == -1 and not any(isinstance(each, tuple) for each in collected.values()):
        ended = raw_waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None and ended.si_pid not in collected:
            return raw_waitpid(ended.si_pid, 0)
    if pid > 0 and pid not in collected:
        with get_hub().loop.child(pid, False) as watcher:
            found = raw_waitpid(pid, os.WNOHANG)
            if found[0]:
                return found
            get_hub().wait(watcher)
            return watcher.rpid, watcher.rstatus
    found = gevent_os.waitpid(pid, 0)
    if found[0] in collected:
        gevent.sleep(0)  # its own watcher has its turn
        collected.pop(found[0], None)
    return found


def status_and_usage(pid: int) -> tuple[int, int, resource.struct_rusage]:
    """As `child_status`, and what the children that ended meanwhile have used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid, status = child_status(pid)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = [new - old for new, old in zip(after, before, strict=True)]
    used[2:6] = after[2:6]  # memory: these are not sums
    return pid, status, resource.struct_rusage(used)


def waiting(original: Callable[[], tuple[int, int]]) -> Callable[[], tuple[int, int]]:
    """What takes the place of os.wait."""

    def wait() -> tuple[int, int]:
        return child_status(-1) if may_watch() else original()

    return wait


def waiting_any(original: Callable[[int], tuple[int, int, Any]]) -> Callable[[int], tuple[int, int, Any]]:
    """What takes the place of os.wait3."""

    def wait3(options: int) -> tuple[int, int, Any]:
        return status_and_usage(-1) if options == 0 and may_watch() else original(options)

    return wait3


def waiting_one(original: Callable[[int, int], tuple[int, int, Any]]) -> Callable[[int, int], tuple[int, int, Any]]:
    """What takes the place of os.wait4. Groups, and children that stop, are asked for again and again."""

    def wait4(pid: int, options: int) -> tuple[int, int, Any]:
        if options & os.WNOHANG or not may_watch():
            return original(pid, options)
        if options == 0 and (pid > 0 or pid == -1):
            return status_and_usage(pid)
        return retry(lambda: ended if (ended := original(pid, options | os.WNOHANG))[0] else None)

    return wait4


def waiting_information(original: Callable[[int, int, int], Any]) -> Callable[[int, int, int], Any]:
    """What takes the place of os.waitid."""

    def waitid(idtype: int, id: int, options: int, /) -> Any:
        if options & os.WNOHANG or not may_watch():
            return original(idtype, id, options)
        if options & ~os.WNOWAIT != os.WEXITED or idtype not in (os.P_PID, os.P_ALL):
            return retry(lambda: original(idtype, id, options | os.WNOHANG))
        pid, status = child_status(id if idtype == os.P_PID else -1)
        if options & os.WNOWAIT:
            collected[pid] = (pid, status, time.time())  # for who asks next
        if os.WIFSIGNALED(status):
            code, value = (os.CLD_DUMPED if os.WCOREDUMP(status) else os.CLD_KILLED), os.WTERMSIG(status)
        else:
            code, value = os.CLD_EXITED, os.WEXITSTATUS(status)
        return os.waitid_result((pid, os.getuid(), signal.SIGCHLD, value, code))

    return waitid


class Start:
    """Starts one program for a gevent Popen: the part of the standard library's Popen that does it, in its stead."""

    _execute_child = NATIVE_POPEN._execute_child
    _close_pipe_fds = NATIVE_POPEN._close_pipe_fds
    _posix_spawn = NATIVE_POPEN._posix_spawn

    def __init__(self, popen: Any) -> None:
        self._popen = popen
        if hasattr(popen, "_devnull"):
            self._devnull = popen._devnull

    @property
    def pid(self) -> int:
        """The child's number. Once it is known, the loop waits for the child and tells the Popen."""
        return int(self._popen.pid)

    @pid.setter
    def pid(self, pid: int) -> None:
        popen = self._popen
        popen.pid = pid
        popen._child_created = True
        gevent_os._watch_child(pid, popen._on_child, popen._loop, True)

    def _handle_exitstatus(self, *_: Any) -> None:
        """The loop has told the Popen."""


def start_child(original: Callable[..., None]) -> Callable[..., None]:
    """What takes the place of `gevent.subprocess.Popen._execute_child`, which forks."""

    def _execute_child(
        self: Any,
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: bool,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        universal_newlines: Any,
        *rest: Any,
    ) -> None:
        if preexec_fn is not None:
            original(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, universal_newlines, *rest)
            return
        *others, process_group = rest
        start = Start(self)
        self._loop.install_sigchld()
        try:
            start._execute_child(
                args,
                executable,
                None,
                close_fds,
                pass_fds,
                cwd,
                env,
                *others,
                -1 if process_group is None else process_group,
            )
        finally:
            self._closed_child_pipe_fds = getattr(start, "_closed_child_pipe_fds", False)

    return _execute_child
