"""The standard library beyond what gevent patches: files, pipes, children, processes and executors."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement

DESCRIPTORS: Final = "hublet.patches.libraries.descriptors:"
CHILDREN: Final = "hublet.patches.libraries.children:"


def wrapped(target: str, by: str) -> Replacement:
    """A replacement that calls the original."""
    return Replacement(target, by, wraps=True)


PATCHES: Final = (
    Patch(
        name="os-descriptors",
        why="reads and writes of pipes, FIFOs and terminals stop every request, and so do large ones of files",
        replacements=(
            wrapped("os:read", DESCRIPTORS + "reading"),
            wrapped("os:readv", DESCRIPTORS + "reading_vector"),
            wrapped("os:write", DESCRIPTORS + "writing_to"),
            wrapped("os:writev", DESCRIPTORS + "writing_vector"),
            wrapped("os:pread", DESCRIPTORS + "pread_elsewhere"),
            wrapped("os:pwrite", DESCRIPTORS + "pwrite_elsewhere"),
            wrapped("os:close", DESCRIPTORS + "closing_soon"),
            wrapped("os:sendfile", DESCRIPTORS + "copy_elsewhere"),
        ),
        module="os",
        cost="read 0.8 -> 2.7 us, write 0.7 -> 4 us, pread 1.6 us before and after",
    ),
    Patch(
        name="os-sync",
        why="os.fsync and os.fdatasync stop every request until the disk has the data",
        replacements=(
            wrapped("os:fsync", DESCRIPTORS + "elsewhere"),
            wrapped("os:fdatasync", DESCRIPTORS + "elsewhere"),
        ),
        module="os",
        effect="off-loaded",
        cost="30 us a call",
    ),
    Patch(
        name="os-children",
        why="os.system, os.wait, os.wait3, os.wait4 and os.waitid stop every request until a child has ended",
        replacements=(
            wrapped("os:system", CHILDREN + "shell"),
            wrapped("os:wait", CHILDREN + "waiting"),
            wrapped("os:wait3", CHILDREN + "waiting_any"),
            wrapped("os:wait4", CHILDREN + "waiting_one"),
            wrapped("os:waitid", CHILDREN + "waiting_information"),
        ),
        module="os",
        remedy="what wait3 and wait4 say of resources is the sum of all children that ended during the call",
    ),
    Patch(
        name="subprocess-start",
        why="gevent starts programs by fork, which copies the tables of the server's memory",
        replacements=(
            wrapped("gevent.subprocess:Popen._execute_child", CHILDREN + "start_child"),
            Replacement("subprocess:_fork_exec", "_posixsubprocess:fork_exec"),  # gevent takes it away
        ),
        module="gevent.subprocess",
        cost="starting a program: 4.8 -> 0.7 ms, with 300 MB in use 32 -> 0.7 ms",
        remedy="preexec_fn still forks: use start_new_session, process_group, cwd, umask, user and group instead",
    ),
)
