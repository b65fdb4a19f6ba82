"""A MariaDB server of one's own, with a database `test` and a user `hublet` who may do everything in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .process import accepts, folder, free_port, program, running, unprivileged

PACKAGE = "mariadb-server-core and mariadb-client-core"
SETTING_UP = """
CREATE DATABASE IF NOT EXISTS test;
CREATE USER hublet@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO hublet@'%';
CREATE TABLE test.things (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50) UNIQUE, data LONGBLOB) ENGINE=InnoDB;
"""


@dataclass(frozen=True)
class MariaDB:
    """Where the server is."""

    port: int
    socket: str


@contextmanager
def mariadb_server() -> Iterator[MariaDB]:
    """Run a server with a fresh data folder."""
    with folder() as place:
        install, server = program("mariadb-install-db", PACKAGE), program("mariadbd", PACKAGE)
        data, address = place / "data", MariaDB(free_port(), str(place / "socket"))
        setup = place / "setup.sql"
        setup.write_text(SETTING_UP)
        subprocess.run(
            unprivileged([install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                          "--skip-test-db", "--skip-name-resolve"]),
            cwd=place, check=True, capture_output=True,
        )  # fmt: skip
        command = [
            server, "--no-defaults", f"--datadir={data}", f"--socket={address.socket}", f"--port={address.port}",
            "--bind-address=127.0.0.1", f"--pid-file={place / 'pid'}", f"--init-file={setup}", "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--max-connections=200",
            "--local-infile=1", "--skip-name-resolve", "--innodb-log-file-size=8M",
        ]  # fmt: skip
        with running(
            unprivileged(command), lambda: Path(address.socket).exists() and accepts(address.port), place / "log"
        ):
            yield address
