"""What the public names are on Windows: `import hublet` works there, and using it says at once that hublet does not."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from .runtime.errors import UnsupportedPlatformError

MESSAGE: Final = (
    "hublet does not run on Windows: it needs the signals, processes and sockets of Linux or macOS; "
    "run it in WSL (`wsl --install`, then install hublet there) or in a Linux container"
)


def refuse(*arguments: Any, **settings: Any) -> NoReturn:
    """Raise UnsupportedPlatformError."""
    raise UnsupportedPlatformError(MESSAGE)


# Called, each of them is the same.
serve = patch_all = Settings = WSGIServer = websockets = broadcast = refuse
