"""What the settings make of the process, from outside: directory, variables, pidfile, user, sockets, systemd."""

from __future__ import annotations

import http.client
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.entry.conftest import PATIENCE, Command, Start, get

ADDRESS = ("--bind", "127.0.0.1:0")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

SHOWING = """
import os
here = os.getcwd(), os.getresuid()[0], os.environ.get("A"), os.environ.get("B"), os.environ.get("HOME")
mask = os.umask(0)
os.umask(mask)
def app(environ, start_response):
    start_response("200 OK", [])
    peer = environ["REMOTE_ADDR"], environ["SERVER_NAME"], environ["SERVER_PORT"]
    passed = [name for name in os.environ if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))]
    return [repr((*here, oct(mask), peer, passed)).encode()]
"""


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may enter, with an application that shows its process."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    (directory / "showing.py").write_text(SHOWING)
    yield directory
    shutil.rmtree(directory)


def get_unix(path: str) -> str:
    """Fetch / through a Unix socket."""
    client = http.client.HTTPConnection("shop", timeout=PATIENCE)
    client.sock = socket.socket(socket.AF_UNIX)
    try:
        client.sock.connect(path)
        client.request("GET", "/")
        return client.getresponse().read().decode()
    finally:
        client.close()


def test_directory_umask_and_variables(command: Start, open_directory: Path) -> None:
    (open_directory / "shop.env").write_text("A=from the file\nB=from the file\nHUBLET_GRACE=5\n")
    running = command(
        *("showing", *ADDRESS, "--chdir", str(open_directory), "--umask", "027"),
        *("--env-file", "shop.env", "--env", "B=s3cret", "--pidfile", "server.pid"),
        A="from outside",
    )
    running.wait_for("WARNING the variable HUBLET_GRACE is for the application only")
    shown = get(running.url())
    assert f"'{open_directory}', {os.getuid()}, 'from the file', 's3cret'" in shown
    assert "'0o27'" in shown
    pidfile = open_directory / "server.pid"
    assert pidfile.read_text() == f"{running.process.pid}\n"
    assert stat.S_IMODE(pidfile.stat().st_mode) == 0o640
    running.wait_for("setting env = B, from --env")
    assert running.stop() == 0
    assert "s3cret" not in running.errors
    assert not pidfile.exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--chdir", "no"), "chdir = 'no' (from --chdir): cannot go there: No such file"),
        (("--env-file", "no.env"), "env_file = 'no.env' (from --env-file): cannot be read: No such file"),
        (("--env-file", "broken.env"), "line 1: cannot be understood"),
        (("--env", "1X=s3cret"), "env = '1X' (from --env): must be NAME=VALUE"),
        (("--user", "nosuch"), "user = 'nosuch' (from --user): there is no user 'nosuch' on this machine"),
        (("--group", "nosuch"), "group = 'nosuch' (from --group): there is no group"),
        (("--umask", "99"), "umask = '99' (from --umask): must be octal"),
        (("--socket-mode", ""), "socket_mode = '' (from --socket-mode): must be octal"),
        (("--socket-owner", "nosuch"), "socket_owner = 'nosuch' (from --socket-owner): there is no user"),
        (("--pidfile", "live.pid"), "which it names, is running"),
        (("--log-file", "no/log"), "log_file = 'no/log' (from --log-file): cannot be opened for writing: No such"),
        (("--log-file", "syslog:x"), "must be syslog, syslog:/path or syslog:host:port"),
    ],
)
def test_what_cannot_be_done_ends_with_a_line_that_says_so(
    command: Start, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "broken.env").write_text("broken 's3cret'\n")
    (tmp_path / "live.pid").write_text(f"{os.getpid()}\n")
    running = command("no_such_module", *ADDRESS, *arguments)
    assert running.wait() == 2
    assert words in running.errors
    assert running.errors.count("\n") == 1
    assert "s3cret" not in running.errors


@needs_root
def test_the_application_is_imported_as_the_user_and_everything_before_is_root_s(
    command: Start, open_directory: Path, tmp_path: Path
) -> None:
    sock, pidfile, log = open_directory / "app.sock", tmp_path / "server.pid", open_directory / "error.log"
    running = command(
        *("showing", "--chdir", str(open_directory), "--user", "nobody", "--pidfile", str(pidfile)),
        *("--stack-cache", "0"),  # it imports a module when it starts, and the tests' Python may be root's alone
        *("--bind", f"unix:{sock}", "--socket-mode", "660", "--socket-owner", "nobody", "--log-file", str(log)),
    )
    deadline = Deadline(running)
    while not (sock.exists() and log.exists() and "setting" in log.read_text()):
        deadline.check()
    nobody = pwd.getpwnam("nobody")
    assert f", {nobody.pw_uid}, None, None, '{nobody.pw_dir}'" in get_unix(str(sock))
    assert (sock.stat().st_uid, stat.S_IMODE(sock.stat().st_mode)) == (nobody.pw_uid, 0o660)
    assert log.stat().st_uid == nobody.pw_uid
    assert pidfile.read_text() == f"{running.process.pid}\n"
    assert running.stop() == 0
    assert "stopped" in log.read_text()
    assert running.errors == ""


class Deadline:
    """Fails a test whose process has ended, or that waits too long."""

    def __init__(self, running: Command) -> None:
        self.running = running
        self._end = time.monotonic() + PATIENCE

    def check(self) -> None:
        assert time.monotonic() < self._end
        try:
            self.running.process.wait(0.02)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"it has ended: {self.running.wait()} {self.running.errors}")


def test_a_unix_socket_from_start_to_end(command: Start, open_directory: Path) -> None:
    path = str(open_directory / "app.sock")
    arguments = ("showing", "--chdir", str(open_directory), "--bind", "unix:app.sock", "--access-log", "combined")
    running = command(*arguments)
    assert running.wait_for(r"listening on (\S+)\n")[1] == "unix:app.sock"
    assert "('', 'localhost', '80')" in get_unix(path)
    second = command(*arguments)
    assert second.wait() == 1
    assert "cannot listen on unix:app.sock: another process listens there" in second.errors
    assert running.stop() == 0
    assert running.output.startswith("unix: - - [")
    assert not os.path.exists(path)
    running = command(*arguments)
    running.wait_for("listening on")
    running.process.kill()
    running.wait()
    assert os.path.exists(path)
    running = command(*arguments)
    running.wait_for("listening on")
    assert "localhost" in get_unix(path)
    assert running.stop() == 0


def test_an_error_behind_a_unix_socket_names_the_peer(command: Start, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def app(environ, start_response):\n    raise LookupError('no price')\n")
    name = f"unix:@hublet-test-{os.getpid()}"
    running = command("broken", "--bind", name)
    running.wait_for(f"listening on {name}")
    get_unix("\0" + name.removeprefix("unix:@"))
    running.wait_for("ERROR GET / from unix:: ")
    assert running.stop() == 0


# As systemd starts a service: the variables name the process, which is known only once it runs.
ACTIVATE = ["/bin/sh", "-c", 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"', "sh"]


@pytest.mark.parametrize("arguments", [(), ("--bind", "fd://3")], ids=["by default", "asked for"])
def test_under_systemd(command: Start, open_directory: Path, arguments: tuple[str, ...]) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with manager, socket.create_server(("127.0.0.1", 0)) as listener:
        manager.bind(str(open_directory / "notify"))
        manager.settimeout(PATIENCE)
        running = command(
            *("showing", "--chdir", str(open_directory), *arguments),
            wrapper=ACTIVATE,
            descriptors={3: listener.fileno()},
            LISTEN_FDS="1",
            LISTEN_FDNAMES="hublet.socket",
            NOTIFY_SOCKET=str(open_directory / "notify"),
            WATCHDOG_USEC="200000",
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert running.url() == url
        assert get(url).endswith("[])")
        seen = [manager.recv(1000).decode() for _ in range(3)]
        assert "READY=1\nSTATUS=serves showing" in seen
        assert "WATCHDOG=1" in seen
        running.signal(signal.SIGTERM)
        while (message := manager.recv(1000).decode()) == "WATCHDOG=1":
            pass
        assert message == "STOPPING=1\nSTATUS=finishes 0 requests"
        assert running.wait() == 0
        if not arguments:
            assert "setting bind = fd://3, from systemd (hublet.socket)" in running.errors


def test_sockets_of_systemd_that_are_not_used_are_named(command: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = command("shop", *ADDRESS, wrapper=ACTIVATE, descriptors={3: listener.fileno()}, LISTEN_FDS="1")
        running.wait_for("WARNING systemd passes fd://3, on which nothing listens, since bind says where to listen")
        assert get(running.url()) == "hello"
        assert running.stop() == 0


def test_the_title(command: Start) -> None:
    running = command("shop", *ADDRESS, "--process-name", "till")
    running.url()
    assert Path(f"/proc/{running.process.pid}/cmdline").read_bytes().rstrip(b"\0") == b"hublet: till"
    assert running.stop() == 0


def test_a_missing_package_is_said_once(command: Start) -> None:
    script = (
        "import sys\nsys.modules['setproctitle'] = None\n"
        f"sys.argv = ['hublet', 'shop', *{ADDRESS!r}, '--process-name', 'till']\n"
        "from hublet.__main__ import main\nsys.exit(main())\n"
    )
    running = command(script=script)
    assert get(running.url()) == "hello"
    assert running.stop() == 0
    assert running.errors.count("process_name has no effect without the package setproctitle") == 1


def test_reloading_listens_on_a_unix_socket_in_the_directory(command: Start, open_directory: Path) -> None:
    running = command("showing", "--reload", "--chdir", str(open_directory), "--bind", "unix:app.sock")
    running.wait_for("listening on unix:app.sock")
    assert f"'{open_directory}'" in get_unix(str(open_directory / "app.sock"))
    (open_directory / "showing.py").write_text(SHOWING + "\n# changed\n")
    running.wait_for("listening on unix:app.sock")
    assert f"'{open_directory}'" in get_unix(str(open_directory / "app.sock"))
    assert running.stop() == 0
    assert os.listdir(open_directory / ".") == [each for each in os.listdir(open_directory) if each != "app.sock"]
