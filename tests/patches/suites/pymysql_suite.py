"""PyMySQL's own test-suite against the installed version, patched in a greenlet: `make pymysql-suite`.

The suite is that of 0.10.1, the last whose source distribution brings it.
"""

from __future__ import annotations

import json

import pymysql

from loadtests.private.mariadb import MariaDB, mariadb_server

from .published import Outcome, Suite, report

DATABASES = ("test1", "test2")
#: The modules that take few seconds and need nothing of the server but SQL.
SHORT = ("test_DictCursor", "test_SSCursor", "test_basic", "test_cursor", "test_nextset", "thirdparty")
NEWER = "fails unpatched too: PyMySQL has changed since"
NO_DATA = "fails unpatched too: the file that it loads is not in the source distribution"
SKIPPED = "skipped, as pytest does it: MariaDB's version is taken for one of MySQL before 5.6"
NO_PLUGIN = "the server has no such plugin"
SUITE = Suite(
    "PyMySQL",
    "0.10.1",
    "pymysql.tests",
    expected={
        **dict.fromkeys(("test_bulk_insert", "test_bulk_insert_multiline_statement", "test_issue_288"), NEWER),
        **dict.fromkeys(("test_escape_dict_value", "test_escape_fallback_encoder", "test_issue_114"), NEWER),
        **dict.fromkeys(("test_multi_cursor", "test_nextset_error"), NEWER),
        **dict.fromkeys(("test_datetime_microseconds", "test_json"), SKIPPED),
        **dict.fromkeys(("test_load_file", "test_unbuffered_load_file"), NO_DATA),
        "test_issue_17": "fails unpatched too: the account may not grant",
    },
    excluded={
        **dict.fromkeys(("testAuthSHA256", "testPamAuth", "testPamAuthInstallPlugin", "testSocketAuth"), NO_PLUGIN),
        **dict.fromkeys(("testSocketAuthInstallPlugin", "testDialogAuthTwoQuestions"), NO_PLUGIN),
        **dict.fromkeys(("testDialogAuthTwoQuestionsInstallPlugin", "testDialogAuthThreeAttempts"), NO_PLUGIN),
        "testDialogAuthThreeAttemptsQuestionsInstallPlugin": NO_PLUGIN,
        "test_issue_35": "asks for somebody who kills the server",
        "testMySQLOldPasswordAuth": "needs passwords of MySQL before 4.1",
    },
)


def run(server: MariaDB, modules: tuple[str, ...] = (), patched: bool = True) -> Outcome:
    """Run the suite, or some of its modules."""
    account = {"host": "127.0.0.1", "port": server.port, "user": "hublet", "password": "secret"}
    with pymysql.connect(**account, ssl_disabled=True) as connection, connection.cursor() as cursor:
        for name in DATABASES:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")
    options = [{**account, "db": name, "use_unicode": True, "local_infile": True} for name in DATABASES]
    (SUITE.source() / "pymysql" / "tests" / "databases.json").write_text(json.dumps(options))
    return SUITE.run({}, modules, patched)


def main() -> int:
    """Run the whole suite and say what came of it."""
    with mariadb_server() as server:
        return report(SUITE, lambda patched: run(server, patched=patched))


if __name__ == "__main__":
    raise SystemExit(main())
