"""The pidfile: made once, refused while its process lives, removed only by its owner."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hublet.servers.pidfile import Pidfile, PidfileError, check_pidfile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server.pid"


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def problem(path: Path) -> str:
    with pytest.raises(PidfileError):
        check_pidfile(str(path))
    with pytest.raises(PidfileError) as caught:
        Pidfile(str(path))
    return str(caught.value)


def test_it_is_made_and_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    before = set(os.listdir("/dev/fd"))
    made = Pidfile(path.name)
    monkeypatch.chdir("/")
    assert path.read_text() == f"{os.getpid()}\n"
    made.remove()
    assert not path.exists()
    assert set(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("content", ["dead", "own", "", "99999999999999"])
def test_a_stale_one_is_replaced(path: Path, content: str) -> None:
    path.write_text({"dead": f"{dead_process()}\n", "own": str(os.getpid())}.get(content, content))
    check_pidfile(str(path))
    made = Pidfile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    made.remove()


def test_one_of_a_living_process_is_refused(path: Path) -> None:
    path.write_text(f"{os.getppid()}\n")
    assert f"the process {os.getppid()}, which it names, is running" in problem(path)
    assert path.read_text() == f"{os.getppid()}\n"


def test_a_file_that_is_no_pidfile_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    assert "holds no process id" in problem(path)
    assert path.read_text() == "precious"
    assert "cannot be read: Is a directory" in problem(path.parent)


def test_a_missing_directory(path: Path) -> None:
    assert "No such file or directory" in problem(path / "no" / "server.pid")


def test_what_is_not_ours_any_more_is_left(path: Path) -> None:
    made = Pidfile(str(path))
    path.rename(path.with_suffix(".old"))
    path.write_text("1\n")
    made.remove()
    assert path.read_text() == "1\n"
    made = Pidfile(str(path.with_name("other")))
    path.with_name("other").unlink()
    made.remove()


def test_a_forked_child_leaves_it(path: Path) -> None:
    made = Pidfile(str(path))
    if (child := os.fork()) == 0:
        made.remove()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert path.exists()
    made.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
def test_after_a_change_of_user_it_is_emptied(path: Path) -> None:
    script = """if True:
        import os, sys
        from hublet.servers.pidfile import Pidfile
        made = Pidfile(sys.argv[1])
        os.setuid(65534)
        made.remove()
    """
    for directory in path.parents[:4]:  # several processes of tests have one directory each
        if directory != Path(tempfile.gettempdir()):
            directory.chmod(0o755)
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.read_text() == ""
    Pidfile(str(path)).remove()
