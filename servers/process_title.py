"""The name of a process in ps and top, by the setproctitle package where it is installed."""

from __future__ import annotations

MISSING = "process_name has no effect without the package setproctitle: python -m pip install 'hublet[process-name]'"


def set_process_title(name: str, role: str = "") -> str | None:
    """Name this process `hublet: name`, with its role behind it. Returns a warning where the package is missing."""
    try:
        from setproctitle import setproctitle
    except ImportError:
        return MISSING
    setproctitle(f"hublet: {name}{' ' if role else ''}{role}")
    return None
