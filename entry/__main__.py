"""The `hublet` command: patches the standard library, and only then imports the rest."""

from __future__ import annotations

import sys

from .patches.stdlib import patch_standard_library


def main() -> int:
    """Run the command line in `sys.argv`. Returns the exit status."""
    early_imports = patch_standard_library()
    # Here, not at the top: it loads argparse, logging and sockets, which must not be loaded before the patching.
    from .cli import main as run_command

    return run_command(sys.argv[1:], early_imports)


if __name__ == "__main__":
    sys.exit(main())
