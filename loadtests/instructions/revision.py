"""Builds hublet as it was at a revision of this repository, to be measured beside what is here now."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..bench.errors import UsageError

ROOT: Final = Path(__file__).resolve().parents[2]


def git(*arguments: str, cwd: Path = ROOT) -> str:
    """Run git and give what it prints. Raises UsageError with its words."""
    run = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if run.returncode:
        raise UsageError(f"git {arguments[0]}: {run.stderr.strip()}")
    return run.stdout.strip()


def revision_of(path: Path) -> str:
    """Give the revision that last changed a file. Raises UsageError where the clone has not the whole history."""
    if git("rev-parse", "--is-shallow-repository", cwd=path.parent) == "true":
        raise UsageError("this clone is shallow, so that the baseline's revision is not in it: git fetch --unshallow")
    revision = git("log", "-1", "--format=%H", "--", str(path), cwd=path.parent)
    if not revision:
        raise UsageError(f"{path.name} is in no revision: commit it first")
    return revision


@contextmanager
def built(revision: str) -> Iterator[Path]:
    """Build a revision for the `with` block, and give the folder to import its hublet from. Raises UsageError."""
    with tempfile.TemporaryDirectory(prefix="hublet-revision-") as name:
        source, package = Path(name, "source"), Path(name, "package")
        commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
        source.mkdir()
        archive = subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(source)], stdin=archive.stdout, check=True)
        assert archive.stdout is not None
        archive.stdout.close()
        if archive.wait():
            raise UsageError(f"git archive cannot read {revision}")
        run = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(package), str(source)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            raise UsageError(f"revision {revision} cannot be built: {run.stderr.strip()[-2000:]}")
        yield package
