"""psycopg2's own test-suite, which its source distribution brings, run patched in a greenlet: `make psycopg2-suite`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.private.postgresql import PostgreSQL, postgresql

ROOT = Path(__file__).parents[3]
CACHE = ROOT / "build" / "suites"
#: The modules that the patch can touch and that take few seconds.
SHORT = ("test_copy", "test_lobject", "test_green", "test_with", "test_extras_dictcursor")
#: What comes out differently, and why.
EXPECTED = {
    "test_cursor_factory_none": "a default cursor is of a subclass of extensions.cursor: COPY is off-loaded in it",
    "test_pgconn_ptr": "fails unpatched too with the wheel: the libpq that it calls is not the one in the wheel",
}
#: What cannot be run.
EXCLUDED = {
    "test_commit_concurrency": "a thread that commits in a loop, with nothing to commit, never waits: as a greenlet it "
    "keeps the others from running; two threads on one connection need a native thread",
}


@dataclass(frozen=True)
class Outcome:
    """How many tests ran, and those that failed though they should not, or passed though they were expected to fail."""

    ran: int
    skipped: int
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def unexpected(self) -> dict[str, str]:
        return {name: text for name, text in self.failed.items() if name.rpartition(".")[2] not in EXPECTED}


def source() -> Path:
    """The unpacked source distribution of the version that is installed."""
    ask = "import psycopg2; print(psycopg2.__version__.partition(' ')[0])"
    version = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    folder = CACHE / f"psycopg2-{version}"
    if not folder.exists():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        done = subprocess.run([*download, "--dest", CACHE, f"psycopg2=={version}"], capture_output=True, text=True)
        assert done.returncode == 0, f"psycopg2's source distribution could not be had: {done.stderr}"
        with tarfile.open(CACHE / f"psycopg2-{version}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    return folder


def run(server: PostgreSQL, modules: tuple[str, ...] = (), patched: bool = True) -> Outcome:
    """Run the suite, or some of its modules, in a process of its own."""
    variables = {
        "PSYCOPG2_TESTDB": server.dbname,
        "PSYCOPG2_TESTDB_HOST": server.host,
        "PSYCOPG2_TESTDB_PORT": str(server.port),
        "PSYCOPG2_TESTDB_USER": server.user,
        **({"PSYCOPG2_TEST_FAST": "1"} if modules else {}),
    }
    script = Path(__file__).with_name("unittest_in_greenlet.py")
    command = [sys.executable, str(script), str(source()), "patched" if patched else "plain", ",".join(EXCLUDED)]
    done = subprocess.run(
        [*command, *modules], env=os.environ | variables, capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, f"the suite did not come to its end: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Run the whole suite and say what came of it."""
    patched = "--plain" not in sys.argv[1:]
    with postgresql() as server:
        outcome = run(server, patched=patched)
    sys.stdout.write(f"{outcome.ran} tests ran, {outcome.skipped} were skipped\n")
    for name, text in outcome.failed.items():
        sys.stdout.write(f"{name}: {EXPECTED.get(name.rpartition('.')[2]) or text}\n")
    for name, reason in EXCLUDED.items():
        sys.stdout.write(f"{name} was left out: {reason}\n")
    return 1 if outcome.unexpected else 0


if __name__ == "__main__":
    raise SystemExit(main())
