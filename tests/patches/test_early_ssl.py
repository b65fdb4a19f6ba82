"""A context of the class that was there before the patching works, and its sockets yield."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.patches.test_captures import run_python

SCRIPT = """
import json, ssl, sys
class Driver:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
import hublet
hublet.patch_all()
from hublet.patches.early_ssl import cure_ssl_context
cure_ssl_context()
import gevent, socket, time
context = Driver.context
context.check_hostname = False
context.minimum_version = ssl.TLSVersion.TLSv1_2
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations("cert.pem")
seen = []
context._msg_callback = lambda connection, direction, version, content, message, data: seen.append(direction)
ours, theirs = socket.socketpair()
def serve():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain("cert.pem", "key.pem")
    with server.wrap_socket(theirs, server_side=True) as connection:
        time.sleep(0.1)
        connection.sendall(b"late")
ticks = []
def tick():
    while True:
        ticks.append(0)
        time.sleep(0.005)
gevent.spawn(serve)
ticker = gevent.spawn(tick)
with context.wrap_socket(ours, server_hostname="localhost") as connection:
    received = connection.recv(10).decode()
ticker.kill()
print(json.dumps([type(context).__module__, type(connection).__module__, received, len(ticks) > 3, bool(seen)]))
"""


def test_a_handshake_and_a_wait(tmp_path: Path) -> None:
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    assert run_python(tmp_path, SCRIPT) == ["ssl", "gevent.ssl", "late", True, True]
