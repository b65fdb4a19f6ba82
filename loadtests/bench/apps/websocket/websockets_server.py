"""The websockets library's asyncio server."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from .messages import BACKLOG_BYTES, MESSAGE

subscribers: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Do what the path says; anything but a subscription or a publisher is an echo."""
    path = connection.request.path if connection.request else ""
    if path == "/broadcast":
        subscribers.add(connection)
        await connection.wait_closed()
        subscribers.discard(connection)
    elif path == "/publish":
        publishing = asyncio.ensure_future(publish())
        await connection.wait_closed()
        publishing.cancel()
    else:
        await echo(connection)


async def echo(connection: ServerConnection) -> None:
    """Answer every message by itself."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass  # while an answer was sent


async def publish() -> None:
    """Publish back to back."""
    while True:
        broadcast((each for each in subscribers if each.transport.get_write_buffer_size() < BACKLOG_BYTES), MESSAGE)
        await asyncio.sleep(0)


async def main() -> None:
    """Serve."""
    host, port = sys.argv[1:]
    async with serve(handle, host, int(port), backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
