"""Compiles wsload if needed and runs it with the arguments that are given."""

from __future__ import annotations

import os
import sys

from .build import BuildError, build_wsload


def main() -> None:
    """Become wsload."""
    try:
        program = build_wsload()
    except BuildError as error:
        raise SystemExit(str(error)) from error
    os.execv(program, [program.name, *sys.argv[1:]])


if __name__ == "__main__":
    main()
