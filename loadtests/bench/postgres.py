"""A private PostgreSQL from Debian's packages: on a free port, as a user that is not root, in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .apps.postgres import DSN_FILE, ROWS
from .errors import UsageError
from .launch import HOST, free_port, last_lines
from .signals import signals_held

USER: Final = "postgres"  # made by Debian's package; PostgreSQL refuses to run as root
MISSING: Final = "PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql"
START_SECONDS: Final = 20.0
SETTINGS: Final = ("fsync=off", "max_connections=100", f"listen_addresses={HOST}", "autovacuum=off")
TABLE: Final = (
    f"CREATE TABLE thing AS SELECT id, 'thing ' || id AS name FROM generate_series(1, {ROWS}) AS id; "
    "ALTER TABLE thing ADD PRIMARY KEY (id)"
)


def programs() -> Path | None:
    """The folder of the newest PostgreSQL's programs, which Debian keeps off PATH, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def other_user() -> dict[str, Any]:
    """Arguments of Popen that make it another user's process where this one is root's."""
    if os.geteuid():
        return {}
    account = pwd.getpwnam(USER)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def postgres(directory: Path, core: int) -> Iterator[None]:
    """Run PostgreSQL on `core` for the `with` block, with a table, and write where it is into `directory`."""
    found = programs()
    if found is None:
        raise UsageError(MISSING)
    home = Path(tempfile.mkdtemp(prefix="hublet-postgres-"))
    who = other_user()
    try:
        if who:
            os.chown(home, who["user"], who["group"])
        run_tool([str(found / "initdb"), "-D", str(home / "data"), "-U", USER, "--auth=trust", "--no-sync"], home, who)
        with server(found, home, core, who) as port:
            psql = [str(found / "psql"), "-h", HOST, "-p", str(port), "-U", USER, "-d", "postgres", "-q", "-c", TABLE]
            wait_until_table(psql, home, who)
            (directory / DSN_FILE).write_text(f"host={HOST} port={port} user={USER} dbname=postgres")
            yield
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run_tool(command: list[str], home: Path, who: dict[str, Any]) -> None:
    """Run a program to its end. Raises UsageError with its words."""
    run = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, **who)
    if run.returncode:
        raise UsageError(f"{Path(command[0]).name}: {run.stderr.strip()[-500:]}")


@contextmanager
def server(found: Path, home: Path, core: int, who: dict[str, Any]) -> Iterator[int]:
    """Run the server for the `with` block, and give its port."""
    port = free_port()
    options = [part for setting in (*SETTINGS, f"unix_socket_directories={home}") for part in ("-c", setting)]
    command = ["taskset", "-c", str(core), str(found / "postgres"), "-D", str(home / "data"), "-p", str(port), *options]
    with signals_held(), (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log, start_new_session=True, **who)
    try:
        yield port
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_table(psql: list[str], home: Path, who: dict[str, Any]) -> None:
    """Make the table as soon as the server answers. Raises UsageError if it does not in time."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            run_tool(psql, home, who)
            return
        except UsageError as error:
            if time.monotonic() > deadline:
                raise UsageError(f"{error}; {last_lines(home / 'log')}") from error
            time.sleep(0.1)
