"""The command line: what it accepts, what it explains, and with which status it ends."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path

import hublet
import pytest
from hublet import cli
from hublet.servers.settings_sources import OPTIONS

from tests.entry.conftest import Start, get


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process, for what ends before a server starts."""
    try:
        status = cli.main(arguments)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0
    output, errors = capsys.readouterr()
    return status, output, errors


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, without hublet's variables and with sys.path restored."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("HUBLET_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize(
    "arguments, command, target, config, given",
    [
        (["a:b"], "serve", "a:b", None, {}),
        (["serve", "a:b"], "serve", "a:b", None, {}),
        (["check", "a:b", "--grace", "1"], "check", "a:b", None, {"grace": "1"}),
        (["serve", "serve"], "serve", "serve", None, {}),
        (["--reload", "serve", "--grace", "1", "a:b"], "serve", "a:b", None, {"reload": True, "grace": "1"}),
        (["a:b", "--no-reload"], "serve", "a:b", None, {"reload": False}),
        (["a", "--bind", "x:1", "--bind=y:2"], "serve", "a", None, {"bind": ["x:1", "y:2"]}),
        (["a", "--config", "c.toml"], "serve", "a", "c.toml", {}),
        (["a", "--max-body", "8K", "--server-header", ""], "serve", "a", None, {"max_body": "8K", "server_header": ""}),
    ],
)
def test_parsing(arguments: list[str], command: str, target: str, config: str | None, given: dict[str, object]) -> None:
    assert cli.parse_command_line(arguments) == cli.CommandLine(command, target, config, given)


def test_help_is_grouped_and_complete(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    status, output, _ = run(capsys, "--help")
    assert status == 0
    for option in OPTIONS.values():
        assert re.search(rf"^{option.group}:$.*^  {option.flag}\b", output, re.MULTILINE | re.DOTALL)
    text = " ".join(output.split())
    for words in (
        "--grace SECONDS",
        "(default: 30 seconds)",
        "(default: 64 KiB)",
        "{off,combined,json}",
        "--config FILE",
    ):
        assert words in text
    assert max(map(len, output.splitlines())) <= 120


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, "--version")
    assert status == 0
    assert output.startswith(f"hublet {hublet.__version__} (Python ")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "the application is missing"),
        (["serve"], "the application is missing"),
        (["a", "b"], "not 2"),
        (["a", "--bindd", "x"], "no option --bindd; did you mean --bind?"),
        (["a", "--max-bod=5"], "no option --max-bod; did you mean --max-body?"),
        (["a", "--grace"], "--grace"),
        (["a", "--grace", "soon"], "grace = 'soon' (from --grace): must be a number"),
        (["a", "--access-log", "x"], "must be one of off, combined, json"),
        (["a", "--config", "no.toml"], "no.toml' (from --config): the file cannot be read"),
    ],
)
def test_usage_errors(shop: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    status, output, errors = run(capsys, *arguments)
    assert (status, output) == (2, "")
    assert words in errors
    assert errors.startswith("hublet: ")
    assert "Traceback" not in errors


def test_settings_come_from_variables_and_the_file_too(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBLET_GRACE", "soon")
    assert "from HUBLET_GRACE" in run(capsys, "a")[2]
    monkeypatch.delenv("HUBLET_GRACE")
    (shop / "hublet.toml").write_text("graze = 1")
    status, _, errors = run(capsys, "a")
    assert status == 2
    assert "hublet.toml" in errors
    assert "did you mean grace?" in errors


def test_load_and_listen_errors(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, errors = run(capsys, "no_such_module", "--bind", "127.0.0.1:0")
    assert status == 1
    assert errors == (
        f"hublet: cannot load the application 'no_such_module': there is no module 'no_such_module' in {shop} "
        "or on the rest of sys.path; start hublet in the directory that holds it\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        (shop / "slow_shop.py").write_text("raise AssertionError('imported before the port was found to be in use')")
        status, _, errors = run(capsys, "slow_shop", "--bind", f"127.0.0.1:{port}")
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}: port {port} is in use" in errors
    assert "Traceback" not in errors


def test_an_interrupt_during_the_import_ends_quietly(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "interrupted_shop.py").write_text("raise KeyboardInterrupt")
    assert run(capsys, "interrupted_shop", "--bind", "127.0.0.1:0") == (130, "", "")


def test_an_application_in_the_current_directory_is_served(command: Start) -> None:
    running = command("serve", "shop", "--bind", "127.0.0.1:0")
    assert get(running.url()) == "hello"
    assert running.stop() == 0


def test_every_source_of_settings_reaches_the_server(command: Start, tmp_path: Path) -> None:
    (tmp_path / "hublet.toml").write_text('bind = ["127.0.0.1:0"]\nmax-body = "1M"\nmax-in-flight = 3\n')
    running = command("shop", "--server-header", "shop/1", HUBLET_MAX_IN_FLIGHT="5")
    running.url()
    lines = {running.wait_for(r"setting (.*)")[1] for _ in range(4)}
    assert lines == {
        f"bind = 127.0.0.1:0, from {tmp_path / 'hublet.toml'}",
        f"max_body = 1 MiB, from {tmp_path / 'hublet.toml'}",
        "max_in_flight = 5, from HUBLET_MAX_IN_FLIGHT",
        "server_header = shop/1, from --server-header",
    }
    assert running.stop() == 0


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("--backlog", "99999999999", "must be at most 65535"),
        ("--stack-cache", str(10**18), "must be at most 65536"),
        ("--bind", "a..b:8203", "'a..b' cannot be resolved"),
        ("--bind", "", "'' is not an address"),
    ],
)
def test_values_out_of_range_end_without_a_traceback(command: Start, option: str, value: str, words: str) -> None:
    running = command("shop", option, value)
    assert running.wait() in (1, 2)
    assert words in running.errors
    assert "Traceback" not in running.errors


def test_an_unknown_variable_is_a_warning(command: Start) -> None:
    running = command("shop", "--bind", "127.0.0.1:0", HUBLET_PORT="tcp://10.0.0.1:8000")
    running.wait_for("WARNING the environment variable HUBLET_PORT is ignored")
    assert get(running.url()) == "hello"
    assert running.stop() == 0
