"""Unix listening sockets: whose path is taken, who may connect, and what is left at the end."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hublet.runtime.errors import ListenError
from hublet.servers.listeners import check_listener, listener_url, open_listener
from hublet.servers.ownership import Owner
from hublet.servers.unix_sockets import LONGEST_PATH, SocketAccess, UnixListener

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and become somebody else")


@pytest.fixture
def bind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a socket in a directory of its own, whose path is short enough."""
    monkeypatch.chdir(tmp_path)
    return "unix:app.sock"


def connect(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        return b"connected"


def leave_stale(path: str) -> None:
    """Leave what a server leaves that is killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)


def problem(bind: str) -> str:
    """What opening and checking say alike."""
    with pytest.raises(ListenError) as opening:
        open_listener(bind, 1)
    with pytest.raises(ListenError) as checking:
        check_listener(bind, 1)
    assert str(checking.value) == str(opening.value)
    return str(opening.value)


def test_a_listener_listens_and_takes_its_file_along(bind: str) -> None:
    check_listener(bind, 1)
    assert not os.path.exists("app.sock")
    with open_listener(bind, 1) as listener:
        assert (listener.getblocking(), listener.get_inheritable()) == (False, False)
        assert listener_url(listener) == "unix:app.sock"
        assert connect("app.sock")
    assert not os.path.exists("app.sock")


def test_a_changed_directory_changes_nothing_for_the_file(bind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.path.abspath("app.sock")
    with open_listener(bind, 1):
        monkeypatch.chdir("/")
    assert not os.path.exists(path)


def test_a_proxy_of_another_user_can_connect_by_default(bind: str) -> None:
    before = os.umask(0o077)
    try:
        with open_listener(bind, 1):
            assert stat.S_IMODE(os.stat("app.sock").st_mode) == 0o666
    finally:
        os.umask(before)


@needs_root
def test_mode_and_owner(bind: str) -> None:
    with open_listener(bind, 1, SocketAccess(0o640, Owner(65534, 65533))):
        status = os.stat("app.sock")
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 65534, 65533)


def test_an_owner_that_cannot_be_set_leaves_nothing_behind(bind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(ListenError, match="be root to give the file away"):
        open_listener(bind, 1, SocketAccess(owner=Owner(1, 1)))
    assert set(os.listdir("/dev/fd")) == before
    assert os.listdir() == []


def test_the_socket_of_a_dead_server_is_replaced(bind: str) -> None:
    leave_stale("app.sock")
    check_listener(bind, 1)
    with open_listener(bind, 1):
        assert connect("app.sock")


@pytest.mark.parametrize("waiting", [0, 2], ids=["idle", "with a full backlog"])
def test_the_socket_of_a_live_server_is_refused(bind: str, waiting: int) -> None:
    with open_listener(bind, 0):
        clients = [socket.socket(socket.AF_UNIX) for _ in range(waiting)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex("app.sock")
        assert "cannot listen on unix:app.sock: another process listens there; `ss -lxp src" in problem(bind)
        for client in clients:
            client.close()
        assert os.path.exists("app.sock")


def test_a_file_that_is_no_socket_is_never_removed(bind: str) -> None:
    Path("app.sock").write_text("precious")
    assert "there is a file that is no socket" in problem(bind)
    assert Path("app.sock").read_text() == "precious"


def test_what_is_not_ours_any_more_is_left(bind: str) -> None:
    listener = open_listener(bind, 1)
    os.unlink("app.sock")
    with open_listener(bind, 1):
        listener.close()
        assert connect("app.sock")
    listener = open_listener(bind, 1)
    os.unlink("app.sock")
    listener.close()


def test_a_directory_that_goes_first_is_no_error(bind: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    listener = open_listener("unix:run/app.sock", 1)
    os.unlink("run/app.sock")
    os.rmdir("run")
    listener.close()


def test_a_forked_child_leaves_the_file(bind: str) -> None:
    with open_listener(bind, 1) as listener:
        if (child := os.fork()) == 0:
            listener.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert connect("app.sock")


def test_the_file_can_be_handed_over(bind: str) -> None:
    listener = open_listener(bind, 1)
    assert isinstance(listener, UnixListener)
    with UnixListener(fileno=os.dup(listener.fileno())) as successor:
        successor.claim("app.sock")
        listener.disown()
        listener.close()
        assert connect("app.sock")
    assert not os.path.exists("app.sock")


@pytest.mark.parametrize("over, words", [(-1, ""), (0, ""), (1, f"has {LONGEST_PATH + 1} bytes")])
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_longest_path(bind: str, kind: str, over: int, words: str) -> None:
    name = "x" * (LONGEST_PATH + over)
    bind = f"unix:{name}" if kind == "path" else f"unix:@{name}"
    if words:
        assert words in problem(bind)
    else:
        check_listener(bind, 1)
        open_listener(bind, 1).close()


def test_a_missing_directory(bind: str) -> None:
    assert f"there is no directory {os.getcwd()}/no; make it" in problem("unix:no/app.sock")


OPEN = """
import os
from hublet.servers.listeners import check_listener, open_listener
from hublet.runtime.errors import ListenError
os.setuid(65534)
for attempt in (check_listener, open_listener):
    try:
        attempt("unix:/run/hublet-test.sock", 1)
    except ListenError as error:
        print(error)
"""


@needs_root
def test_a_directory_that_cannot_be_written_to() -> None:
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("permission denied; this user must be able to write to /run" in line for line in lines)


STARTER = """
import sys
from hublet.servers.listeners import open_listener
from hublet.runtime.errors import ListenError
print("ready", flush=True)
sys.stdin.readline()
try:
    listener = open_listener("unix:app.sock", 5)
except ListenError:
    print("refused", flush=True)
else:
    print("listening", flush=True)
sys.stdin.readline()
"""


def test_of_several_that_start_at_once_one_takes_the_path_of_a_dead_server(bind: str) -> None:
    leave_stale("app.sock")
    starters = [
        subprocess.Popen([sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for each in starters:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in starters:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        results = [each.stdout.readline() for each in starters if each.stdout]
        assert sorted(results) == ["listening\n"] + ["refused\n"] * 2
        assert connect("app.sock")
    finally:
        for each in starters:
            each.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_name() -> None:
    bind = f"unix:@hublet-test-{os.getpid()}"
    check_listener(bind, 1)
    with open_listener(bind, 1) as listener:
        assert listener_url(listener) == bind
        assert connect("\0" + bind.removeprefix("unix:@"))
        assert "another process listens there" in problem(bind)


def test_abstract_names_exist_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux only" in problem("unix:@app")
