"""The `hublet` command: patches the standard library, and only then imports the rest."""

from __future__ import annotations

import sys

from .windows import MESSAGE


def main() -> int:
    """Run the command line in `sys.argv`. Returns the exit status."""
    if sys.platform == "win32":
        print(f"hublet: {MESSAGE}", file=sys.stderr)
        return 1
    # Here, not at the top: gevent, of which nothing is needed to say the above, and the rest, which loads argparse,
    # logging and sockets and must not be loaded before the patching.
    from .patches.stdlib import patch_standard_library

    early_imports = patch_standard_library()
    from .cli import main as run_command

    return run_command(sys.argv[1:], early_imports)


if __name__ == "__main__":
    sys.exit(main())
