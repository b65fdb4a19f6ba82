"""`hublet --workers`: opens the listeners, keeps worker processes running on them, and executes itself anew if asked.

The supervisor never imports the application. Its workers run its own command line, each from the beginning, so a reload
brings the code, the settings file and the environment that are there then.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Final

from .servers.error_log import error_logging
from .servers.listeners import hand_down, inherit, listener_url, open_listeners
from .servers.load_board import LoadBoard, make_board
from .servers.settings_sources import SourcedSettings
from .servers.supervisor.supervisor import Rules, Supervisor, log
from .servers.supervisor.worker import Worker, start_worker
from .serving import announce, open_error_log, raise_descriptor_limit, stop_signals

# Set across an execution of the supervisor by itself: what it needs to know of its workers.
SUCCESSION_VARIABLE: Final = "_HUBLET_SUCCESSION"
SIGNALS: Final = (
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def run_supervisor(sourced: SourcedSettings, target: str) -> int:
    """Run workers until a signal ends them. Returns the exit status; raises ListenError."""
    settings = sourced.settings
    command = [sys.executable, *sys.orig_argv[1:]]
    succession = json.loads(os.environ.pop(SUCCESSION_VARIABLE, "{}"))
    with ExitStack() as stack:
        errors = stack.enter_context(closing(open_error_log()))
        stack.enter_context(error_logging(settings.log_level, errors.write))
        raise_descriptor_limit()
        listeners = open_listeners(settings.bind, settings.backlog, inherit())
        for listener in listeners.values():
            stack.callback(listener.close)
        variables, descriptors = hand_down(listeners)
        board = succession.get("board") or make_board()
        stack.callback(os.close, board)
        for descriptor in (*descriptors, board):
            os.set_inheritable(descriptor, True)
        count = settings.workers or len(os.sched_getaffinity(0))
        rules = Rules(count, settings.grace, settings.startup_timeout, settings.worker_timeout)
        supervisor = Supervisor(rules, partial(start_worker, command, variables, board))
        supervisor.on_end = partial(clear_place, LoadBoard(board))
        for fields in succession.get("workers", ()):
            supervisor.adopt(Worker(*fields, supervisor))
        stack.enter_context(stop_signals(supervisor.signalled, *SIGNALS))
        os.kill(os.getpid(), signal.SIGCHLD)  # for one that ended while nobody waited
        scheme = "https" if settings.has_tls else "http"
        announce(sourced, target, [listener_url(each, scheme) for each in listeners.values()])
        supervisor.begin_generation()
        while (status := supervisor.run()) is None:
            if can_execute():
                log.info("SIGUSR2: executing the supervisor anew")
                errors.close()
                execute(command, variables, board, supervisor.workers)
        return status


def clear_place(board: LoadBoard, worker: Worker) -> None:
    """A worker has ended: it has no connections."""
    board.clear(worker.place)


def can_execute() -> bool:
    """Whether what is installed now starts at all; the reason goes to the log."""
    trial = subprocess.run([sys.executable, "-m", "hublet", "--version"], capture_output=True, text=True, check=False)
    if trial.returncode:
        log.error("SIGUSR2 is ignored: the installed hublet does not start: %s", trial.stderr.strip()[-500:])
    return trial.returncode == 0


def execute(command: Sequence[str], variables: Mapping[str, str], board: int, workers: Sequence[Worker]) -> None:
    """Become a new supervisor, with the listeners and the workers of this one. Does not return."""
    for worker in workers:
        for descriptor in (worker.status, worker.control):
            os.set_inheritable(descriptor, True)
    fields = [(each.pid, each.status, each.control, each.generation, each.place) for each in workers]
    succession = {SUCCESSION_VARIABLE: json.dumps({"board": board, "workers": fields})}
    os.execve(sys.executable, [*command], {**os.environ, **variables, **succession})
