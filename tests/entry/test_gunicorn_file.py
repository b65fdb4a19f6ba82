"""`hublet --from-gunicorn`: settings and hooks of a configuration file, with one process and with several."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from hublet.gunicorn_file import read_gunicorn_file
from hublet.runtime.errors import SettingsError

from .conftest import Start, get

DOCUMENT = (Path(__file__).parents[2] / "docs" / "gunicorn.rst").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", DOCUMENT, re.MULTILINE)

HOOKS = """
wsgi_app = "shop:app"
bind = "127.0.0.1:0"
threads = 8
worker_class = "gevent"
logconfig_dict = {"loggers": {"shop": {"level": "DEBUG"}}}
def note(text):
    with open("hooks", "a") as file:
        file.write(text + "\\n")
def nworkers_changed(server, new, old): note(f"nworkers_changed {new} {old}")
def on_starting(server): note("on_starting")
def when_ready(server): note("when_ready")
def pre_fork(server, worker): note("pre_fork")
def post_fork(server, worker): note("post_fork")
def post_worker_init(worker): note(f"post_worker_init {callable(worker.wsgi)}")
def pre_request(worker, req):
    req.mark = "kept"
    note(f"pre_request {req.method} {req.path} {worker.age > 0}")
def post_request(worker, req, environ, resp): note(f"post_request {req.mark} {resp.status} {resp.sent} {resp.headers}")
def worker_int(worker): note("worker_int")
def worker_exit(server, worker): note("worker_exit")
def child_exit(server, worker): note("child_exit")
def on_reload(server): note("on_reload")
def on_exit(server): note("on_exit")
"""
BEFORE = ["on_starting", "when_ready", "pre_fork", "post_fork", "post_worker_init True"]
REQUEST = ["pre_request GET / True", "post_request kept 200 OK 5 [('Content-Type', 'text/plain')]"]


def test_settings_and_hooks_with_one_process(tmp_path: Path, command: Start) -> None:
    (tmp_path / "conf.py").write_text(HOOKS)
    hublet = command("--from-gunicorn", "conf.py", "--keep-alive", "3")
    url = hublet.url()
    assert get(url) == "hello"
    hublet.signal(signal.SIGINT)
    assert hublet.wait() == 0
    noted = (tmp_path / "hooks").read_text().splitlines()
    end = ["worker_int", "worker_exit", "child_exit", "on_exit"]
    assert noted == ["nworkers_changed 1 None", *BEFORE, *REQUEST, *end]
    assert "threads in conf.py is ignored: every request has a greenlet of its own" in hublet.errors
    assert "worker_class" not in hublet.errors
    assert "keepalive_timeout = 3 seconds, from gunicorn's option --keep-alive" in hublet.errors


@pytest.mark.parametrize(("workers", "warned"), [(1, True), (2, False)])
def test_what_needs_workers_is_named_where_there_is_one_process(
    tmp_path: Path, command: Start, workers: int, warned: bool
) -> None:
    (tmp_path / "conf.py").write_text(f'bind = "127.0.0.1:0"\nworkers = {workers}\ntimeout = 0\nmax_requests = 9\n')
    hublet = command("--from-gunicorn", "conf.py", "shop:app")
    hublet.wait_for("generation 1 serves" if workers > 1 else "listening on")
    assert hublet.stop() == 0
    assert ("max_requests does nothing with one process" in hublet.errors) == warned
    assert "worker_timeout does nothing" not in hublet.errors


def test_a_hook_may_be_the_dotted_name_of_a_function(tmp_path: Path, command: Start) -> None:
    (tmp_path / "hooks_of_ours.py").write_text("def said(server): server.log.info('it was called')\n")
    (tmp_path / "conf.py").write_text('bind = "127.0.0.1:0"\nwhen_ready = "hooks_of_ours.said"\n')
    hublet = command("--from-gunicorn", "conf.py", "shop:app")
    hublet.wait_for("it was called")
    assert hublet.stop() == 0


@pytest.mark.parametrize(
    ("value", "rule"),
    [("'nowhere.said'", "No module named 'nowhere'"), ("'os.said'", "cannot be imported"), ("5", "must be a function")],
)
def test_a_hook_that_is_no_function_is_refused(tmp_path: Path, value: str, rule: str) -> None:
    (tmp_path / "conf.py").write_text(f"pre_request = {value}\n")
    with pytest.raises(SettingsError, match=rule):
        read_gunicorn_file("conf.py", tmp_path, {})


def test_settings_and_hooks_with_workers(tmp_path: Path, command: Start) -> None:
    (tmp_path / "conf.py").write_text(HOOKS)
    hublet = command("--from-gunicorn", "conf.py", "-w", "2")
    url = hublet.url()
    hublet.wait_for("generation 1 serves")
    assert get(url) == "hello"
    hublet.signal(signal.SIGHUP)
    hublet.wait_for("generation 2 serves")
    hublet.signal(signal.SIGTTIN)
    hublet.wait_for("3 workers are wanted")
    assert hublet.stop() == 0
    noted = (tmp_path / "hooks").read_text().splitlines()
    assert noted[:3] == ["nworkers_changed 2 None", "on_starting", "when_ready"]
    assert [each for each in noted if "request" in each] == REQUEST
    assert noted.index("on_reload") < noted.index("nworkers_changed 3 2")
    assert noted[-1] == "on_exit"
    assert noted.count("pre_fork") == noted.count("child_exit") == 5
    assert 4 <= noted.count("post_fork") <= 5  # the last one may not have come that far
    assert hublet.errors.count("threads in conf.py is ignored") == 1


def test_a_blocked_worker_is_aborted_after_its_hook(tmp_path: Path, command: Start) -> None:
    lines = ["workers = 2", "timeout = 1", 'bind = "127.0.0.1:0"', 'wsgi_app = "busy:app"']
    hook = 'def worker_abort(worker): open("aborted", "w").write(str(worker.pid))'
    (tmp_path / "conf.py").write_text("\n".join([*lines, hook, ""]))
    (tmp_path / "busy.py").write_text(
        "import time\ndef app(environ, start_response):\n"
        "    end = time.monotonic() + 30\n    while time.monotonic() < end: pass\n"
    )
    hublet = command("--from-gunicorn", "conf.py")
    url = hublet.url()
    hublet.wait_for("generation 1 serves")
    with pytest.raises(OSError):
        get(url)
    ended = hublet.wait_for("worker ([0-9]+) was killed by SIGABRT")
    assert (tmp_path / "aborted").read_text() == ended[1]
    assert hublet.stop() == 0


def test_the_documents_example(tmp_path: Path, command: Start) -> None:
    text = re.sub("^    ", "", EXAMPLE, flags=re.MULTILINE).replace(":8000", ":0")
    (tmp_path / "gunicorn.conf.py").write_text(text)
    hublet = command("--from-gunicorn", "gunicorn.conf.py", "shop:app")
    url = hublet.url()
    hublet.wait_for("generation 1 serves")
    assert get(url) == "hello"
    hublet.wait_for(r"GET / 200 OK took 0\.")
    assert hublet.stop() == 0
    assert "ready with 2 workers" in hublet.errors
    assert "is number 2" in hublet.errors


def test_modules_variables_and_what_is_stronger(tmp_path: Path, command: Start) -> None:
    (tmp_path / "deploy.py").write_text("workers = 1\nkeepalive = 7\ngraceful_timeout = 3\nlimit_request_fields = 9\n")
    arguments = ("--from-gunicorn", "python:deploy", "shop:app", "--bind", "127.0.0.1:0", "--grace", "5")
    hublet = command(*arguments, WEB_CONCURRENCY="2", HUBLET_MAX_HEADER_FIELDS="11")
    hublet.wait_for("listening on")
    assert hublet.stop() == 0
    assert "keepalive_timeout = 7 seconds, from keepalive in python:deploy" in hublet.errors
    assert "grace = 5 seconds, from --grace" in hublet.errors
    assert "max_header_fields = 11, from HUBLET_MAX_HEADER_FIELDS" in hublet.errors
    assert "workers" not in hublet.errors


@pytest.mark.parametrize(
    "text, problem",
    [
        ("1 / 0", "ZeroDivisionError"),
        ("workers = 'many'", "must be a whole number"),
        ("def on_starting(server): raise ValueError('not today')", "not today"),
        ("backlog = -1", "backlog in conf.py"),
    ],
)
def test_what_is_wrong_in_the_file_keeps_hublet_from_starting(
    tmp_path: Path, command: Start, text: str, problem: str
) -> None:
    (tmp_path / "conf.py").write_text(text + "\n")
    hublet = command("--from-gunicorn", "conf.py", "shop:app", "--bind", "127.0.0.1:0")
    assert hublet.wait() != 0
    assert problem in hublet.errors


def test_options_of_gunicorn_without_a_meaning_say_why(command: Start) -> None:
    hublet = command("shop:app", "--threads", "4")
    assert hublet.wait() == 2
    assert "there is no option --threads, as gunicorn has it: every request has a greenlet of its own" in hublet.errors
    hublet = command("--from-gunicorn", "missing.py", "shop:app")
    assert hublet.wait() == 2
    assert "there is no such file" in hublet.errors
