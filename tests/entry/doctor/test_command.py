"""`hublet doctor`, run as a user runs it, on real applications."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hublet import cli

FLASK = """
import flask, requests, sqlalchemy
from sqlalchemy.pool import StaticPool
print("the application says something")
engine = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
app = flask.Flask(__name__)
"""
DJANGO = """
import django
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF="site_of_django", DATABASES={})
django.setup()
from django.core.wsgi import get_wsgi_application
urlpatterns = []
application = get_wsgi_application()
"""
PATCHES = """
from hublet.patches.replacement import Patch, Replacement
def wait(): return "yields"
PATCHES = (
    Patch("acme", "it waits in C", (Replacement("acme:wait", "acme_patches:wait"),), module="acme",
          cost="1 us -> 2 us"),
    Patch("acme-kind", "nothing to do", module="acme", effect="cooperative"),
    Patch("acme-optional", "changes much", (Replacement("acme:other", "acme_patches:wait"),), module="acme",
          optional=True),
    Patch("acme-absent", "never seen", module="no_such_library", effect="blocks"),
    Patch("acme-moved", "was elsewhere", (Replacement("acme:gone", "acme_patches:wait"),), module="acme",
          remedy="install the older one"),
    Patch("acme-hopeless", "holds the GIL", module="acme", effect="blocks", remedy="use acme2"),
)
"""


def doctor(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hublet", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)


def report(directory: Path, *arguments: str) -> tuple[int, Any]:
    done = doctor(directory, *arguments, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def flask_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Any]:
    directory = tmp_path_factory.mktemp("flask")
    (directory / "shop.py").write_text(FLASK)
    return report(directory, "shop:app")


def test_flask_with_a_pool_that_fails(flask_report: tuple[int, Any]) -> None:
    status, found = flask_report
    assert status == 1
    assert "sqlalchemy StaticPool" in found["blocking"]
    (pool,) = [each for each in found["pools"] if each["fails"]]
    assert pool["count"] == 1
    assert "QueuePool" in pool["remedy"]
    assert "gevent.resolver" in found["dns"]


def test_nothing_is_early_for_the_command_but_with_preloading(flask_report: tuple[int, Any]) -> None:
    _, found = flask_report
    assert [each for each in found["captures"] if not each["rebound"]] == []
    worker, preload = found["gunicorn"]
    assert (worker["problem"], preload["problem"]) == ("", "")
    assert worker["rebound"] == 0
    assert preload["rebound"] > 0
    assert preload["how"].endswith("--preload")


def test_django_in_plain_text(tmp_path: Path) -> None:
    (tmp_path / "site_of_django.py").write_text(DJANGO)
    done = doctor(tmp_path, "site_of_django")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert re.search("standard library +gevent", done.stdout)
    assert done.stdout.endswith("nothing that is known blocks\n")


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """An application, its library, and patches of a third party for it."""
    (tmp_path / "acme.py").write_text("def wait(): return 'blocks'\ndef other(): return 'blocks'\n")
    (tmp_path / "acme_patches.py").write_text(PATCHES)
    (tmp_path / "shop.py").write_text("import acme\ndef app(environ, start_response): return []\n")
    metadata = tmp_path / "acme_patches-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-patches\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[hublet.patches]\nacme = acme_patches:PATCHES\n")
    return tmp_path


def test_every_state_of_a_patch_has_its_row(acme: Path) -> None:
    status, found = report(acme, "shop", "--no-patch", "acme-moved")
    rows = {each["name"]: each for each in found["libraries"] if each["name"].startswith("acme")}
    assert {name: each["status"] for name, each in rows.items()} == {
        "acme": "patched",
        "acme-kind": "cooperative",
        "acme-optional": "off",
        "acme-moved": "blocks",
        "acme-hopeless": "blocks",
    }
    assert rows["acme"]["cost"] == "1 us -> 2 us"
    assert rows["acme-optional"]["remedy"] == "--patch acme-optional"
    assert rows["acme-hopeless"]["remedy"] == "use acme2"
    assert status == 1
    assert {"acme-moved", "acme-hopeless"} <= set(found["blocking"])
    assert "acme-optional" not in found["blocking"]


def test_a_refused_patch_says_why_and_what_to_do(acme: Path) -> None:
    done = doctor(acme, "shop", "--patch", "acme-optional")
    (row,) = [each for each in done.stdout.splitlines() if "acme-moved" in each and each.startswith("  blocks")]
    assert "'gone'" in row
    assert "install the older one" in row
    assert [each.split()[0] for each in done.stdout.splitlines() if "  acme-optional" in each] == ["patched"]


def test_colours_are_for_terminals(acme: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "hublet", "doctor", "shop"]
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=end, stderr=end, cwd=acme, env=environ)
    os.close(end)
    os.set_blocking(terminal, False)
    shown = b""
    while select.select([terminal], [], [], 0.1)[0] or process.poll() is None:
        try:
            shown += os.read(terminal, 65536)
        except BlockingIOError:
            continue
        except OSError:  # EIO: the other end is closed
            break
    os.close(terminal)
    assert process.wait() == 1
    assert b"\x1b[1;31mblocks" in shown
    assert max(len(each) for each in shown.decode().split("\r\n") if "\x1b" not in each and "─" in each) <= 100


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "one application, please"),
        (["a", "b"], "one application, please"),
        (["a", "--", "b"], "--watch"),
        (["a", "--operations", "1"], "at least 2"),
        (["--watch"], "needs a command"),
        (["--watch", "--", "no-such-program-at-all"], "no such program"),
        (["a", "--patch", "no-such-patch"], "there is no patch"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    try:
        status: object = cli.main(["doctor", *arguments])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert words in capsys.readouterr().err


def test_an_application_that_cannot_be_loaded(tmp_path: Path) -> None:
    done = doctor(tmp_path, "no_such_application")
    assert done.returncode == 1
    assert "there is no module 'no_such_application'" in done.stderr


def test_the_self_test() -> None:
    """What gevent makes yield yields, whatever else does."""
    status, found = report(Path.cwd(), "--self-test", "--operations", "6")
    verdicts = {each["name"]: each["verdict"] for each in found["measured"]}
    assert {name for name, verdict in verdicts.items() if verdict == "failed"} == set()
    assert {verdicts[name] for name in ("time.sleep", "socket", "urllib.request", "subprocess.run")} == {"cooperative"}
    assert status == (1 if "blocks" in verdicts.values() else 0)
