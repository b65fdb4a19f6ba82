"""Where wsload's source and program are, and how the one becomes the other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..compiled import BuildError, compile_source

__all__ = ["BuildError", "build_wsload"]

SOURCE: Final = Path(__file__).with_name("wsload.c")
PROGRAM: Final = Path(__file__).resolve().parents[2] / "build" / "wsload" / "wsload"
FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
LIBRARIES: Final = ("-lz", "-lm")
PACKAGES: Final = "on Debian and Ubuntu: apt-get install gcc libc6-dev zlib1g-dev"


def build_wsload(program: Path = PROGRAM) -> Path:
    """Compile wsload unless `program` is newer than the source, and return its path. Raises BuildError."""
    return compile_source(SOURCE, program, FLAGS, LIBRARIES, PACKAGES)
