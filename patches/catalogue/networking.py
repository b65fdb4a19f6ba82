"""Drivers and clients written in C, and those written in Python that yield as they are: databases, caches, queues."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement

PATCHES: Final[tuple[Patch, ...]] = (
    Patch(
        "mysqlclient",
        "libmariadb waits for the server in C, which stops every request",
        (Replacement("MySQLdb.connections:Connection", "hublet.patches.libraries.mysqlclient:Connection"),),
        module="MySQLdb.connections",
        distribution="mysqlclient",
        versions=">=2.3,<2.4",
        cost="SELECT 1: 30 -> 150 us; a statement without rows: 23 -> 33 us; COMMIT: 19 -> 87 us",
    ),
)
