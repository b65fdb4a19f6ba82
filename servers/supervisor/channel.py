"""What a supervisor and a worker tell each other, over two pipes.

The worker writes single bytes into the status pipe: that it is ready, that its hub turns, that it wants a successor.
The supervisor writes into the control pipe that a successor has taken over, or that there will be none. The end of
either is a message too: the other process is gone. One byte at a time, a message is never torn and the order is that of
the writes.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final, NamedTuple

# Set for a worker: the descriptors of its ends, and its place on the load board. Not HUBLET_..., those are settings.
VARIABLE: Final = "_HUBLET_WORKER"

# From the worker.
READY: Final = b"r"  # serves requests
TURNING: Final = b"t"  # its hub turns; sent every HEARTBEAT seconds
RECYCLE: Final = b"c"  # has reached a limit (requests, memory): wants to be replaced; sent until it is
LEAVING: Final = b"l"  # was told to leave, and not by the supervisor
# From the supervisor.
SUCCEEDED: Final = b"s"  # a successor serves: finish what is in flight and leave
ENDING: Final = b"e"  # the end has come for all: the signal that follows is the supervisor's, and nobody succeeds

HEARTBEAT: Final = 1.0  # seconds


class WorkerEnds(NamedTuple):
    """A worker's ends of the pipes and the load board, by descriptor, and its place on that."""

    status: int
    control: int
    board: int
    place: int


def hand_down_ends(ends: WorkerEnds) -> dict[str, str]:
    """The variable that tells a worker its ends."""
    return {VARIABLE: ",".join(map(str, ends))}


def inherit_ends(environ: MutableMapping[str, str] = os.environ) -> WorkerEnds | None:
    """Take over what the supervisor has handed down, or None in a process that no supervisor started.

    The variable is removed, and no process that the application starts inherits the descriptors.
    """
    text = environ.pop(VARIABLE, None)
    if text is None:
        return None
    ends = WorkerEnds(*map(int, text.split(",")))
    for descriptor in ends[:3]:
        os.set_inheritable(descriptor, False)
    return ends


def tell(descriptor: int, message: bytes) -> None:
    """Write a message; nothing happens when the other process is gone or has not read for very long."""
    with suppress(BrokenPipeError, BlockingIOError):
        os.write(descriptor, message)
