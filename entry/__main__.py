"""The `hublet` command: patches the standard library, and only then imports the rest."""

from __future__ import annotations

import sys
from importlib import import_module

from .patches.stdlib import patch_standard_library


def main() -> int:
    """Run the command line in `sys.argv`. Returns the exit status."""
    early_imports = patch_standard_library()
    # By name and here: an import statement at the top would load argparse, logging and sockets before the patching.
    status: int = import_module(".cli", __package__).main(sys.argv[1:], early_imports)
    return status


if __name__ == "__main__":
    sys.exit(main())
