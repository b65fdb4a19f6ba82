"""What is measured. `CASES` is the comparison's table of contents, in the order of the report."""

from __future__ import annotations

from typing import Final

from .case import Case
from .database import POSTGRES
from .growth import CONNECTIONS, IN_FLIGHT
from .hello import BROWSER, FLASK, HELLO
from .idle import IDLE
from .libraries import COSTS, OFFLOADING, STALLS
from .mixed import MIXED
from .startup import STARTUP
from .tls import FRESH, KEPT
from .transfer import DOWNLOAD, UPLOAD
from .waiting import WAITING
from .waiting_briefly import IO_100, IO_1000, IO_10000
from .websocket_broadcast import BROADCASTING
from .websocket_echo import DEFLATED, ECHO_1K, ECHO_32, ECHO_64K
from .websocket_idle import IDLE as WEBSOCKET_IDLE
from .workers import SCALING

CASES: Final[tuple[Case, ...]] = (
    HELLO, BROWSER, FLASK, IO_100, IO_1000, IO_10000, WAITING, POSTGRES, MIXED, UPLOAD, DOWNLOAD, KEPT, FRESH, IDLE,
    STARTUP, SCALING,
    ECHO_32, ECHO_1K, ECHO_64K, DEFLATED, WEBSOCKET_IDLE, BROADCASTING, CONNECTIONS, IN_FLIGHT,
    OFFLOADING, COSTS, STALLS,
)  # fmt: skip
# Names for several of them at once.
GROUPS: Final[dict[str, tuple[Case, ...]]] = {
    "websocket": (ECHO_32, ECHO_1K, ECHO_64K, DEFLATED, WEBSOCKET_IDLE, BROADCASTING),
    "growth": (CONNECTIONS, IN_FLIGHT),
    "patches": (OFFLOADING, COSTS, STALLS),
}
