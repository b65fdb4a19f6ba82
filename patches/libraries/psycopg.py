"""psycopg 3: what is thrown at a greenlet within a query cancels it, as KeyboardInterrupt does."""

from __future__ import annotations

from typing import Final

import gevent
from psycopg import connection

#: What `Connection.wait` takes for an interruption: it has the server cancel the query, and waits until it has ended.
INTERRUPTED: Final = (*connection._INTERRUPTED, gevent.GreenletExit, gevent.Timeout)
