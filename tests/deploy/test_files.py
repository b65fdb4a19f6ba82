"""The files of deploy/ are what their readers accept, and their times agree with --grace."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hublet import cli
from hublet.servers.settings_sources import resolve_settings

DEPLOY = Path(__file__).parent.parent.parent / "deploy"


def grace_of(words: list[str]) -> float:
    """The grace time of a command line, which must be one that hublet accepts."""
    assert words[0].endswith("/hublet")
    command = cli.parse_command_line(words[1:])
    return resolve_settings(command.given, {}, Path("/nonexistent")).settings.grace


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / name)
    return parser


def test_the_service_has_time_to_drain() -> None:
    service = unit("hublet.service")["Service"]
    assert grace_of(service["ExecStart"].split()) < float(service["TimeoutStopSec"])
    assert "--bind" not in service["ExecStart"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert "--workers" in service["ExecStart"].split()  # a server without a supervisor would be ended by it


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("hublet.service", "hublet.socket"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "hublet.service", tmp_path / "hublet.socket"],
        capture_output=True,
        text=True,
    )
    assert "hublet" not in done.stderr, done.stderr


def test_the_pod_has_time_to_drain() -> None:
    deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    wait = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert wait + grace_of(container["args"]) < pod["terminationGracePeriodSeconds"]
    assert service["metadata"]["name"] != "hublet"


def test_the_image_runs_hublet_as_its_first_process() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    match = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert match is not None
    assert grace_of(json.loads(match[1])) == 30
