"""The other side of the self-test: a process that answers after a while, and holds locks for a while.

`python -m hublet.doctor.stand_in SECONDS` prints its port and serves until its standard input ends. A request for
`/hold/PATH` takes the lock of that file, answers at once, and lets go after SECONDS; `/lock/PATH` does so with a SQLite
database. Every other one is answered after SECONDS. It is a process of its own, and unpatched: what it waits for must
not depend on the hub that is measured.
"""

from __future__ import annotations

import fcntl
import http.server
import sqlite3
import sys
import threading
import time
from typing import Any
from urllib.parse import unquote


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers after a while."""

    seconds = 0.2

    def do_GET(self) -> None:
        """Wait, or hold a lock while the answer is on its way."""
        _, kind, path = [*unquote(self.path).split("/", 2), "", ""][:3]
        let_go = {"hold": hold_file, "lock": hold_database}.get(kind, lambda _: None)(path)
        if let_go is None:
            time.sleep(self.seconds)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        if let_go is not None:
            time.sleep(self.seconds)
            let_go()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256
    daemon_threads = True


def hold_file(path: str) -> Any:
    """Lock a file; return what unlocks it."""
    file = open(path, "w")  # noqa: SIM115 - it is closed by what is returned
    fcntl.flock(file, fcntl.LOCK_EX)
    return file.close


def hold_database(path: str) -> Any:
    """Begin to write in a database; return what ends that."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection.close


def main() -> None:
    """Serve until standard input ends."""
    Handler.seconds = float(sys.argv[1])
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
