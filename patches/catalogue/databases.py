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

PATCHES: Final = (PSYCOPG2,)
