"""`--self-test`: measures waits of the standard library against stand-ins on this machine."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

from .findings import Measured
from .measuring import LENGTH, OPERATIONS, Probe, measure


def self_test(operations: int = OPERATIONS) -> list[Measured]:
    """Measure each of them."""
    with tempfile.TemporaryDirectory(prefix="hublet-doctor-") as directory, stand_in() as port:
        return [measure(each, operations) for each in probes(Path(directory), port)]


@contextmanager
def stand_in() -> Iterator[int]:
    """Run the other side; give its port."""
    command = [sys.executable, "-m", "hublet.doctor.stand_in", str(LENGTH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the stand-in has no pipes")
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait()


def probes(directory: Path, port: int) -> list[Probe]:
    """The operations, each of which takes LENGTH seconds elsewhere."""
    url = f"http://127.0.0.1:{port}"
    numbers = count()

    def new_path() -> Path:
        path = directory / f"{next(numbers)}"
        path.touch()
        return path

    def new_database() -> Path:
        path = directory / f"{next(numbers)}.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (x)")
        connection.close()
        return path

    return [
        Probe("time.sleep", lambda _: time.sleep(LENGTH)),
        Probe("socket", lambda _: ask(port)),
        Probe("urllib.request", lambda _: get(f"{url}/")),
        Probe("subprocess.run", lambda _: subprocess.run(["sleep", str(LENGTH)], check=True)),
        Probe("os.system", lambda _: os.system(f"sleep {LENGTH}")),  # noqa: S605 - a constant
        Probe("fcntl.flock", lambda path: lock_file(url, path), new_path),
        Probe("sqlite3, a locked database", lambda path: write(url, path), new_database),
    ]


def ask(port: int) -> None:
    """A request over a bare socket."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while connection.recv(4096):
            pass


def get(url: str) -> None:
    """A request as an application makes it."""
    with urllib.request.urlopen(url) as response:  # noqa: S310 - a constant scheme
        response.read()


def lock_file(url: str, path: Path) -> None:
    """Wait for a lock that the other side holds."""
    get(f"{url}/hold/{quote(str(path), safe='')}")
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def write(url: str, path: Path) -> None:
    """Wait for a database that the other side has locked."""
    get(f"{url}/lock/{quote(str(path), safe='')}")
    connection = sqlite3.connect(path, timeout=30)
    try:
        with connection:
            connection.execute("INSERT INTO t VALUES (1)")
    finally:
        connection.close()
