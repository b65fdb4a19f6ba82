"""aiohttp on its usual asyncio loop."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web

from .messages import MESSAGE

subscribers: set[web.WebSocketResponse] = set()


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Answer every message by itself."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
    return websocket


async def subscribe(request: web.Request) -> web.WebSocketResponse:
    """Take what is published."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    subscribers.add(websocket)
    try:
        async for _ in websocket:
            pass
    finally:
        subscribers.discard(websocket)
    return websocket


async def publish(request: web.Request) -> web.WebSocketResponse:
    """Publish back to back as long as the publisher is connected."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    publishing = asyncio.ensure_future(send_to_all())
    try:
        async for _ in websocket:
            pass
    finally:
        publishing.cancel()
    return websocket


async def send_to_all() -> None:
    """Send to every subscriber, which waits for those that do not read."""
    while True:
        for subscriber in list(subscribers):
            if not subscriber.closed:
                await subscriber.send_str(MESSAGE)
        await asyncio.sleep(0)


def main() -> None:
    """Serve."""
    host, port = sys.argv[1:]
    app = web.Application()
    app.add_routes([web.get("/broadcast", subscribe), web.get("/publish", publish), web.get("/{path:.*}", echo)])
    web.run_app(app, host=host, port=int(port), access_log=None, print=None, backlog=1024)


if __name__ == "__main__":
    main()
