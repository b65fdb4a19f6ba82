"""In a process that `--watch` runs: watches its hub, and tells the doctor of each block over a named pipe.

`begin` is called by a sitecustomize module that the doctor puts on the path, so that any Python command can be watched,
its worker processes included. The watch begins when the main thread's hub first turns, and again in each forked child.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any, Final

from gevent import monkey
from gevent.hub import Hub

from ..runtime.hub_watch import Block, HubWatch

#: The pipe's path. The underscore: it is no setting.
VARIABLE: Final = "_HUBLET_DOCTOR_WATCH"
#: The libraries that the doctor knows a remedy for, their top-level modules with commas between.
KNOWN_VARIABLE: Final = "_HUBLET_DOCTOR_KNOWN"
#: Longer messages might be mixed with those of other processes (PIPE_BUF of Linux).
MOST_BYTES: Final = 4096
get_ident: Any = monkey.get_original("_thread", "get_ident")


class Watched:
    """The watch of this process: of the hub of the thread that made it, the main thread."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._thread = get_ident()
        self._watch: HubWatch | None = None
        self._hub: Any = None

    def hub_made(self, hub: Any) -> None:
        """Watch a hub from its first turn on, if it is the main thread's."""
        if get_ident() == self._thread:
            self._hub = hub
            hub.loop.run_callback(self._start, hub)

    def forked(self) -> None:
        """In a child: the thread that watched is gone. Its hub may be used further, or another one made."""
        if self._watch is not None:
            with suppress(Exception):
                self._watch.stop()
            self._watch = None
            self.hub_made(self._hub)

    def _start(self, hub: Any) -> None:
        if self._watch is None and hub is self._hub:
            self._watch = HubWatch(on_block=self.tell)
            self._watch.start()

    def tell(self, block: Block) -> None:
        """Write a block into the pipe; it is lost if nobody reads or the pipe is full."""
        stack = [list(each) for each in block.stack]
        loaded = [each for each in os.environ.get(KNOWN_VARIABLE, "").split(",") if each in sys.modules]
        while True:
            message = {"line": list(block.line), "seconds": block.seconds, "stack": stack, "loaded": loaded}
            data = json.dumps(message).encode() + b"\n"
            if len(data) <= MOST_BYTES or not stack:
                break
            del stack[-(len(stack) // 4 or 1) :]
        with suppress(OSError):
            os.write(self._pipe, data[:MOST_BYTES])


def begin() -> None:
    """Have this process's hub watched when there is one, and run the sitecustomize module that stands behind ours."""
    path = os.environ.get(VARIABLE)
    if path:
        with suppress(OSError):
            watch_hubs(Watched(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)))
    run_next_sitecustomize()


def watch_hubs(watched: Watched) -> None:
    """Learn of each hub that is made, and of each fork."""
    make: Any = Hub.__init__

    def init(self: Any, *args: Any, **keywords: Any) -> None:
        make(self, *args, **keywords)
        watched.hub_made(self)

    Hub.__init__ = init
    os.register_at_fork(after_in_child=watched.forked)


def run_next_sitecustomize() -> None:
    """Run the one that the interpreter would have run, if there is one."""
    ours = os.path.dirname(os.environ.get(VARIABLE, ""))
    spec = PathFinder.find_spec("sitecustomize", [each for each in sys.path if each != ours])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))
