"""One server's life: started on a free port and its core, waited for, checked, and ended with all its processes.

A server leads a session of its own, so every process that it starts can be found, measured and ended by that session's
id, and nothing else is ever signalled.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid
from string import Template
from typing import Final

from ..private.process import free_port
from .errors import RoundFailed
from .servers.server import HUBLET, PEERS, SEARCH_PATH, Server
from .signals import signals_held

HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).resolve().parents[2]
ANSWER_SECONDS: Final = 15.0
STOP_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.005


def get(port: int, path: str) -> tuple[int, bytes]:
    """Fetch a path over a connection of its own: its status and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Probe:
    """A request whose right answer is known: `ask` makes it for `path`, and gets this `status` and whole `body`.

    `ask` raises OSError or HTTPException where the server does not answer yet.
    """

    path: str
    body: bytes
    status: int = 200
    ask: Callable[[int, str], tuple[int, bytes]] = get


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers, `start_seconds` after it was started. `directory` holds the case's files."""

    name: str
    port: int
    pid: int
    directory: Path
    start_seconds: float = 0.0

    @property
    def host(self) -> str:
        """The address that the server listens on."""
        return HOST

    def url(self, path: str = "/") -> str:
        """Give the URL of a path on the server."""
        return f"http://{HOST}:{self.port}{path}"

    def resident_bytes(self) -> int:
        """Resident user-space memory of the server's processes together. Raises RoundFailed if one ends meanwhile."""
        try:
            return sum(resident_bytes(pid) for pid in session_members(self.pid))
        except OSError as error:
            raise RoundFailed(f"a process of the server ended while its memory was read: {error}") from error

    def processor_seconds(self) -> float:
        """Time that the server's processes have computed so far. Raises RoundFailed if one ends meanwhile."""
        try:
            return sum(processor_seconds(pid) for pid in session_members(self.pid))
        except OSError as error:
            raise RoundFailed(f"a process of the server ended while its time was read: {error}") from error


@contextmanager
def running(server: Server, app: str, directory: Path, core: int, probe: Probe) -> Iterator[Running]:
    """Run `server` with `app` on `core` for the `with` block, which starts once `probe` has been answered rightly.

    Raises RoundFailed, with the end of the server's output, where it does not come to that.
    """
    port = free_port()
    values = template_values(app, directory, port)
    for name, text in server.files.items():
        (directory / name).write_text(Template(text).substitute(values))
    command = ["taskset", "-c", str(core), *(Template(part).substitute(values) for part in server.command)]
    log = directory / f"{server.name.replace(' ', '-')}.log"
    with ExitStack() as started:
        begun = time.monotonic()
        with signals_held(), log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, env={**os.environ, "PATH": SEARCH_PATH, "BENCH_DIRECTORY": str(directory)},
            )  # fmt: skip
            started.callback(end_session, process)
        wait_until_right(process, port, probe, log, server.start_seconds)
        yield Running(server.name, port, process.pid, directory, time.monotonic() - begun)
        if has_ended(process.pid):
            raise RoundFailed(f"the server ended during the round: {last_lines(log)}")


def template_values(app: str, directory: Path, port: int) -> dict[str, str]:
    """Give what the names in a server's command and files stand for."""
    module, _, attribute = app.partition(":")
    return {
        "python": HUBLET, "peers": PEERS, "scripts": str(Path(PEERS).parent), "host": HOST,
        "port": str(port), "app": app, "module": module, "attribute": attribute, "directory": str(directory),
        "user": getpwuid(os.geteuid()).pw_name,
        "group": getgrgid(os.getegid()).gr_name,
    }  # fmt: skip


def wait_until_right(process: subprocess.Popen[bytes], port: int, probe: Probe, log: Path, seconds: float) -> None:
    """Ask until the server answers. Raises RoundFailed for a wrong answer, for none in time, and if it ends."""
    deadline = time.monotonic() + seconds
    while True:
        if has_ended(process.pid):
            raise RoundFailed(f"the server ended before it answered: {last_lines(log)}")
        try:
            status, body = probe.ask(port, probe.path)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise RoundFailed(f"no answer within {seconds:g} s ({error}): {last_lines(log)}") from error
            time.sleep(POLL_SECONDS)
            continue
        if (status, body) != (probe.status, probe.body):
            raise RoundFailed(f"wrong answer to {probe.path}: {status} {body[:80]!r}, expected {probe.body[:80]!r}")
        return


def has_ended(pid: int) -> bool:
    """Whether our child has ended. It is not reaped: until that is done, its id cannot become another process's."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End the server's process group: SIGTERM, a bounded wait, SIGKILL for whatever is left.

    The next server must not share its core with the rest of this one, so that all of it is waited for.
    """
    os.killpg(process.pid, signal.SIGTERM)
    wait_while(lambda: not has_ended(process.pid))
    os.killpg(process.pid, signal.SIGKILL)
    wait_while(lambda: bool(session_members(process.pid)))
    process.wait()


def wait_while(condition: Callable[[], bool]) -> None:
    """Wait as long as a condition holds, but not longer than a server may take to stop."""
    deadline = time.monotonic() + STOP_SECONDS
    while condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def session_members(session: int) -> list[int]:
    """The processes of a session, by /proc/PID/stat; its sixth field is the session (the second may hold spaces)."""
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended since the directory was listed
        if int(fields[3]) == session and fields[0] != "Z":
            members.append(int(entry.name))
    return members


def resident_bytes(pid: int) -> int:
    """Rss of /proc/PID/smaps_rollup, which is exact; VmRSS of /proc/PID/status lags by up to some pages a thread."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise RoundFailed(f"/proc/{pid}/smaps_rollup has no Rss line")


def processor_seconds(pid: int) -> float:
    """The utime and stime of /proc/PID/stat, its fields 14 and 15 (the second may hold spaces)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last_lines(log: Path, count: int = 3) -> str:
    """Give the end of a server's output in one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it printed nothing"
