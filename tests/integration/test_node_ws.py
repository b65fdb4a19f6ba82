"""hublet and ws, the WebSocket client that most JavaScript programs outside browsers use, understand each other."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loadtests.bench.node import install_ws
from tests.conftest import Launch

CLIENT = Path(__file__).with_name("node_ws_client.js")
CLIENT_SECONDS = 60
STYLES = ["callback", "blocking"]
COMPRESSIONS = ["off", "message", "connection"]

SERVER = """
    import sys

    import hublet
    from geventwebsocket import WebSocketApplication
    from hublet.servers.server import WSGIServer
    from hublet.servers.settings import Settings

    class Echo(WebSocketApplication):
        def on_message(self, message):
            if message is not None:
                self.ws.send(message)

    class Closer(WebSocketApplication):
        def on_open(self):
            self.ws.close(4001, b"so long")

    def blocking(environ, start_response):
        websocket = environ["wsgi.websocket"]
        if environ["PATH_INFO"] == "/blocking/close":
            websocket.close(4001, b"so long")
        else:
            while (message := websocket.receive()) is not None:
                websocket.send(message)
        return []

    app = hublet.websockets({"/callback/close": Closer, "/callback": Echo}, blocking)
    settings = Settings(websocket_compression=sys.argv[1])
    server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None, settings=settings)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
"""


class Message(NamedTuple):
    """A message as ws sends it, a frame for each part."""

    parts: list[bytes]
    binary: bool = False


class Outcome(NamedTuple):
    """What the client saw."""

    extensions: str
    echoes: list[tuple[bytes, bool]]
    pong: str | None
    code: int
    reason: str
    error: str | None


def connect(
    url: str,
    *messages: Message,
    deflate: bool = False,
    ping: str | None = None,
    close: tuple[int, str] | None = (1000, ""),
) -> Outcome:
    """Run the client: send the messages, wait for as many, close."""
    job: dict[str, Any] = {
        "url": url, "deflate": deflate, "ping": ping, "close": close,
        "messages": [
            {"parts": [b64encode(part).decode() for part in message.parts], "binary": message.binary}
            for message in messages
        ],
    }  # fmt: skip
    run = subprocess.run(
        ["node", str(CLIENT)], input=json.dumps(job), capture_output=True, text=True, timeout=CLIENT_SECONDS,
        check=False, env={**os.environ, "NODE_PATH": str(install_ws())},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    echoes = [(b64decode(echo["data"]), echo["binary"]) for echo in found.pop("echoes")]
    return Outcome(echoes=echoes, **found)


def echoes_of(*messages: Message) -> list[tuple[bytes, bool]]:
    """What an echo server answers to messages."""
    return [(b"".join(message.parts), message.binary) for message in messages]


@pytest.fixture
def url(launch: Launch, request: pytest.FixtureRequest) -> str:
    """A server's URL; its compression may be chosen by an indirect parameter."""
    process = launch(SERVER, getattr(request, "param", "message"))
    return f"ws://127.0.0.1:{process.port}"


TEXT = Message(["Grüße, Jürgen ❤".encode()])
BYTES = Message([bytes(range(256))], binary=True)
EMPTY = Message([b""])
FRAGMENTED = Message([b"a", b"", "ä".encode()[:1], "ä".encode()[1:], b"z" * 70_000])
BYTE_FRAGMENTS = Message([b"\xff" * 125, b"\x00" * 126, b"\x80"], binary=True)
MEBIBYTE = Message([b"0123456789abcdef" * 65_536])
# Deflate makes random bytes a little longer, and the limit of 1 MiB is also one of what a frame may announce.
RANDOM = Message([os.urandom((1 << 20) - 4096)], binary=True)
ALL = (TEXT, BYTES, EMPTY, FRAGMENTED, BYTE_FRAGMENTS, MEBIBYTE, RANDOM)


@pytest.mark.parametrize("url", COMPRESSIONS, indirect=True)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
def test_messages_of_every_form_come_back(url: str, style: str, deflate: bool, request: pytest.FixtureRequest) -> None:
    outcome = connect(f"{url}/{style}", *ALL, deflate=deflate)
    assert outcome.error is None
    assert outcome.echoes == echoes_of(*ALL)
    is_off = request.node.callspec.params["url"] == "off"
    assert outcome.extensions == ("permessage-deflate" if deflate and not is_off else "")
    assert outcome.code == 1000


@pytest.mark.parametrize("style", STYLES)
def test_a_ping_is_answered(url: str, style: str) -> None:
    assert connect(f"{url}/{style}", TEXT, ping="are you there?").pong == "are you there?"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_the_code_that_the_client_closes_with_is_answered(url: str, style: str, code: int) -> None:
    outcome = connect(f"{url}/{style}", TEXT, close=(code, "enough"))
    assert (outcome.code, outcome.error) == (code, None)


@pytest.mark.parametrize("style", STYLES)
def test_the_code_and_reason_that_the_application_closes_with_reach_the_client(url: str, style: str) -> None:
    outcome = connect(f"{url}/{style}/close", close=None)
    assert (outcome.code, outcome.reason, outcome.error) == (4001, "so long", None)


@pytest.mark.parametrize("style", STYLES)
def test_a_message_above_the_limit_is_closed_with_1009(url: str, style: str) -> None:
    outcome = connect(f"{url}/{style}", Message([b"x" * ((1 << 20) + 1)]), close=None)
    assert (outcome.code, outcome.echoes) == (1009, [])


@pytest.mark.parametrize("style", STYLES)
def test_text_that_is_not_utf_8_is_closed_with_1007(url: str, style: str) -> None:
    outcome = connect(f"{url}/{style}", Message([b"\xff"]), close=None)
    assert (outcome.code, outcome.echoes) == (1007, [])
