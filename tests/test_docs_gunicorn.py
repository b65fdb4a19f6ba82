"""The commands that docs/gunicorn.rst shows are run as they stand, but for the port."""

from __future__ import annotations

import re
import shlex
import sys
import urllib.request
from pathlib import Path

import pytest

from loadtests.private.process import free_port
from tests.test_readme import HELLO, PATIENCE, running

TEXT = (Path(__file__).parent.parent / "docs" / "gunicorn.rst").read_text(encoding="utf-8")
COMMANDS = [line.removeprefix("    $ ") for line in TEXT.splitlines() if line.startswith("    $ ")]
(CONFIGURATION,) = re.findall(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands(tmp_path: Path, command: str) -> None:
    port = free_port()
    (tmp_path / "hello.py").write_text(HELLO)
    if "from-gunicorn" in command:
        configuration = re.sub("^    ", "", CONFIGURATION, flags=re.MULTILINE)
        (tmp_path / "gunicorn.conf.py").write_text(configuration.replace(":8000", f":{port}"))
    program, *words = shlex.split(command.replace(":8000", f":{port}"))
    with (
        running([sys.executable, str(Path(sys.executable).with_name(program)), *words], tmp_path, port),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/shop", timeout=PATIENCE) as response,
    ):
        assert response.read() == b'{"path": "/shop"}'
