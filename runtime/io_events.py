"""What an io watcher of the hub's loop waits for: gevent's event masks."""

from __future__ import annotations

from typing import Final

READ: Final = 1
WRITE: Final = 2
