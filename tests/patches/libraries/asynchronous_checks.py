"""What is checked of asyncpg and nats in a process that is patched: event loops of requests, against real servers."""

from __future__ import annotations

import asyncio
from typing import Any

import gevent

from .probe import assert_yields, killed_inside


def check_asyncpg(dsn: str, port: int) -> None:
    import asyncpg

    async def query() -> Any:
        connection = await asyncpg.connect(dsn=dsn)
        try:
            async with connection.transaction():
                return await connection.fetchval("SELECT 7 FROM pg_sleep(0.2)")
        finally:
            await connection.close()

    assert assert_yields(lambda: asyncio.run(query()), stall=0.1) == [7] * 20


def check_asyncpg_errors_and_timeouts(dsn: str, port: int) -> None:
    import asyncpg

    async def work() -> list[Any]:
        connection = await asyncpg.connect(dsn=dsn)
        seen = []
        try:
            await connection.fetchval("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            seen.append("error")
        try:
            await connection.fetchval("SELECT pg_sleep(5)", timeout=0.1)
        except TimeoutError:
            seen.append("timeout")
        seen.append(await connection.fetchval("SELECT 1"))
        await connection.close()
        return seen

    assert asyncio.run(work()) == ["error", "timeout", 1]


def check_asyncpg_killed(dsn: str, port: int) -> None:
    import asyncpg

    async def long() -> None:
        connection = await asyncpg.connect(dsn=dsn)
        await connection.execute("SELECT pg_sleep(20)")

    assert killed_inside(lambda: asyncio.run(long()), after=0.3) < 5


def check_nats(dsn: str, port: int) -> None:
    import nats

    async def answer(ready: gevent.event.Event) -> None:
        client = await nats.connect(f"nats://127.0.0.1:{port}")

        async def respond(message: Any) -> None:
            async def later() -> None:
                await asyncio.sleep(0.2)
                await message.respond(message.data)

            tasks.append(asyncio.create_task(later()))

        tasks: list[Any] = []
        await client.subscribe("echo", cb=respond)
        await client.flush()
        ready.set()
        await asyncio.sleep(60)

    async def ask() -> bytes:
        client = await nats.connect(f"nats://127.0.0.1:{port}")
        reply: bytes = (await client.request("echo", b"seven", timeout=10)).data
        await client.close()
        return reply

    ready = gevent.event.Event()
    responder = gevent.spawn(asyncio.run, answer(ready))
    assert ready.wait(10)
    assert assert_yields(lambda: asyncio.run(ask()), stall=0.1) == [b"seven"] * 20
    responder.kill()
