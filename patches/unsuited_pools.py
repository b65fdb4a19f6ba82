"""What SQLAlchemy's pools do that do not go with greenlets: said when an engine is made, and by the doctor."""

from __future__ import annotations

from typing import Final

REMEDY: Final = "use QueuePool or NullPool (create_engine(..., poolclass=...)), for SQLite with a database in a file"
#: By the class's name in sqlalchemy.pool.
UNSUITED_POOLS: Final = {
    "StaticPool": "has one connection for all greenlets: those that use it at the same time wait for each other, fail, "
    f"or see each other's transactions: {REMEDY}",
    "SingletonThreadPool": "has a connection for each thread, which is a greenlet here: each request connects anew (to "
    "a new database, where it is in memory), and beyond pool_size connections are closed while they are in use: "
    f"{REMEDY}",
}
