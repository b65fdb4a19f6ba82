"""Names that the measurement and the application agree upon, and the library that the application loads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..compiled import compile_source

LIBRARY_VARIABLE: Final = "INSTRUCTIONS_MARKS"
START: Final = "start"  # the mark that lets callgrind begin to count
SOURCE: Final = Path(__file__).with_name("marks.c")
LIBRARY: Final = Path(__file__).resolve().parents[2] / "build" / "instructions" / "marks.so"
PACKAGES: Final = "on Debian and Ubuntu: apt-get install gcc libc6-dev valgrind"


def build_marks() -> Path:
    """Compile the library unless that is done, and return its path. Raises BuildError."""
    return compile_source(SOURCE, LIBRARY, ("-O2", "-shared", "-fPIC", "-Wall", "-Wextra"), (), PACKAGES)
