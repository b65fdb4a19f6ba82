"""A private PostgreSQL on a free port, in a folder of its own that is removed at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.served_process import free_port

SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "150",
    "max_prepared_transactions": "10",  # two-phase commit
    "shared_buffers": "16MB",
}


@dataclass(frozen=True)
class PostgreSQL:
    """Where the server listens. Everybody is trusted."""

    port: int
    host: str = "127.0.0.1"
    user: str = "postgres"
    dbname: str = "postgres"

    @property
    def dsn(self) -> str:
        return f"host={self.host} port={self.port} user={self.user} dbname={self.dbname}"


def program(name: str) -> str:
    """One of the server's programs: Debian keeps them out of the PATH."""
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    assert found, f"{name} is missing: tests/install-packages.sh installs PostgreSQL"
    return found


def run(folder: Path, *command: str) -> None:
    """Run a program, as postgres where we are root: the server refuses to be."""
    as_user = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    done = subprocess.run([*as_user, *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stdout}{done.stderr}"


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="hublet-postgresql-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    data = str(folder / "data")
    try:
        run(folder, program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        with (folder / "data" / "postgresql.conf").open("a") as configuration:
            for name, value in SETTINGS.items():
                configuration.write(f"{name} = '{value}'\n")
        server = PostgreSQL(free_port())
        options = f"-p {server.port} -k {folder}"
        run(folder, program("pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield server
        finally:
            run(folder, program("pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
