"""What was imported too early is found wherever it is held, and rebound or explained; lazy objects stay asleep."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hublet.runtime.limits import CAPTURE_DEPTH, CAPTURE_ITEMS

DRIVER = f"""
import functools, queue, socket, ssl, threading, time
from _queue import SimpleQueue
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext
from time import sleep as nap

def default(seconds=0.0, sleep=time.sleep): return sleep
def keyword(*, sleep=time.sleep): return sleep
def make():
    wait = time.sleep
    def closure(): return wait
    return closure
closure = make()
partly = functools.partial(time.sleep, 0)
table = {{"nap": time.sleep, "deeper": [time.sleep]}}
frozen = (time.sleep,)
class Client:
    sleep = staticmethod(time.sleep)
    socket = socket.socket
    def __init__(self): self.sleep, self.lock = time.sleep, threading.Lock()
class Slotted:
    __slots__ = ("sleep",)
    def __init__(self): self.sleep = time.sleep
class Connection(socket.socket): pass
client, slotted = Client(), Slotted()
lock, rlock, simple = threading.Lock(), threading.RLock(), SimpleQueue()
shared = threading.Lock()
release = shared.release
held = threading.Lock()
held.acquire()
filled = SimpleQueue()
filled.put(1)
local = threading.local()
local.value = 7
opened = socket.socket()
at_limit = [None] * {CAPTURE_ITEMS - 1} + [time.sleep]
above_limit = [None] * {CAPTURE_ITEMS} + [time.sleep]
below_limit = [None] * {CAPTURE_ITEMS - 2} + [time.sleep]
deep, deeper = {{0: time.sleep}}, {{0: time.sleep}}
for _ in range({CAPTURE_DEPTH - 1}): deep = {{0: deep}}
for _ in range({CAPTURE_DEPTH}): deeper = {{0: deeper}}
context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
executor = ThreadPoolExecutor(1)
"""
SCRIPT = """
import json, ssl, sys, threading, time
import driver
import hublet
problems = hublet.patch_all()
from hublet.patches.patching import CAPTURES
def last(value):
    while isinstance(value, dict): value = value[0]
    return value
d = driver
rebound = {
    "attribute": d.nap, "default": d.default(), "keyword": d.keyword(), "closure": d.closure(),
    "partial": d.partly.func,
    "item": d.table["nap"], "list": d.table["deeper"][0], "instance": d.client.sleep, "slot": d.slotted.sleep,
    "at": d.at_limit[-1], "below": d.below_limit[-1], "deep": last(d.deep),
    "above": d.above_limit[-1], "deeper": last(d.deeper), "tuple": d.frozen[0],
}
d.context.minimum_version = ssl.TLSVersion.TLSv1_2
d.context.check_hostname = False
d.context.verify_mode = ssl.CERT_NONE
d.context.options |= ssl.OP_NO_TICKET
d.context._msg_callback = None
import gevent.lock, gevent.queue
print(json.dumps({
    "rebound": {name: value is time.sleep for name, value in rebound.items()},
    "socket": d.Client.socket.__module__,
    "locks": [type(each).__module__ for each in (d.lock, d.client.lock, d.shared, d.held)],
    "rlock": type(d.rlock).__module__, "queues": [type(each).__module__ for each in (d.simple, d.filled)],
    "local": [isinstance(d.local, threading.local), d.local.value],
    "sslsocket": d.context.sslsocket_class.__module__,
    "executor": type(d.executor._work_queue).__module__,
    "second": hublet.patch_all(),
    "problems": [each for each in problems if each.startswith("driver")],
    "captures": len(CAPTURES),
}))
"""


def run_python(directory: Path, script: str) -> Any:
    """Run a script in an interpreter that nothing has patched yet; return what it prints last."""
    (directory / "script.py").write_text(script)
    command = [sys.executable, "-W", "error", "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("early")
    (directory / "driver.py").write_text(DRIVER)
    return run_python(directory, SCRIPT)


def test_every_place_that_is_looked_at_again_is_rebound(result: Any) -> None:
    left = {name for name, rebound in result["rebound"].items() if not rebound}
    assert left == {"tuple", "above", "deeper"}
    assert result["socket"] == "gevent._socket3"


def test_native_objects_are_replaced_only_where_nobody_else_has_them(result: Any) -> None:
    lock, of_client, shared, held = result["locks"]
    assert lock == of_client
    assert lock.startswith("gevent")
    assert shared == held == "_thread"
    assert result["rlock"] == "threading"  # the one of Python's source, whose lock is gevent's
    assert result["queues"][0].startswith("gevent")
    assert result["queues"][1] == "_queue"
    assert result["local"] == [True, 7]
    assert result["executor"].startswith("gevent")  # otherwise its first call would stop the process for good


CONDITIONS = """
import threading
class Pool:
    def __init__(self): self.available = threading.Condition()
free, of_lock, pool = threading.Condition(), threading.Condition(threading.Lock()), Pool()
held = threading.Condition()
held.acquire()
mutex = threading.Lock()
shared = threading.Condition(mutex)
taken = threading.Condition()
enter = taken.acquire
waited_for = threading.Condition()
waited_for._waiters.append(threading.Lock())
twice = [threading.Condition()] * 2
"""


def test_conditions_are_given_a_lock_that_knows_greenlets_where_nobody_uses_theirs(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(CONDITIONS)
    script = """
import json, driver
import hublet
problems = hublet.patch_all()
import gevent
order = []
def enter(condition, number):
    with condition:
        order.append(number)
        gevent.sleep(0.01)
        order.append(number)
def wait():
    with driver.free:
        order.append(driver.free.wait(5))
for condition in (driver.free, driver.of_lock, driver.pool.available, driver.twice[0]):
    gevent.joinall([gevent.spawn(enter, condition, number) for number in range(3)], raise_error=True)
waiting = gevent.spawn(wait)
gevent.sleep(0.01)
with driver.free: driver.free.notify()
waiting.get()
print(json.dumps([order, problems]))
"""
    order, problems = run_python(tmp_path, script)
    assert order == [0, 0, 1, 1, 2, 2] * 4 + [True]
    found = {each.split(" ")[0]: each.partition(";")[0] for each in problems}
    assert set(found) == {f"driver.{name}" for name in ("held", "mutex", "shared", "taken", "waited_for")}
    line = 1 + CONDITIONS.splitlines().index("held = threading.Condition()")
    assert "driver.held is an unpatched threading.Condition" in found["driver.held"]
    assert f"{tmp_path}/driver.py:" in found["driver.held"]
    assert int(found["driver.held"].split("driver.py:")[1].split(")")[0]) <= line
    assert found["driver.held"].endswith("script.py:2: it keeps no two requests apart")
    assert found["driver.shared"].endswith("script.py:2: a wait for it hangs the process")


def test_the_old_ssl_context_works_and_its_sockets_yield(result: Any) -> None:
    assert result["sslsocket"] == "gevent.ssl"


def test_the_rest_is_named_with_both_lines(result: Any) -> None:
    problems = {each.split(" ")[0]: each for each in result["problems"]}
    assert set(problems) == {
        "driver.frozen[0]",
        "driver.Connection",
        "driver.shared",
        "driver.held",
        "driver.filled",
    } | {"driver.opened"}
    connection = problems["driver.Connection"]
    line = 1 + DRIVER.splitlines().index("class Connection(socket.socket): pass")
    assert "is a subclass of the unpatched socket.socket" in connection
    assert "its socket calls stop every request" in connection
    assert "script.py:3: its" in connection
    assert "`hublet` command" in connection
    assert 0 < int(connection.split("driver.py:")[1].split(")")[0]) <= line
    assert result["second"] == []


def test_lazy_objects_are_not_asked(tmp_path: Path) -> None:
    """Each would raise, or set itself up, if it were asked for anything."""
    (tmp_path / "lazy.py").write_text("""
from django.conf import settings
from django.utils.functional import SimpleLazyObject
from flask import current_app, request
asked = []
class Jealous:
    def __getattribute__(self, name): asked.append(name); raise RuntimeError(name)
class Pretender:
    @property
    def __dict__(self): asked.append("__dict__"); return {}
    @property
    def __class__(self): asked.append("__class__"); return int
jealous, pretender, lazy = Jealous(), Pretender(), SimpleLazyObject(lambda: asked.append("lazy"))
""")
    script = (
        "import json, lazy, hublet\nproblems = hublet.patch_all()\n"
        "print(json.dumps([lazy.asked, [each for each in problems if 'lazy' in each]]))"
    )
    assert run_python(tmp_path, script) == [[], []]


def test_names_of_patched_libraries_are_rebound_too(tmp_path: Path) -> None:
    """But not within the library, where what replaces a name may call the original."""
    (tmp_path / "thelib.py").write_text("def wait(): return 'blocks'\n_original = wait\n")
    (tmp_path / "thepatch.py").write_text("import thelib\ndef wait(): return thelib._original() + ' elsewhere'\n")
    (tmp_path / "user.py").write_text("from thelib import wait\nFROZEN = (wait,)\n")
    script = """
import json, user, thelib
import hublet
from hublet.patches.patching import REGISTRY
from hublet.patches.replacement import Patch, Replacement
REGISTRY.add(Patch("thelib", "it blocks", (Replacement("thelib:wait", "thepatch:wait"),), module="thelib"))
problems = hublet.patch_all()
print(json.dumps([user.wait(), thelib._original(), problems]))
"""
    elsewhere, original, (problem,) = run_python(tmp_path, script)
    assert (elsewhere, original) == ("blocks elsewhere", "blocks")
    assert problem.startswith("user.FROZEN[0] (item) holds the unpatched thelib.wait (")
    assert "user.py:1)" in problem


def test_somebody_else_may_have_patched_too_late(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("from time import sleep\n")
    script = (
        "import json, driver, time\nfrom gevent import monkey; monkey.patch_all()\n"
        "import hublet\nprint(json.dumps([hublet.patch_all(), driver.sleep is time.sleep]))"
    )
    assert run_python(tmp_path, script) == [[], True]


def test_nothing_is_walked_where_nothing_came_before(tmp_path: Path) -> None:
    script = """
import json, sys
before = set(sys.modules)
import hublet.patches.patching as patching
walked = []
patching.rebind_captures = lambda modules, patches: walked.extend(modules) or []
import hublet
hublet.patch_all()
walked = [each for each in walked if each not in before and not each.startswith("_cython_")]
print(json.dumps([walked, patching.CAPTURES]))
"""
    assert run_python(tmp_path, script) == [[], []]


def test_early_libraries_work_after_all(tmp_path: Path) -> None:
    """Requests over TLS with urllib3 imported first ends in RecursionError otherwise; and all of it takes no second."""
    script = """
import json, sys, time
import requests, flask, django.db, urllib3.util.ssl_
import hublet
problems = hublet.patch_all()
from hublet.patches.captures import find_captures
begin = time.process_time()
left = find_captures(tuple(sys.modules))
seconds = time.process_time() - begin
context = urllib3.util.ssl_.create_urllib3_context()
print(json.dumps([problems, seconds, type(context).__module__, [str(each) for each in left]]))
"""
    problems, seconds, module, left = run_python(tmp_path, script)
    assert problems == left == []
    assert seconds < 1
    assert module == "gevent.ssl"
