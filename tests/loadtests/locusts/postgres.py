"""A PostgreSQL of its own on a Unix socket, for one test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.served_process import wait_until

# Where Debian puts what is not for users' PATH.
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def program(name: str) -> str:
    """Where a program of PostgreSQL is. It must be there: tests/install-packages.sh."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, FOLDERS), os.environ["PATH"]]))
    assert found, f"PostgreSQL's {name} is missing: run tests/install-packages.sh"
    return found


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server; yields the connection string."""
    # It refuses to run as root. A short path of its own, since those of Unix sockets are bounded.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    options = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = str(folder / "data")
        made = subprocess.run(
            [program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
            cwd=folder, capture_output=True, text=True, **options,  # type: ignore[call-overload]
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [program("postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options,  # type: ignore[call-overload]
            )  # fmt: skip
        try:
            wait_until(lambda: b"ready to accept" in (folder / "log").read_bytes(), (folder / "log").read_text)
            yield f"host={folder} user=postgres dbname=postgres"
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
