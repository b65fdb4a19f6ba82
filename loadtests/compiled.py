"""Compiles the C sources of the load tests into the build folder, unless that was done since the last change."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

COMPILER: Final = "gcc"


class BuildError(Exception):
    """Something cannot be compiled here. The text says why, and what to install."""


def compile_source(source: Path, made: Path, flags: Sequence[str], libraries: Sequence[str], packages: str) -> Path:
    """Compile `source` unless `made` is newer, and return `made`. Raises BuildError, which names `packages`."""
    if made.exists() and made.stat().st_mtime >= source.stat().st_mtime:
        return made
    if shutil.which(COMPILER) is None:
        raise BuildError(f"{source.stem} needs {COMPILER} to be compiled, which is not installed; {packages}")
    made.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: whoever uses it meanwhile finds the old one or the new one, never a half.
    with tempfile.TemporaryDirectory(dir=made.parent) as directory:
        new = Path(directory) / made.name
        run = subprocess.run(
            [COMPILER, *flags, "-o", str(new), str(source), *libraries], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise BuildError(f"{COMPILER} cannot compile {source.name} ({packages}):\n{run.stderr.strip()}")
        os.replace(new, made)
    return made
