"""SQL databases: drivers, and what is built on them."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement, Step

PSYCOPG2: Final = Patch(
    name="psycopg2",
    module="psycopg2",
    distribution="psycopg2",
    versions=">=2.9,<2.10",
    why="libpq waits for the server and for name servers in C",
    replacements=(Replacement("psycopg2:_connect", "hublet.patches.libraries.psycopg2:connect"),),
    steps=(
        Step(
            "hublet.patches.libraries.psycopg2:install_callback", "hublet.patches.libraries.psycopg2:restore_callback"
        ),
    ),
    cost="98 -> 75 us a SELECT 1",
    remedy="replication cursors refuse to work beside a wait callback: consume the stream in a process that is "
    "started with --no-patch psycopg2",
)

SQLITE3: Final = Patch(
    name="sqlite3",
    module="sqlite3",
    why="a wait for another connection's lock, and a long statement, stop every request",
    replacements=tuple(
        Replacement(f"{module}:{name}", f"hublet.patches.libraries.sqlite:{by}")
        for module in ("sqlite3.dbapi2", "sqlite3")
        for name, by in (("connect", "connect"), ("Connection", "Connection"), ("Cursor", "Cursor"))
    ),
    cost="1.2 -> 3.0 us a SELECT 1; long statements share the hub's thread in slices of 2 ms",
    remedy="with cache=shared long statements do not yield: use a file in WAL mode; sorting many rows, VACUUM and a "
    "commit's fsync yield for nobody: off-load them (hublet.runtime.offload)",
)

PATCHES: Final = (PSYCOPG2, SQLITE3)
