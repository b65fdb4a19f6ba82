"""picows on uvloop."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from .messages import MESSAGE

ready: set[WSTransport] = set()  # the subscribers whose write buffer is not full


class Echo(WSListener):  # type: ignore[misc]
    """Answers every message by itself."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer a frame."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview(), fin=frame.fin)


class Subscriber(Echo):
    """Takes what is published, but for the time that its write buffer is full."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe."""
        self.transport = transport
        ready.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End the subscription."""
        ready.discard(transport)

    def pause_writing(self) -> None:
        """Leave this one out."""
        ready.discard(self.transport)

    def resume_writing(self) -> None:
        """Take it in again."""
        if not self.transport.is_disconnected:
            ready.add(self.transport)


class Publisher(Echo):
    """Publishes as long as it is connected."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin."""
        self.publishing = asyncio.ensure_future(self.publish())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End."""
        self.publishing.cancel()

    async def publish(self) -> None:
        """Publish back to back."""
        message = MESSAGE.encode()
        while True:
            for subscriber in list(ready):
                subscriber.send(WSMsgType.TEXT, message)
            await asyncio.sleep(0)


LISTENERS: dict[bytes, type[WSListener]] = {b"/broadcast": Subscriber, b"/publish": Publisher}


def choose_listener(request: WSUpgradeRequest) -> WSListener:
    """Make the listener for a path."""
    return LISTENERS.get(request.path, Echo)()


async def main() -> None:
    """Serve."""
    host, port = sys.argv[1:]
    server = await ws_create_server(choose_listener, host, int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
