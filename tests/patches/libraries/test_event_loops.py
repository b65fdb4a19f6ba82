"""asyncio in greenlets: many loops at once, what runs on them, and a synchronous server that answers meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from loadtests.private.nats import nats_server
from loadtests.private.postgresql import PostgreSQL

from .probe import ATTEMPTS, assert_checks, run_checks

START = """
import hublet
assert hublet.patch_all() == ()
import asyncio, gevent, json, socket, sys, time

LONGEST = [0.0]
def tick():
    while True:
        began = time.perf_counter()
        gevent.sleep(0.005)
        LONGEST[0] = max(LONGEST[0], time.perf_counter() - began - 0.005)

def at_once(function, count=20):
    '''Seconds of one call, and of `count` at once; what they gave, and the longest stall of the hub.'''
    function(0)
    began = time.perf_counter()
    function(0)
    one = time.perf_counter() - began
    ticker = gevent.spawn(tick)
    gevent.sleep(0.02)
    LONGEST[0] = 0.0
    began = time.perf_counter()
    given = [each.get() for each in [gevent.spawn(function, number) for number in range(count)]]
    many = time.perf_counter() - began
    ticker.kill()
    print(json.dumps({"one": one, "many": many, "stall": LONGEST[0], "given": given}))

def slow_server():
    '''Answers HTTP requests after 200 ms, as something across the network would.'''
    from gevent.pywsgi import WSGIServer
    def app(environ, start_response):
        gevent.sleep(0.2)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    return f"http://127.0.0.1:{server.server_port}"
"""


def run(script: str, **variables: str) -> Any:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", START + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def assert_cooperative(measured: Any, given: list[Any]) -> None:
    assert measured["given"] == given
    assert measured["many"] < 2 * max(measured["one"], 0.2) + 0.2
    assert measured["one"] >= 0.2


def test_asyncio_run_in_twenty_greenlets() -> None:
    script = """
        async def work(number):
            loop = asyncio.get_running_loop()
            assert asyncio.current_task().get_loop() is loop is asyncio.get_event_loop()
            queue = asyncio.Queue()
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                group.create_task(queue.put(number))
                group.create_task(asyncio.sleep(0.2))
                group.create_task(asyncio.to_thread(time.sleep, 0.1))
            assert asyncio.Future().get_loop() is loop
            assert asyncio.get_running_loop() is loop
            return await queue.get()
        at_once(lambda number: asyncio.run(work(number)))
        """
    stalls = []
    for _ in range(ATTEMPTS):
        measured = run(script)
        assert_cooperative(measured, list(range(20)))
        stalls.append(measured["stall"])
        if stalls[-1] < 0.1:
            return
    raise AssertionError(f"the hub stalls for {stalls} s")


def test_a_coroutine_that_blocks_lets_other_greenlets_run_their_loops() -> None:
    measured = run(
        """
        async def work(number):
            loop = asyncio.get_running_loop()
            await asyncio.sleep(0)
            time.sleep(0.2)
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(0)
            assert asyncio.Future().get_loop() is loop
            return number
        at_once(lambda number: asyncio.run(work(number)))
        """
    )
    assert_cooperative(measured, list(range(20)))


def test_after_a_blocking_call_a_coroutine_still_has_its_own_loop() -> None:
    """Other greenlets block within coroutines of theirs then; what is compiled asks for the loop, too."""
    measured = run(
        """
        import _asyncio
        async def nothing(): ...
        async def work(number):
            loop = asyncio.get_running_loop()
            for pause in (0.06, 0.04, 0.1):
                time.sleep(pause + number / 5000)
                task = _asyncio.Task(nothing())
                for made in (asyncio.Future(), _asyncio.Future(), task, asyncio.ensure_future(task)):
                    assert made.get_loop() is loop
                assert asyncio.get_event_loop() is asyncio.get_event_loop_policy().get_event_loop() is loop
                assert asyncio.current_task().get_loop() is loop
                await task
                future = asyncio.Future()
                loop.call_later(0.001, future.set_result, number)
                assert await future == number
            return number
        at_once(lambda number: asyncio.run(work(number)))
        """
    )
    assert_cooperative(measured, list(range(20)))


def test_asynchronous_generators_are_closed_by_the_loop_that_began_them() -> None:
    assert run(
        """
        import gc
        closed = []
        async def numbers(name):
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0)
                closed.append((name, asyncio.get_running_loop() is LOOPS[name]))
        LOOPS = {}
        async def work(name, pause):
            LOOPS[name] = asyncio.get_running_loop()
            for turn in range(3):
                await asyncio.sleep(pause)
                dropped = numbers(name)
                assert await anext(dropped) == 1
                del dropped
            kept = numbers(name)
            assert await anext(kept) == 1
            await asyncio.sleep(pause)
            return kept
        kept = [gevent.spawn(asyncio.run, work(name, 0.01 + name / 100)) for name in range(5)]
        gevent.joinall(kept)
        print(json.dumps([sorted(closed), sys.get_asyncgen_hooks() == (None, None)]))
        """
    ) == [[[name, True] for name in range(5) for _ in range(4)], True]


def test_tasks_stay_compiled_and_rules_stay() -> None:
    assert run(
        """
        import _asyncio
        async def nested():
            coroutine = asyncio.sleep(0)
            try:
                asyncio.run(coroutine)
            except RuntimeError as error:
                coroutine.close()
                return str(error)
        async def cancelled():
            task = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return "cancelled"
        def outside():
            try:
                asyncio.get_running_loop()
            except RuntimeError as error:
                return str(error)
        print(json.dumps([asyncio.Task is _asyncio.Task, asyncio.run(nested()), asyncio.run(cancelled()), outside()]))
        """
    ) == [True, "asyncio.run() cannot be called from a running event loop", "cancelled", "no running event loop"]


def test_a_killed_greenlet_closes_its_loop() -> None:
    assert run(
        """
        events = []
        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                events.append("finally")
        victim = gevent.spawn(asyncio.run, work())
        gevent.sleep(0.05)
        victim.kill()
        from hublet.patches.libraries.event_loops import RUNNING
        async def after():
            return "works"
        print(json.dumps([events, len(RUNNING), asyncio.run(after())]))
        """
    ) == [["finally"], 0, "works"]


def test_processes_servers_and_streams() -> None:
    assert run(
        """
        async def work(number):
            async def handle(reader, writer):
                writer.write(await reader.readline())
                writer.close()
            async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"%d\\n" % number)
                echoed = await reader.read()
                writer.close()
                await writer.wait_closed()
            process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
            output, _ = await process.communicate(echoed)
            return int(output)
        print(json.dumps([each.get() for each in [gevent.spawn(asyncio.run, work(n)) for n in range(5)]]))
        """
    ) == list(range(5))


def test_aiohttp() -> None:
    measured = run(
        """
        import aiohttp
        url = slow_server()
        async def fetch(number):
            async with aiohttp.ClientSession() as session, session.get(f"{url}/{number}") as response:
                return await response.text()
        at_once(lambda number: asyncio.run(fetch(number)))
        """
    )
    assert_cooperative(measured, [f"/{number}" for number in range(20)])


def test_httpx() -> None:
    measured = run(
        """
        import httpx
        url = slow_server()
        async def fetch(number):
            async with httpx.AsyncClient(verify=False) as client:
                return (await client.get(f"{url}/{number}")).text
        at_once(lambda number: asyncio.run(fetch(number)))
        """
    )
    assert_cooperative(measured, [f"/{number}" for number in range(20)])


@pytest.mark.parametrize("direction", ["async_to_sync", "both ways"])
def test_asgiref(direction: str) -> None:
    body = "time.sleep(0.2)" if direction == "both ways" else "await asyncio.sleep(0.2)"
    call = f"await sync_to_async(lambda: {body})()" if direction == "both ways" else body
    measured = run(
        f"""
        from asgiref.sync import async_to_sync, sync_to_async
        async def work(number):
            {call}
            return number
        at_once(async_to_sync(work))
        """
    )
    assert_cooperative(measured, list(range(20)))


def test_asynchronous_django_views() -> None:
    measured = run(
        """
        import logging
        from django.conf import settings
        settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__")
        import django
        django.setup()
        from django.core.wsgi import get_wsgi_application
        from django.http import HttpResponse
        from django.urls import path
        import urllib.request
        async def view(request, number):
            await asyncio.sleep(0.2)
            return HttpResponse(str(number))
        urlpatterns = [path("<int:number>", view)]
        server = hublet.WSGIServer(("127.0.0.1", 0), get_wsgi_application(), log=None)
        server.start()
        def fetch(number):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{number}") as response:
                return int(response.read())
        at_once(fetch)
        """
    )
    assert_cooperative(measured, list(range(20)))


def test_undoing_leaves_asyncio_identical() -> None:
    assert run(
        """
        import asyncio.base_events, asyncio.selector_events, asyncio.unix_events
        from hublet.patches.patching import REGISTRY
        places = (asyncio, asyncio.events, asyncio.tasks, asyncio.unix_events, asyncio.base_events.BaseEventLoop,
                  asyncio.selector_events.BaseSelectorEventLoop, asyncio.events.BaseDefaultEventLoopPolicy)
        patch = REGISTRY.outcomes["asyncio"].patch
        patch.undo()
        before = [dict(vars(each)) for each in places]
        patch.apply()
        pairs = [(vars(place), was) for place, was in zip(places, before)]
        changed = sum(now[name] is not value for now, was in pairs for name, value in was.items())
        patch.undo()
        after = [dict(vars(each)) for each in places]
        print(json.dumps([changed == len(patch.replacements), after == before]))
        """
    ) == [True, True]


def test_asyncpg_and_nats(postgresql: PostgreSQL, subtests: pytest.Subtests) -> None:
    with nats_server() as port:
        url = f"postgresql://{postgresql.user}@{postgresql.host}:{postgresql.port}/{postgresql.dbname}"
        found = run_checks("asynchronous_checks", dsn=url, port=port)
    assert_checks(subtests, found)
