"""Writes docs/settings.rst from the fields of Settings: `python -m hublet.servers.settings_reference`."""

from __future__ import annotations

import sys
from pathlib import Path

from .settings_sources import CONFIG_FILE, CONFIG_VARIABLE, Option, options_by_group

PREAMBLE = f"""\
Settings
========

Each setting has one name and four places where it can be given. The strongest first:

1. an option of the ``hublet`` command: ``--max-body 16M``;
2. an environment variable: ``HUBLET_MAX_BODY=16M``;
3. a TOML file, ``max-body = "16M"`` or ``max_body = "16M"``, at the top level or in a table ``[hublet]``: the file
   that ``--config`` names, or ``{CONFIG_VARIABLE}``, or ``{CONFIG_FILE}`` in the current directory; an empty name
   means none;
4. the default.

``hublet.serve(app, max_body=16 * 2**20)`` takes the same names as keyword arguments and reads neither variables nor
files.

Sizes are bytes, or a number with a unit: ``8K``, ``64KiB``, ``1M``, ``2G`` (powers of 1024). Times are seconds. A
setting that may be repeated is a comma-separated list in its variable and a list in TOML. Switches are ``--name`` and
``--no-name`` on the command line, ``1``/``0``, ``true``/``false``, ``yes``/``no`` or ``on``/``off`` in variables, and
``true`` or ``false`` in TOML. A key that no setting has is an error; a variable that begins with ``HUBLET_`` and that
no setting has is ignored with a warning, since Kubernetes makes such variables for a Service named hublet.

.. Written by ``python -m hublet.servers.settings_reference``: change servers/settings.py instead.
"""


def settings_reference() -> str:
    """The whole of docs/settings.rst."""
    parts = [PREAMBLE]
    for group, options in options_by_group().items():
        title = group.capitalize()
        parts.append(f"{title}\n{'-' * len(title)}\n")
        parts.extend(entry(option) for option in options)
    return "\n".join(parts)


def entry(option: Option) -> str:
    """One setting as an item of a definition list."""
    flag = f"{option.flag}, --no-{option.flag[2:]}" if option.kind == "flag" else option.flag
    return (
        f"``{flag}``\n"
        f"    {option.help[0].upper()}{option.help[1:]}.\n"
        f"    Default: {option.format(option.default)}. Variable: ``{option.variable}``.\n"
    )


def main(arguments: list[str]) -> int:
    """Write the reference to the file named, by default docs/settings.rst. Returns the exit status."""
    if len(arguments) > 1:
        print("usage: python -m hublet.servers.settings_reference [FILE]", file=sys.stderr)
        return 2
    Path(*(arguments or ["docs/settings.rst"])).write_text(settings_reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
