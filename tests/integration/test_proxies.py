"""nginx and Apache in front of hublet, as deploy/ configures them: HTTP, an event stream, an upload, a WebSocket.

Each runs as a private server of this user on a free port, with a copy of the configuration in which only ports differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket as blocking_socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest

from loadtests.private.process import free_port
from tests.conftest import PATIENCE, ROOT, Client, Launch, Process

DEPLOY = ROOT / "deploy"
MODULES = Path("/usr/lib/apache2/modules")  # Debian's apache2-bin

SERVER = """
    import hashlib, json
    from gevent.event import Event
    from hublet.servers.server import WSGIServer
    from hublet.servers.settings import Settings

    go_on = Event()
    KEYS = (
        "REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME",
        "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PREFIX", "HTTP_FORWARDED",
    )

    def stream():
        yield b"data: 1\\n\\n"
        go_on.wait()
        yield b"data: 2\\n\\n"

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/echo":
            websocket = environ["wsgi.websocket"]
            while (message := websocket.receive()) is not None:
                websocket.send(message)
            return []
        if path == "/events":
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return stream()
        start_response("200 OK", [("Content-Type", "application/json")])
        if path == "/upload":
            digest, size = hashlib.sha256(), 0
            while piece := environ["wsgi.input"].read(65536):
                digest.update(piece)
                size += len(piece)
            return [json.dumps([size, digest.hexdigest()]).encode()]
        if path == "/go-on":
            go_on.set()
        return [json.dumps({key: environ.get(key) for key in KEYS}).encode()]

    server = WSGIServer(("127.0.0.1", 0), app, log=None, settings=Settings())
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
"""

NGINX = """\
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {folder}/site.conf;
}}
"""
APACHE = """\
ServerRoot {folder}
PidFile apache.pid
ServerName proxy.example
ErrorLog {folder}/log
Listen 127.0.0.1:{port}
{modules}
Include {folder}/site.conf
"""
APACHE_MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")


def program(name: str) -> str:
    """The path of a program that tests/install-packages.sh installs."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is missing: run tests/install-packages.sh (or make packages) as root"
    return found


def substituted(name: str, folder: Path, **changes: tuple[str, str]) -> None:
    """Write site.conf: a configuration of deploy/ with some texts replaced, each of which must be there."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in changes.values():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text, encoding="utf-8")


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    """Write nginx's configuration, and return the command."""
    substituted(
        "nginx.conf", folder,
        ipv4=("listen 80;", f"listen 127.0.0.1:{port};"), ipv6=("listen [::]:80;", ""),
        upstream=("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
    )  # fmt: skip
    (folder / "main.conf").write_text(NGINX.format(folder=folder))
    return [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "main.conf")]


def apache(folder: Path, port: int, upstream: int) -> list[str]:
    """Write Apache's configuration, and return the command."""
    substituted(
        "apache.conf", folder,
        port=("*:80", f"127.0.0.1:{port}"), upstream=("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
    )  # fmt: skip
    modules = "\n".join(f"LoadModule {each}_module {MODULES}/mod_{each}.so" for each in APACHE_MODULES)
    (folder / "main.conf").write_text(APACHE.format(folder=folder, port=port, modules=modules))
    return [program("apache2"), "-f", str(folder / "main.conf"), "-D", "FOREGROUND"]


@dataclass
class Proxied:
    """A proxy and the server behind it."""

    port: int
    server: Process

    def connect(self) -> Client:
        """Open a connection to the proxy, which is closed at the test's end."""
        client = Client(("127.0.0.1", self.port))
        self.server.clients.append(client)
        return client


@pytest.fixture(params=[nginx, apache], ids=["nginx", "apache"])
def proxied(request: pytest.FixtureRequest, launch: Launch, tmp_path: Path) -> Iterator[Proxied]:
    """Run the application and a proxy in front of it."""
    server = launch(SERVER)
    port = free_port()
    tmp_path.chmod(0o755)
    command = request.param(tmp_path, port, server.port)
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                blocking_socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.02)
        yield Proxied(port, server)
    finally:
        server.kill()  # first: Apache waits for the WebSockets that go through it
        process.terminate()
        try:
            process.wait(2 * PATIENCE)  # Apache kills a child that missed its signal after 9 s
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def test_the_application_sees_the_clients_request(proxied: Proxied) -> None:
    client = proxied.connect()
    for forged in ((), ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https",
                        "X-Forwarded-Prefix: //evil.example", "X-Forwarded-Port: 1", "X-Forwarded-Ssl: on",
                        "Forwarded: for=6.6.6.6;host=evil.example")):  # fmt: skip
        client.send("\r\n".join(["GET / HTTP/1.1", "Host: site.example", *forged, "", ""]).encode())
        assert json.loads(client.response().body) == {
            "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "", "wsgi.url_scheme": "http", "HTTP_HOST": "site.example",
            "SERVER_NAME": "site.example", "SERVER_PORT": "80", "SCRIPT_NAME": "", "HTTP_X_FORWARDED_FOR": "127.0.0.1",
            "HTTP_X_FORWARDED_HOST": "site.example", "HTTP_X_FORWARDED_PREFIX": None, "HTTP_FORWARDED": None,
        }  # fmt: skip


def test_an_event_stream_arrives_piece_by_piece(proxied: Proxied) -> None:
    client = proxied.connect().send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    with gevent.Timeout(PATIENCE, AssertionError("the first piece did not come before the second was made")):
        while b"data: 1\n\n" not in client.received:
            client._receive()
    assert b"data: 2" not in client.received
    proxied.connect().get("/go-on")
    assert client.response().body == b"data: 1\n\ndata: 2\n\n"


def test_an_upload(proxied: Proxied) -> None:
    content = bytes(range(256)) * 8192
    response = proxied.connect().get("/upload", method="PUT", body=content)
    assert json.loads(response.body) == [len(content), hashlib.sha256(content).hexdigest()]


def test_a_websocket(proxied: Proxied) -> None:
    client = proxied.connect()
    response = client.get(
        "/echo", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://x",
    )  # fmt: skip
    assert response.status == 101
    client.send(b"\x81\x85\0\0\0\0hello")  # a text frame, masked with zeros
    while len(client.received) < 7:
        client._receive()
    assert client.received == b"\x81\x05hello"
