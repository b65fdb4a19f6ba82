"""`hublet --workers`: opens the listeners, keeps worker processes running on them, and executes itself anew if asked.

The supervisor never imports the application. Its workers run its own command line, each from the beginning, so a reload
brings the code, the settings file and the environment that are there then.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from .gunicorn_hooks import AGE_VARIABLE, Hooks
from .logs import Logs, open_logs
from .process import enter_directory, pidfile, socket_access, title
from .servers.listeners import hand_down, listener_url, open_listeners
from .servers.load_board import LoadBoard, make_board
from .servers.settings import Settings
from .servers.settings_sources import SourcedSettings
from .servers.supervisor.supervisor import Rules, Supervisor, log
from .servers.supervisor.worker import Events, State, Worker, start_worker
from .servers.systemd import ServiceManager
from .servers.unix_sockets import UnixListener, claim_again
from .serving import announce, raise_descriptor_limit, stop_signals, watched_lifeline

# Set for a trial: the process reads its settings, and ends.
TRIAL_VARIABLE: Final = "_HUBLET_TRIAL"
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


def run_supervisor(
    sourced: SourcedSettings,
    target: str,
    inherited: Mapping[str, socket.socket],
    hooks: Hooks | None = None,
    lifeline: int | None = None,
) -> int:
    """Run workers until a signal ends them. Returns the exit status; raises SettingsError or ListenError.

    `lifeline` is the read end of a pipe whose end of file means what SIGTERM means.
    """
    settings = sourced.settings
    manager = ServiceManager()
    hooks = hooks or Hooks()
    start = partial(start_worker, [sys.executable, *sys.orig_argv[1:]], Path.cwd())
    succession = json.loads(os.environ.pop(SUCCESSION_VARIABLE, "{}"))
    with ExitStack() as stack:
        enter_directory(sourced)
        logs = stack.enter_context(open_logs(sourced))
        for warning in (*sourced.warnings, *title(sourced, "supervisor")):
            log.warning("%s", warning)
        raise_descriptor_limit()
        hooks.are_workers_serving = bool(succession)
        stack.enter_context(hooks.master())
        files = succession.get("files", {})
        inherited = {
            bind: claim_again(each, files[bind]) if bind in files else each for bind, each in inherited.items()
        }
        listeners = open_listeners(settings.bind, settings.backlog, inherited, socket_access(sourced))
        for listener in listeners.values():
            stack.callback(listener.close)
        stack.enter_context(pidfile(sourced))
        variables, descriptors = hand_down(listeners)
        board = succession.get("board") or make_board()
        stack.callback(os.close, board)
        for descriptor in (*descriptors, board):
            os.set_inheritable(descriptor, True)
        supervisor = Supervisor(rules_of(settings), partial(start_hooked, hooks, start, variables, board))
        supervisor.on_end = partial(worker_ended, LoadBoard(board), hooks)
        supervisor.on_reload = partial(reloading, manager, hooks)
        supervisor.on_serving = partial(manager.ready, f"serves {target}")
        supervisor.on_ending = partial(manager.stopping, "finishes requests")
        for pid, status_end, control_end, generation, place, state in succession.get("workers", ()):
            worker = Worker(pid, status_end, control_end, generation, place, supervisor)
            supervisor.adopt(worker, State(state))
        take = partial(signalled, supervisor, logs, hooks)
        stack.enter_context(stop_signals(take, *SIGNALS))
        if lifeline is not None:
            stack.enter_context(watched_lifeline(lifeline, take))
        os.kill(os.getpid(), signal.SIGCHLD)  # for one that ended while nobody waited
        scheme = "https" if settings.has_tls else "http"
        announce(sourced, target, [listener_url(each, scheme) for each in listeners.values()])
        stack.enter_context(manager.watched())
        hooks.call("when_ready", hooks.server)
        supervisor.begin_generation()
        while (status := supervisor.run()) is None:
            if can_execute(start, settings.startup_timeout) and supervisor.catch_up():
                log.info("SIGUSR2: executing the supervisor anew")
                logs.errors.close()
                succession = {"board": board, "workers": supervisor.workers, "files": claimed_files(listeners)}
                execute(start, {**variables, **manager.variables}, succession)
        return status


def rules_of(settings: Settings) -> Rules:
    """The part of the settings that is about workers."""
    count = settings.workers or len(os.sched_getaffinity(0))
    return Rules(count, settings.grace, settings.startup_timeout, settings.worker_timeout)


def signalled(supervisor: Supervisor, logs: Logs, hooks: Hooks, number: int) -> None:
    """Take a signal; that for opening log files anew is for this process and for the workers."""
    if number == signal.SIGUSR1:
        logs.reopen()
    supervisor.signalled(number)
    hooks.signalled(number)


def start_hooked(
    hooks: Hooks,
    start: Callable[..., Worker],
    variables: Mapping[str, str],
    board: int,
    generation: int,
    place: int,
    events: Events,
) -> Worker:
    """Start a worker, with the hooks around it. Raises OSError, or ApplicationLoadError for a hook that fails."""
    told = hooks.before_worker()
    worker = start({**variables, AGE_VARIABLE: str(told.age)}, board, generation, place, events)
    hooks.worker_started(told, worker.pid)
    return worker


def worker_ended(board: LoadBoard, hooks: Hooks, worker: Worker) -> None:
    """A worker has ended: it has no connections."""
    board.clear(worker.place)
    hooks.worker_ended(worker.pid)


def reloading(manager: ServiceManager, hooks: Hooks) -> None:
    """A reload begins."""
    manager.reloading("starts a new generation of workers")
    hooks.call("on_reload", hooks.server)


def can_execute(start: partial[Worker], timeout: float) -> bool:
    """Whether what is installed now starts at all, and reads its settings; the reason goes to the log."""
    command, directory = start.args
    try:
        trial = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, TRIAL_VARIABLE: "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("SIGUSR2 is ignored: %s", error)
        return False
    if trial.returncode:
        log.error("SIGUSR2 is ignored: hublet would not start: %s", trial.stderr.strip()[-500:])
    return trial.returncode == 0


def claimed_files(listeners: Mapping[str, socket.socket]) -> dict[str, str]:
    """The files of Unix sockets that this process is to remove, by their addresses."""
    paths = {bind: each.claimed_path() for bind, each in listeners.items() if isinstance(each, UnixListener)}
    return {bind: path for bind, path in paths.items() if path is not None}


def execute(start: partial[Worker], variables: Mapping[str, str], succession: Mapping[str, Any]) -> None:
    """Become a new supervisor, with what this one has: listeners, workers, board. Does not return."""
    command, directory = start.args
    for worker in succession["workers"]:
        for descriptor in (worker.status, worker.control):
            os.set_inheritable(descriptor, True)
    fields = [
        (each.pid, each.status, each.control, each.generation, each.place, each.state.value)
        for each in succession["workers"]
    ]
    text = json.dumps({**succession, "workers": fields})
    os.chdir(directory)
    os.execve(sys.executable, [*command], {**os.environ, **variables, SUCCESSION_VARIABLE: text})  # noqa: S606
