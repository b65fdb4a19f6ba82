"""A pipe that ends when the process does which started this one, even by SIGKILL: only that one has the write end."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

#: Set by a reloader or a load test for its server: the descriptor of the read end. Not HUBLET_..., those are settings.
LIFELINE_VARIABLE: Final = "_HUBLET_LIFELINE"


def inherit_lifeline(environ: MutableMapping[str, str] = os.environ) -> int | None:
    """The read end, or None in a process that was started without such a pipe.

    The variable is removed, and no process that this one starts inherits the descriptor.
    """
    text = environ.pop(LIFELINE_VARIABLE, None)
    if text is None:
        return None
    os.set_inheritable(int(text), False)
    return int(text)
