"""What is broadcast, and how far a subscriber may lag behind."""

from __future__ import annotations

from typing import Final

MESSAGE: Final = "x" * 100
# A subscriber that has not taken so many bytes is left out, by the servers that would otherwise store without bound.
BACKLOG_BYTES: Final = 64 * 1024
