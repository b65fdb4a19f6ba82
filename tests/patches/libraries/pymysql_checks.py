"""What is checked of PyMySQL, in a patched process, where it has no patch of its own."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import hublet.patches.patching as patching
import pymysql
import pymysql.cursors

from . import sql


def connecting(port: int) -> sql.Connect:
    def connect(**options: Any) -> Any:
        # A TLS context, which takes the processor for long, is made even for a server without TLS.
        options["ssl_disabled"] = True
        return pymysql.connect(host="127.0.0.1", port=port, user="hublet", password="secret", **options)

    return connect


def check_queries(port: int) -> None:
    sql.queries_yield(connecting(port))


def check_slow_rows(port: int) -> None:
    sql.slow_rows_yield(connecting(port))


def check_slow_rows_of_a_streaming_cursor(port: int) -> None:
    connect = connecting(port)
    sql.slow_rows_yield(lambda: connect(cursorclass=pymysql.cursors.SSCursor))


def check_transactions(port: int) -> None:
    sql.transactions_hold(connecting(port), "%s")


def check_locks(port: int) -> None:
    sql.waits_for_locks_yield(connecting(port))


def check_kill_and_timeout(port: int) -> None:
    sql.a_kill_leaves_no_answer_behind(connecting(port), pymysql.Error)


def check_lost_server(port: int) -> None:
    sql.a_lost_server_is_an_operational_error(connecting(port))


def check_it_is_known(port: int) -> None:
    del port
    outcome = patching.REGISTRY.outcomes["pymysql"]
    assert (outcome.state, outcome.version) == ("known", importlib.metadata.version("PyMySQL"))
