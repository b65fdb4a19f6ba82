"""The clients that count everything: a process that runs them until its standard input ends, told by lines what to do.

    keep-alive  requests one after the other on a connection, a new one when the server announces the end of the old
    fresh       a connection for each request
    slow        requests that the application takes SLOW_SECONDS for, each on a kept connection that a quick one opened
    websocket   echoes on a connection that comes back after close code 1012

`report` on standard input is answered by a line of JSON: what has happened since the last one. A failure is a request
without its whole, right answer; a WebSocket that ended otherwise than by 1012; a connection that was not accepted.
A kept connection that ends while nothing is asked on it is no failure, but counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from .tally import UNKNOWN, Tally

HOST: Final = "127.0.0.1"
SERVICE_RESTART: Final = 1012  # IANA's registry of close codes, for RFC 6455 section 7.4
PATIENCE: Final = 15.0  # seconds for one answer
SLOW_SECONDS: Final = 0.4
# Between two requests of a client: the load leaves some of the processors, so that latencies say something.
THINK_SECONDS: Final = 0.02
AFTER_FAILURE_SECONDS: Final = 0.05


class Fleet:
    """All clients of the process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tally = Tally()

    async def keep_alive(self) -> None:
        """Ask again and again."""
        await self._ask_on_kept_connections("keep-alive", "/", THINK_SECONDS)

    async def slow(self) -> None:
        """Ask for what takes time."""
        await self._ask_on_kept_connections("slow", f"/?{SLOW_SECONDS}", 0.0)

    async def fresh(self) -> None:
        """Ask on a connection for each request."""
        while True:
            connection = HttpConnection(self.port)
            await self._ask("fresh", connection, "/", close=True)
            connection.close()
            await asyncio.sleep(THINK_SECONDS)

    async def websocket(self) -> None:
        """Send a message, wait for its echo, again and again; come back after 1012."""
        while True:
            worker, began = UNKNOWN, time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    connection = await connect(f"ws://{HOST}:{self.port}/", proxy=None, compression=None)
                    worker = int(str(await connection.recv()).split()[1])
                async with connection:
                    while True:
                        began = time.monotonic()
                        async with asyncio.timeout(PATIENCE):
                            await connection.send("hello")
                            await connection.recv()
                        self.tally.echoes += 1
                        await asyncio.sleep(THINK_SECONDS)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else None
                if code == SERVICE_RESTART:
                    self.tally.reconnects += 1
                else:
                    await self._failed("websocket", f"closed with {code}", worker, began)
            except (OSError, InvalidHandshake, TimeoutError) as error:
                await self._failed("websocket", type(error).__name__, worker, began)

    async def _ask_on_kept_connections(self, client: str, path: str, think: float) -> None:
        while True:
            connection = HttpConnection(self.port)
            good = await self._ask(client, connection, "/")
            while good and not connection.ends:
                await asyncio.sleep(think)
                if connection.has_ended():
                    self.tally.idle_ends += 1
                    break
                good = await self._ask(client, connection, path)
            connection.close()

    async def _ask(self, client: str, connection: HttpConnection, path: str, close: bool = False) -> bool:
        sent = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await connection.ask(path, close)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            await self._failed(client, type(error).__name__, connection.worker, sent)
            return False
        self.tally.served += 1
        if path == "/":
            self.tally.latencies.append(time.monotonic() - sent)
        self.tally.answers[answer] = self.tally.answers.get(answer, 0) + 1
        return True

    async def _failed(self, client: str, kind: str, worker: int, sent: float) -> None:
        self.tally.fail(client, kind, worker, sent)
        await asyncio.sleep(AFTER_FAILURE_SECONDS)

    def report(self) -> str:
        """Give the tally as a line, and begin a new one."""
        tally, self.tally = self.tally, Tally()
        return tally.to_line()


class HttpConnection:
    """One connection, as much of HTTP as the application's answers need. `worker` is who answered last."""

    def __init__(self, port: int) -> None:
        self.worker = UNKNOWN
        self.ends = False
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, close: bool) -> str:
        """Send a request and return the body. Raises OSError, EOFError, or ValueError for a wrong answer."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        ending = "Connection: close\r\n" if close else ""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{ending}\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        if head[0] != "http/1.1 200 ok":
            raise ValueError(head[0])
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        body = (await self._reader.readexactly(int(fields["content-length"]))).decode()
        self.ends = fields.get("connection") == "close"
        self.worker = int(body.split()[1])
        return body

    def has_ended(self) -> bool:
        """Whether the server has ended it while nothing was asked."""
        return self._reader is not None and (self._reader.at_eof() or self._reader.exception() is not None)

    def close(self) -> None:
        """Let go of it."""
        if self._writer is not None:
            self._writer.close()


async def obey(fleet: Fleet) -> None:
    """Answer the lines of standard input, until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(fleet.report(), flush=True)


async def run(port: int, counts: list[int]) -> None:
    """Run so many clients of each kind."""
    fleet = Fleet(port)
    kinds: list[Callable[[], Awaitable[None]]] = [fleet.keep_alive, fleet.fresh, fleet.slow, fleet.websocket]
    tasks = [asyncio.ensure_future(kind()) for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    await obey(fleet)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, asyncio.CancelledError):
            raise RuntimeError("a client ended by itself") from result


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), [int(count) for count in sys.argv[2:]]))
