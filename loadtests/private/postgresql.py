"""A PostgreSQL server of one's own, where everybody is trusted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .process import folder, free_port, program, unprivileged

PACKAGE: Final = "postgresql"
# Where Debian puts its programs, which are not for users' PATH: those of the newest version first.
PLACES: Final = sorted(
    map(str, Path("/usr/lib/postgresql").glob("*/bin")), key=lambda path: float(path.split("/")[-2]), reverse=True
)
SETTINGS: Final = {
    "fsync": "off",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "150",
    "max_prepared_transactions": "10",  # two-phase commit
    "shared_buffers": "16MB",
}


@dataclass(frozen=True)
class PostgreSQL:
    """Where the server listens."""

    port: int
    host: str = "127.0.0.1"
    user: str = "postgres"
    dbname: str = "postgres"

    @property
    def dsn(self) -> str:
        """What libpq is to be told."""
        return f"host={self.host} port={self.port} user={self.user} dbname={self.dbname}"

    def execute(self, statements: str) -> None:
        """Execute statements by psql."""
        run([program("psql", PACKAGE, *PLACES), "-q", "-v", "ON_ERROR_STOP=1", "-d", self.dsn, "-c", statements])


def run(command: list[str], place: Path | None = None) -> None:
    """Run one of its programs to its end. Raises RuntimeError with its words."""
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")


def is_installed() -> bool:
    """Whether its programs are there."""
    try:
        return bool(program("initdb", PACKAGE, *PLACES))
    except FileNotFoundError:
        return False


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Run a server with a fresh data folder."""
    with folder() as place:
        data, log = str(place / "data"), str(place / "log")
        initialise, control = (program(name, PACKAGE, *PLACES) for name in ("initdb", "pg_ctl"))
        accounts = ["-U", "postgres", "-A", "trust"]
        run(unprivileged([initialise, "-D", data, *accounts, "-E", "UTF8", "--no-locale", "-N"]), place)
        server = PostgreSQL(free_port())
        settings = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        options = f"-p {server.port} -k {place} {settings}"
        run(unprivileged([control, "-D", data, "-w", "-o", options, "-l", log, "start"]), place)
        try:
            yield server
        finally:
            stop = unprivileged([control, "-D", data, "-m", "immediate", "-w", "stop"])
            subprocess.run(stop, cwd=place, capture_output=True, check=False)  # it may have ended by itself
