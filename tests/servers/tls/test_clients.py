"""Clients that people use, against a server in a process of its own: curl, http.client, openssl, and WebSockets."""

from __future__ import annotations

import http.client
import subprocess
import threading
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from tests.conftest import GET, Launch, Process
from tests.servers.tls.conftest import Files

SERVER = """
    import sys
    {first}
    import gevent
    from hublet.servers.server import WSGIServer
    {second}
    import simple_websocket

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/taken":
            taken = simple_websocket.Server(environ)
            try:
                while True:
                    taken.send(taken.receive())
            except simple_websocket.ConnectionClosed:
                return []
        websocket = environ.get("wsgi.websocket")
        if websocket is not None:
            if path == "/burst":
                for number in range(200):
                    websocket.send(bytes(1000) * (number % 50))
                return []
            while (message := websocket.receive()) is not None:
                websocket.send(message)
            return []
        start_response("200 OK", [("Content-Type", "text/plain")])
        body = environ["wsgi.input"].read()
        return [environ["wsgi.url_scheme"].encode() + b" " + b"%d" % len(body)]

    server = WSGIServer(("127.0.0.1", 0), app, log=None, certfile=sys.argv[1], keyfile=sys.argv[2])
    server.start()
    print(server.address[1], flush=True)
    server.serve_forever()
"""
PATCH = "from gevent import monkey; monkey.patch_all()"


@pytest.fixture(params=["patched", "patched late", "unpatched"])
def running(launch: Launch, files: Files, request: pytest.FixtureRequest) -> Process:
    first, second = {"patched": (PATCH, ""), "patched late": ("", PATCH), "unpatched": ("", "")}[request.param]
    return launch(SERVER.format(first=first, second=second), *files.server)


@pytest.fixture
def patched(launch: Launch, files: Files) -> Process:
    return launch(SERVER.format(first=PATCH, second=""), *files.server)


def test_http_client(running: Process, files: Files) -> None:
    connection = http.client.HTTPSConnection("localhost", running.port, context=files.trusting(), timeout=10)
    for size in (0, 1, 1_000_000):
        connection.request("POST", "/", body=bytes(size))
        assert connection.getresponse().read() == b"https %d" % size
    connection.close()
    assert "RecursionError" not in running.errors()


def test_curl(patched: Process, files: Files, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(3_000_000))
    url = f"https://localhost:{patched.port}/"
    for version in ("--tlsv1.2", "--tlsv1.3"):
        command = ["curl", "-sS", version, "--cacert", files.authority.certificate, "--data-binary", f"@{upload}"]
        done = subprocess.run([*command, url, url], capture_output=True, text=True, timeout=20)
        assert (done.stdout, done.stderr) == (2 * "https 3000000", "")
    refused = subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=20)
    assert refused.returncode == 60  # the certificate is nobody's that curl knows


def test_keys_that_are_renewed_in_the_middle(patched: Process, files: Files) -> None:
    """`K` has openssl's client ask for new keys in both directions (RFC 8446 section 4.6.3)."""
    command = ["openssl", "s_client", "-connect", f"localhost:{patched.port}", "-CAfile", files.authority.certificate]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watch = threading.Timer(20, process.kill)
    watch.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        steps = [(b"Verify return code: 0", b"K\n"), (b"KEYUPDATE", GET), (b"https 0", b"K\n"), (b"KEYUPDATE", GET)]
        for expected, order in [*steps, (b"https 0", b"")]:
            while expected not in seen:
                part = process.stdout.read1(65536)  # type: ignore[attr-defined]  # it is a BufferedReader
                assert part, f"no {expected!r} but {seen!r}"
                seen += part
            seen = b""
            process.stdin.write(order)
            process.stdin.flush()
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


@pytest.mark.parametrize("path", ["/echo", "/taken"])
def test_websockets(patched: Process, files: Files, path: str) -> None:
    url = f"wss://localhost:{patched.port}{path}"
    with connect_websocket(url, ssl=files.trusting(), max_size=None) as websocket:
        for message in ("text", b"bytes", b"x" * 500_000, ""):
            websocket.send(message)
            assert websocket.recv(timeout=10) == message
    assert patched.errors() == ""


def test_a_websocket_that_has_more_to_say_than_its_peer_takes_at_once(patched: Process, files: Files) -> None:
    with connect_websocket(f"wss://localhost:{patched.port}/burst", ssl=files.trusting()) as websocket:
        assert [len(message) for message in websocket] == [number % 50 * 1000 for number in range(200)]
