"""`--reload`: restarts, broken sources, signals, and connections that never notice."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest
from hublet.reloader import RELOAD_GRACE, import_watch, settings_of_child, source_directories
from hublet.runtime.errors import SettingsError
from hublet.servers.settings import Settings
from hublet.servers.settings_sources import SourcedSettings
from hublet.servers.supervisor.worker import describe_end

from tests.entry.conftest import APPLICATION, Ask, Command, Start, get

WATCHING = "watching .* and 0 directories"


def start(command: Start, *arguments: str) -> tuple[Command, str]:
    running = command("shop", "--bind", "127.0.0.1:0", "--reload", *arguments)
    running.wait_for(WATCHING)
    return running, running.url()


def test_a_change_restarts_the_server_at_the_same_address(command: Start, tmp_path: Path) -> None:
    running, url = start(command)
    assert get(url) == "hello"
    for text in ("changed once", "changed another time"):
        (tmp_path / "shop.py").write_text(APPLICATION.replace("hello", text))
        running.wait_for(r"shop\.py changed: restarting")
        assert running.url() == url
        assert get(url) == text
    assert running.stop() == 0


def test_no_connection_is_refused_meanwhile(command: Start, tmp_path: Path) -> None:
    running, url = start(command)
    (tmp_path / "shop.py").write_text("import time\ntime.sleep(0.3)\n" + APPLICATION.replace("hello", "changed it"))
    running.wait_for("changed: restarting")
    answers = {get(url) for _ in range(5)}
    assert answers <= {"hello", "changed it"}
    assert get(url) == "changed it"
    assert running.stop() == 0


def test_a_broken_source_is_waited_out(command: Start, ask: Ask, tmp_path: Path) -> None:
    running, url = start(command)
    (tmp_path / "shop.py").write_text("def (")
    running.wait_for("cannot load the application 'shop': importing 'shop' failed:\n(?:.*\n)*SyntaxError")
    running.wait_for("ERROR the server ended with status 1; it is started again when a source file changes")
    waiting = ask(url)
    (tmp_path / "shop.py").write_text(APPLICATION.replace("hello", "mended"))
    assert waiting.getresponse().read() == b"mended"
    assert running.stop() == 0


def test_a_source_that_is_broken_from_the_start(command: Start, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import no_such_package")
    running = command("shop", "--bind", "127.0.0.1:0", "--reload")
    running.wait_for("ended with status 1")
    (tmp_path / "shop.py").write_text(APPLICATION)
    assert get(running.url()) == "hello"
    assert running.stop() == 0


def test_templates_settings_and_new_directories_count(command: Start, tmp_path: Path) -> None:
    running, _ = start(command)
    (tmp_path / "page.html").write_text("<p>")
    running.wait_for(r"page\.html changed: restarting")
    running.url()
    (tmp_path / "parts").mkdir()
    (tmp_path / "page.html").write_text("<p></p>")
    running.wait_for(r"page\.html changed: restarting")
    running.url()
    (tmp_path / "parts" / "part.py").write_text("x = 1")
    running.wait_for(r"part\.py changed: restarting")
    running.url()
    assert running.stop() == 0


def test_the_settings_are_read_anew(command: Start, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('server-header = "one"\nbind = ["127.0.0.1:0"]')
    running = command("shop", "--config", "settings.toml", "--reload")
    url = running.url()
    (tmp_path / "settings.toml").write_text('server-header = "two"\nbind = ["127.0.0.1:0", "[::1]:0"]')
    assert running.url() == url
    assert running.url().startswith("http://[::1]:")
    running.wait_for("server_header = two")
    assert running.stop() == 0


def test_a_change_that_matters_to_nobody_does_not_restart(command: Start, tmp_path: Path) -> None:
    running, _ = start(command)
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "page.html").write_text("<p>")
    running.wait_for(r"page\.html changed: restarting")
    running.url()
    assert running.stop() == 0
    assert "data.csv" not in running.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_processes(command: Start, number: int) -> None:
    running, url = start(command)
    assert get(url) == "hello"
    running.signal(number)
    assert running.wait() == 0
    assert "stopped" in running.errors
    with pytest.raises(OSError, match="refused"):
        get(url)


def test_a_request_without_end_holds_no_restart_up(command: Start, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import time\n"
        "def app(environ, start_response):\n"
        "    environ['wsgi.errors'].write('begun\\n')\n"
        "    start_response('200 OK', [])\n"
        "    time.sleep(1000)\n"
    )
    running, url = start(command, "--grace", "1000")
    ask(url)
    running.wait_for("begun")
    (tmp_path / "shop.py").write_text(APPLICATION)
    running.wait_for(f"with {RELOAD_GRACE:g} seconds to finish")
    running.url()
    assert get(url) == "hello"
    assert running.stop() == 0


def test_a_server_that_blocks_its_hub_is_killed(command: Start, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "def app(environ, start_response):\n    environ['wsgi.errors'].write('begun\\n')\n    while True: pass\n"
    )
    running, url = start(command, "--grace", "0")
    ask(url)
    running.wait_for("begun")
    (tmp_path / "shop.py").write_text(APPLICATION)
    running.wait_for("has not ended within its grace time: killing it")
    running.url()
    assert get(url) == "hello"
    assert running.stop() == 0


def test_an_address_that_cannot_be_had_is_reported_by_the_outer_process(command: Start) -> None:
    running = command("shop", "--bind", "nowhere", "--reload")
    assert running.wait() == 1
    assert "cannot listen on nowhere" in running.errors


def test_without_watchfiles_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(SettingsError, match=re.escape("pip install 'hublet[reload]'")):
        import_watch()


def test_which_directories_are_watched(tmp_path: Path) -> None:
    for name in ("shop/parts", "shop/__pycache__", "node_modules/x", ".git/objects", "venv/lib", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    found = {str(Path(each).relative_to(tmp_path)) for each in source_directories(tmp_path)}
    assert found == {".", "shop", "shop/parts", "empty"}


def test_the_grace_time_of_a_child() -> None:
    short = SourcedSettings(Settings(grace=RELOAD_GRACE / 2), {"grace": "--grace"})
    assert settings_of_child(short) == short
    child = settings_of_child(SourcedSettings(Settings(grace=1000), {"grace": "--grace", "reload": "--reload"}))
    assert child.settings.grace == RELOAD_GRACE
    assert child.origins == {"grace": "--reload", "reload": "--reload"}


@pytest.mark.parametrize(
    "status, text", [(0, "ended"), (3, "ended with status 3"), (-signal.SIGKILL, "was killed by SIGKILL")]
)
def test_how_a_child_ended(status: int, text: str) -> None:
    assert describe_end(status) == text


def test_files_in_a_directory_made_just_before_count(command: Start, tmp_path: Path) -> None:
    running, _ = start(command)
    for text in ("x = 1", "x = 2"):
        (tmp_path / "pkg").mkdir(exist_ok=True)
        (tmp_path / "pkg" / "m.py").write_text(text)
        running.wait_for(r"m\.py changed: restarting")
        running.url()
    (tmp_path / "pkg" / "m.py").unlink()
    running.wait_for(r"m\.py changed: restarting")
    running.url()
    (tmp_path / "pkg").rmdir()
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "n.py").write_text("x = 3")
    running.wait_for(r"n\.py changed: restarting")
    running.url()
    assert running.stop() == 0


def test_a_killed_reloader_takes_its_server_along(command: Start) -> None:
    running, url = start(command)
    assert get(url) == "hello"
    running.signal(signal.SIGKILL)
    running.wait_for("the process that started this one is gone")
    running.wait_for("stopped")
    assert running.wait() == -signal.SIGKILL  # at the end of both processes: standard error is closed
    with pytest.raises(OSError, match="refused"):
        get(url)
