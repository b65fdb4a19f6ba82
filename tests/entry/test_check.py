"""`hublet check`: what it finds, and its exit status; the options are those of docs/running.rst."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.entry.conftest import Start

ADDRESS = ("--bind", "127.0.0.1:0")


def test_a_server_that_would_start(command: Start, tmp_path: Path) -> None:
    running = command(
        "check", "shop:app", *ADDRESS, "--bind", "unix:app.sock", "--log-file", "log", "--env", "A=s3cret"
    )
    assert running.wait() == 0
    assert "application: shop:app is the function shop.app(environ, start_response)\n" in running.output
    assert "address: unix:app.sock can be listened on\n" in running.output
    assert "s3cret" not in running.output
    assert running.output.endswith("nothing would keep the server from starting\n")
    assert sorted(each for each in os.listdir(tmp_path) if not each.startswith("__")) == ["shop.py"]


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (("no_such_module",), 1, "application: PROBLEM: cannot load the application 'no_such_module'"),
        (("shop", "--bind", "unix:no/app.sock"), 1, "address: PROBLEM: cannot listen on unix:no/app.sock"),
        (("shop", "--user", "nosuch"), 2, "user: PROBLEM: user = 'nosuch'"),
        (("shop", "--env-file", "no"), 2, "variables: PROBLEM: env_file = 'no'"),
        (("shop", "--log-file", "no/log"), 2, "it cannot be made in no"),
        (("shop", "--chdir", "no"), 2, "directory: PROBLEM: chdir = 'no'"),
    ],
)
def test_a_server_that_would_not(command: Start, arguments: tuple[str, ...], status: int, words: str) -> None:
    running = command("check", *arguments, *(() if "--bind" in arguments else ADDRESS))
    assert running.wait() == status
    assert words in running.output
    assert running.output.endswith("the server would not start\n")
    assert running.errors == ""


def test_a_port_in_use_does_not_hide_the_rest(command: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        running = command("check", "no_such_module", "--bind", f"127.0.0.1:{holder.getsockname()[1]}")
        assert running.wait() == 1
    assert running.output.count("PROBLEM") == 2


def test_a_setting_that_cannot_be_used(command: Start) -> None:
    running = command("check", "shop", "--grace", "soon")
    assert running.wait() == 2
    assert "must be a number" in running.errors
