"""A RabbitMQ of one's own, which knows no other: its name service, epmd, is private, too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import PATIENCE, accepts, folder, free_port, program, running, unprivileged

PACKAGE = "rabbitmq-server"
# Debian's wrapper of it, on the PATH, runs it as its system service.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONFIGURATION = """
log.console.level = warning
disk_free_limit.absolute = 1MB
"""


@contextmanager
def rabbitmq_server() -> Iterator[int]:
    """Run RabbitMQ; yield its port, where guest with the password guest may do everything."""
    if not SERVER.exists():
        raise FileNotFoundError(f"{SERVER} is not installed: run tests/install-packages.sh, or install {PACKAGE}")
    port, names, distribution = (free_port() for _ in range(3))
    with folder() as place:
        (place / "rabbitmq.conf").write_text(CONFIGURATION)
        variables = {
            "HOME": place,  # Erlang writes its cookie there
            "ERL_EPMD_PORT": names,
            "RABBITMQ_NODENAME": f"hublet{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": port,
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1",
            "RABBITMQ_MNESIA_BASE": place / "mnesia",
            "RABBITMQ_LOG_BASE": place / "log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": place / "rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": place / "none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": place / "plugins",  # none
            "RUNNING_UNDER_SYSTEMD": "1",  # its script becomes the server, instead of waiting for it
        }
        epmd = [program("epmd", PACKAGE), "-port", str(names), "-address", "127.0.0.1"]
        server = ["env", "-C", str(place), *(f"{name}={value}" for name, value in variables.items()), str(SERVER)]
        with (
            running(unprivileged(epmd), lambda: accepts(names), place / "epmd-log"),
            running(unprivileged(server), lambda: accepts(port), place / "server-log"),
        ):
            yield port
        wait_for_the_end_of_processes_in(place)


def wait_for_the_end_of_processes_in(place: Path) -> None:
    """Wait for what an ended server had started. Raises AssertionError if that stays."""
    deadline = time.monotonic() + PATIENCE
    while left := processes_in(place):
        assert time.monotonic() < deadline, f"RabbitMQ left processes behind: {left}"
        time.sleep(0.05)


def processes_in(place: Path) -> list[str]:
    """The command lines of the processes whose environment names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"={place}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass  # another user's, or just ended
    return found
