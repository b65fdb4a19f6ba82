"""The standard library beyond what gevent patches: files, pipes, children, processes and executors."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement

DESCRIPTORS: Final = "hublet.patches.libraries.descriptors:"
CHILDREN: Final = "hublet.patches.libraries.children:"
FILES: Final = "hublet.patches.libraries.files:"
FILE_OBJECTS: Final = "hublet.patches.libraries.file_objects:"
PROCESSES: Final = "hublet.patches.libraries.processes:"


def wrapped(target: str, by: str) -> Replacement:
    """A replacement that calls the original."""
    return Replacement(target, by, wraps=True)


#: The methods of io's types that move bytes, in C.
FILE_METHODS: Final = (
    wrapped("io:FileIO.read", FILE_OBJECTS + "reading"),
    wrapped("io:FileIO.readall", FILE_OBJECTS + "reading_all"),
    wrapped("io:FileIO.readinto", FILE_OBJECTS + "reading_into"),
    wrapped("io:FileIO.write", FILE_OBJECTS + "writing"),
    wrapped("io:BufferedReader.read", FILE_OBJECTS + "reading"),
    wrapped("io:BufferedReader.read1", FILE_OBJECTS + "reading_once"),
    wrapped("io:BufferedReader.readinto", FILE_OBJECTS + "reading_into"),
    wrapped("io:BufferedReader.readinto1", FILE_OBJECTS + "reading_into"),
    wrapped("io:BufferedWriter.write", FILE_OBJECTS + "writing"),
    wrapped("io:BufferedRandom.read", FILE_OBJECTS + "reading"),
    wrapped("io:BufferedRandom.read1", FILE_OBJECTS + "reading_once"),
    wrapped("io:BufferedRandom.readinto", FILE_OBJECTS + "reading_into"),
    wrapped("io:BufferedRandom.readinto1", FILE_OBJECTS + "reading_into"),
    wrapped("io:BufferedRandom.write", FILE_OBJECTS + "writing"),
)

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
            wrapped("os:fork", CHILDREN + "spawning"),
            wrapped("os:forkpty", CHILDREN + "spawning"),
            wrapped("os:posix_spawn", CHILDREN + "spawning"),
            wrapped("os:posix_spawnp", CHILDREN + "spawning"),
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
    Patch(
        name="multiprocessing-pipes",
        why="pools of processes and ProcessPoolExecutor hang: all their threads stop in one read of a pipe",
        replacements=(
            Replacement("multiprocessing.connection:Connection._send", PROCESSES + "send"),
            Replacement("multiprocessing.connection:Connection._recv", PROCESSES + "receive"),
        ),
        module="multiprocessing.connection",
        cost="a task of a pool: 490 us in sequence",
    ),
    Patch(
        name="multiprocessing-semaphores",
        why="a wait for a lock or a queue that processes share stops every request, or for ever",
        replacements=(
            Replacement("multiprocessing.synchronize:SemLock._make_methods", PROCESSES + "make_methods"),
            Replacement("multiprocessing.synchronize:SemLock.__enter__", PROCESSES + "enter"),
        ),
        module="multiprocessing.synchronize",
        cost="a free lock: 0.5 -> 1.3 us; one that is held is tried again every 0.5 to 20 ms",
    ),
    Patch(
        name="multiprocessing-fork",
        why="a forked child would run the greenlets of the server that it was forked from",
        replacements=(wrapped("multiprocessing.process:BaseProcess._bootstrap", PROCESSES + "beginning"),),
        module="multiprocessing.process",
        remedy="forking copies the tables of the server's memory: make pools early, or of the kind 'forkserver'",
    ),
    Patch(
        name="multiprocessing-fork-signals",
        why="a signal that ends a forked child at once, as Pool.terminate sends, would tell the server's handlers",
        replacements=(wrapped("multiprocessing.popen_fork:Popen._launch", PROCESSES + "launching"),),
        module="multiprocessing.popen_fork",
    ),
    Patch(
        name="native-thread-pools",
        why="the threads of a ThreadPoolExecutor are greenlets, so that what computes in them stops every request",
        replacements=(wrapped("concurrent.futures.thread:ThreadPoolExecutor.submit", PROCESSES + "submitting"),),
        module="concurrent.futures.thread",
        effect="off-loaded",
        cost="30 us a call; what the calls themselves wait for, locks and sockets, is slower in native threads",
        remedy="for one executor: executor.submit(hublet.offload, function, ...)",
        optional=True,
    ),
    Patch(
        name="file-locks",
        why="a wait for fcntl.flock or lockf stops every request, also the one that would release the lock",
        replacements=(
            wrapped("fcntl:flock", "hublet.patches.libraries.file_locks:locking"),
            wrapped("fcntl:lockf", "hublet.patches.libraries.file_locks:locking"),
        ),
        module="fcntl",
        cost="none to speak of; a lock that is held is tried again every 0.5 to 20 ms",
        remedy="fcntl.fcntl with F_SETLKW still blocks: use lockf",
    ),
    Patch(
        name="shutil",
        why="copying a large file stops every request",
        replacements=(wrapped("shutil:copyfileobj", FILES + "copying"),),
        module="shutil",
        effect="off-loaded",
        cost="30 us a file",
    ),
    Patch(
        name="input",
        why="waiting for a line that a user types, in a debugger say, stops every request",
        replacements=(wrapped("builtins:input", FILES + "asking"),),
        module="builtins",
        effect="off-loaded",
        cost="30 us a line",
    ),
    Patch(
        name="file-objects",
        why="large reads and writes of what `open` returns, and of pathlib, stop every request",
        replacements=FILE_METHODS,
        module="io",
        effect="off-loaded",
        cost="20 ns a call; 30 us from 256 KiB on",
        remedy="for opening, closing and smaller pieces on a slow disk: hublet.offload",
    ),
)
