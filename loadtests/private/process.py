"""Starts servers of one's own, on free ports of the loopback interface and not as root, and ends them."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 60.0  # seconds until a server must answer
ACCOUNT = "nobody"
PORTS = range(20_000, 32_000)  # below those that Linux gives to connections, and to who asks for any port


def free_port() -> int:
    """A port on which nothing listens, and that the system gives to nobody by itself before the server has it."""
    while True:
        port = secrets.choice(PORTS)  # not by `random`, which tests seed
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def program(name: str, package: str, *places: str) -> str:
    """The path of a server's program, also in these folders. Raises FileNotFoundError with its Debian package."""
    path = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: run tests/install-packages.sh, or install {package}")
    return path


def unprivileged(command: Sequence[str]) -> list[str]:
    """The command that becomes another, run by somebody who is not root: signals reach it without a go-between."""
    if os.geteuid() != 0:
        return list(command)
    group = str(pwd.getpwnam(ACCOUNT).pw_gid)
    return ["setpriv", "--reuid", ACCOUNT, "--regid", group, "--clear-groups", "--", *command]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the server's account owns. Its path is short: sockets of a server lie in it."""
    with tempfile.TemporaryDirectory(prefix="hublet-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            shutil.chown(name, ACCOUNT)
        yield Path(name)


def accepts(port: int) -> bool:
    """Whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: Sequence[str], is_up: Callable[[], bool], log: Path) -> Iterator[None]:
    """Run a server until the block ends; it is entered when the server is up. Raises RuntimeError if it never is."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not come up: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
