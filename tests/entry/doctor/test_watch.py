"""`hublet doctor --watch` names the line that blocked the hub, in any process of the command."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

APPLICATION = """
import hashlib
from time import sleep
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/hash":
        hashlib.sha256(bytes(100_000_000))
    else:
        sleep(0.15)
    return [environ["PATH_INFO"].encode()]
"""
PATIENCE = 20.0


def wait_for(process: subprocess.Popen[bytes], pattern: str, times: int = 1) -> re.Match[str]:
    """Wait for a line on standard error."""
    assert process.stderr is not None
    text = ""
    deadline = time.monotonic() + PATIENCE
    while len(found := list(re.finditer(pattern, text))) < times:
        ready, _, _ = select.select([process.stderr], [], [], max(deadline - time.monotonic(), 0))
        data = os.read(process.stderr.fileno(), 65536) if ready else b""
        assert data, f"no {pattern!r} in:\n{text}"
        text += data.decode()
    return found[-1]


def test_a_line_that_blocks_in_a_worker_is_reported_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    hublet = [sys.executable, "-m", "hublet"]
    serve = [*hublet, "shop:app", "--bind", "127.0.0.1:0", "--workers", "2"]
    process = subprocess.Popen(
        [*hublet, "doctor", "--watch", "--json", "--", *serve],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    url = wait_for(process, r"listening on (http://\S+)")[1]
    for path in ("/sleep", "/hash"):
        with urllib.request.urlopen(url + path, timeout=PATIENCE) as response:
            assert response.read().decode() == path
    wait_for(process, r"hublet doctor: .*shop.py:7 in app blocked for \d+ ms")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    report = json.loads(output)
    (line,) = [each for each in report["lines"] if (each["file"], each["line"]) == (str(tmp_path / "shop.py"), 7)]
    assert (line["function"], line["count"]) == ("app", 1)
    assert line["longest"] > 0.02
    assert line["source"].startswith("hashlib.sha256(")
    assert "--patch hashlib-constructors" in line["remedy"]
    assert report["status"] == 0
    assert process.returncode == 1


def test_what_the_command_prints_is_no_part_of_the_report() -> None:
    command = [sys.executable, "-m", "hublet", "doctor", "--watch", "--json", "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", "print('from the command')"], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == {"status": 0, "lines": []}
    assert "from the command" in done.stderr


SCRIPT = """
import os, sys
import chained
from gevent import monkey; monkey.patch_all()
import gevent, time
native_sleep = monkey.get_original("time", "sleep")
def block(): native_sleep(0.1)
def child(): native_sleep(0.12)
gevent.sleep(0.01)
gevent.spawn(block).join()
gevent.sleep(0.05)
if pid := gevent.fork() if hasattr(gevent, "fork") else os.fork():
    os.waitpid(pid, 0)
else:
    gevent.sleep(0.05)
    gevent.spawn(child).join()
    gevent.sleep(0.05)
    os._exit(0)
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("status", [0, 3])
def test_any_command_its_forks_and_its_own_sitecustomize(tmp_path: Path, status: int) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\nsys.modules['chained'] = types.ModuleType('chained')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "hublet", "doctor", "--watch", "--", sys.executable, "script.py", str(status)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == (status or 1), done.stderr
    rows = [each for each in done.stdout.splitlines() if each.startswith("  blocks")]
    assert [bool(re.search(r"script.py:8 in child +1 ", each)) for each in rows].count(True) == 1, done.stdout
    assert [bool(re.search(r"script.py:7 in block +1 ", each)) for each in rows].count(True) == 1, done.stdout


def test_what_never_blocks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import gevent; gevent.sleep(0.05)"]
    done = subprocess.run(
        [sys.executable, "-m", "hublet", "doctor", "--watch", "--", *command],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "nothing blocked the hub\n")
