"""A worker's side of being supervised."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import PATIENCE

# In a process of its own: a worker leaves some signals to its supervisor from then on.
LEAVING = """if True:
    import os
    from gevent.event import Event
    from hublet.supervised import Supervised
    from hublet.servers.load_board import LoadBoard, make_board
    from hublet.servers.server import WSGIServer
    from hublet.servers.settings import Settings
    from hublet.servers.supervisor.channel import SUCCEEDED, WorkerEnds

    class Life:
        succeeded = Event()
        succeed = succeeded.set

    (_, status), (control, told), board = os.pipe(), os.pipe(), make_board()
    server, life = WSGIServer(("127.0.0.1", 0), print, log=None), Life()
    supervised = Supervised(WorkerEnds(status, control, board, place=3), server, life, Settings())
    server.start()
    share, on_fewer = server.share, server.on_fewer
    fellow = LoadBoard(board)
    fellow.post(5, 7)
    on_fewer()
    print(fellow.share(5), share())
    os.write(told, SUCCEEDED)
    life.succeeded.wait()
    share(), on_fewer(), supervised.report_ready()
    print(fellow.share(5))
"""


def test_a_worker_that_leaves_is_not_waited_for() -> None:
    """Its acceptors may still be asked, and its connections close, after it has left the load board."""
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.split("\n") == ["0 8", "None", ""]
