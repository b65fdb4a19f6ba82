"""psycopg2's own test-suite, which its source distribution brings, run patched in a greenlet: `make psycopg2-suite`."""

from __future__ import annotations

import importlib.metadata

from loadtests.private.postgresql import PostgreSQL, postgresql

from .published import Outcome, Suite, report

#: The modules that the patch can touch and that take few seconds.
SHORT = ("test_copy", "test_lobject", "test_green", "test_with", "test_extras_dictcursor")
SUITE = Suite(
    "psycopg2",
    importlib.metadata.version("psycopg2-binary"),
    "tests",
    expected={
        "test_cursor_factory_none": "a default cursor is of a subclass of extensions.cursor: COPY is off-loaded in it",
        "test_pgconn_ptr": "fails unpatched too with the wheel: the libpq that it calls is not the one in the wheel",
    },
    excluded={
        "test_commit_concurrency": "a thread that commits in a loop, with nothing to commit, never waits: as a "
        "greenlet it keeps the others from running; two threads on one connection need a native thread",
    },
)


def run(server: PostgreSQL, modules: tuple[str, ...] = (), patched: bool = True) -> Outcome:
    """Run the suite, or some of its modules."""
    variables = {
        "PSYCOPG2_TESTDB": server.dbname,
        "PSYCOPG2_TESTDB_HOST": server.host,
        "PSYCOPG2_TESTDB_PORT": str(server.port),
        "PSYCOPG2_TESTDB_USER": server.user,
        **({"PSYCOPG2_TEST_FAST": "1"} if modules else {}),
    }
    return SUITE.run(variables, modules, patched)


def main() -> int:
    """Run the whole suite and say what came of it."""
    with postgresql() as server:
        return report(SUITE, lambda patched: run(server, patched=patched))


if __name__ == "__main__":
    raise SystemExit(main())
