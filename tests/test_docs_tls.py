"""What docs/tls.rst shows is what works: its code blocks are run as they stand, but for the port."""

from __future__ import annotations

import re
import shlex
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from loadtests.private.process import free_port
from tests.test_readme import HELLO, PATIENCE, running

TEXT = (Path(__file__).parent.parent / "docs" / "tls.rst").read_text(encoding="utf-8")
LAUNCH, MAKE = [line.removeprefix("    $ ") for line in TEXT.splitlines() if line.startswith("    $ ")]
(SERVE,) = re.findall(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", TEXT, re.MULTILINE)


@pytest.mark.parametrize("way", ["command", "python"])
def test_the_example(tmp_path: Path, way: str) -> None:
    port = free_port()
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "main.py").write_text(re.sub("^    ", "", SERVE, flags=re.MULTILINE).replace("8443", str(port)))
    subprocess.run(shlex.split(MAKE), cwd=tmp_path, check=True, capture_output=True)
    words = shlex.split(LAUNCH.replace("8443", str(port)))
    command = ["-m", *words] if way == "command" else ["main.py"]
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with (
        running([sys.executable, *command], tmp_path, port),
        urllib.request.urlopen(f"https://127.0.0.1:{port}/shop", timeout=PATIENCE, context=context) as response,
    ):
        assert response.read() == b'{"path": "/shop"}'
