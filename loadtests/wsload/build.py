"""Compiles wsload.c into the build folder, where that has not been done since the source was last changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("wsload.c")
PROGRAM: Final = Path(__file__).resolve().parents[2] / "build" / "wsload" / "wsload"
COMPILER: Final = "gcc"
FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
LIBRARIES: Final = ("-lz", "-lm")
PACKAGES: Final = "on Debian and Ubuntu: apt-get install gcc libc6-dev zlib1g-dev"


class BuildError(Exception):
    """wsload cannot be compiled here. The text says why, and what to install."""


def build_wsload(program: Path = PROGRAM) -> Path:
    """Compile wsload unless `program` is newer than the source, and return its path. Raises BuildError."""
    if program.exists() and program.stat().st_mtime >= SOURCE.stat().st_mtime:
        return program
    if shutil.which(COMPILER) is None:
        raise BuildError(f"wsload needs {COMPILER} to be compiled, which is not installed; {PACKAGES}")
    program.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: whoever starts the program meanwhile finds the old one or the new one, never a half.
    with tempfile.TemporaryDirectory(dir=program.parent) as directory:
        made = Path(directory) / program.name
        run = subprocess.run(
            [COMPILER, *FLAGS, "-o", str(made), str(SOURCE), *LIBRARIES], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise BuildError(f"{COMPILER} cannot compile {SOURCE.name} ({PACKAGES}):\n{run.stderr.strip()}")
        os.replace(made, program)
    return program
