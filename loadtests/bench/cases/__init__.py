"""What is measured. `CASES` is the comparison's table of contents, in the order of the report."""

from __future__ import annotations

from typing import Final

from .case import Case
from .hello import BROWSER, FLASK, HELLO
from .idle import IDLE
from .tls import FRESH, KEPT
from .transfer import DOWNLOAD, UPLOAD
from .waiting import WAITING
from .websocket_broadcast import BROADCASTING
from .websocket_echo import DEFLATED, ECHO_1K, ECHO_32, ECHO_64K
from .websocket_idle import IDLE as WEBSOCKET_IDLE
from .workers import SCALING

CASES: Final[tuple[Case, ...]] = (
    HELLO, BROWSER, FLASK, WAITING, IDLE, DOWNLOAD, UPLOAD, KEPT, FRESH, SCALING,
    ECHO_32, ECHO_1K, ECHO_64K, DEFLATED, WEBSOCKET_IDLE, BROADCASTING,
)  # fmt: skip
