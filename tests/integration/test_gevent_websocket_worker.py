"""gunicorn with gevent-websocket's worker class, whose connections the patch has hublet serve."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from websockets.sync.client import connect

from tests.conftest import PATIENCE

CONFIGURATION = """
from hublet.patches.gevent_websocket import SERVERS
SERVERS.apply()
bind = "127.0.0.1:0"
worker_class = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
"""
APPLICATION = """
def app(environ, start_response):
    for message in environ["wsgi.websocket"]:
        environ["wsgi.websocket"].send(message)
    return []
"""


def test_the_worker_serves_websockets_by_hublet(tmp_path: Path) -> None:
    (tmp_path / "configuration.py").write_text(CONFIGURATION)
    (tmp_path / "application.py").write_text(APPLICATION)
    command = [sys.executable, "-m", "gunicorn", "--config", "configuration.py", "application:app"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as gunicorn:
        try:
            assert gunicorn.stderr is not None
            for line in gunicorn.stderr:
                if "Listening at" in line:
                    port = line.partition("127.0.0.1:")[2].split()[0]
                    break
            with connect(f"ws://127.0.0.1:{port}/", open_timeout=PATIENCE) as websocket:
                websocket.send("hello" * 100)
                assert websocket.recv(PATIENCE) == "hello" * 100
                assert websocket.response is not None
                # gevent-websocket has no compression.
                assert "permessage-deflate" in websocket.response.headers["Sec-WebSocket-Extensions"]
        finally:
            gunicorn.send_signal(signal.SIGTERM)
            gunicorn.stderr.read()  # type: ignore[union-attr]
