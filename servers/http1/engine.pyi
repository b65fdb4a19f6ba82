from collections.abc import Callable
from typing import Any

from ..settings import Settings
from ..transport import Transport
from ..upgrade import Upgrade
from .exchange import ExchangeContext

class Admissible(Transport): ...

class Engine(ExchangeContext):
    app: Callable[..., Any]
    on_room: Callable[[], object] | None
    on_fewer: Callable[[], object] | None
    on_refuse: Callable[[dict[str, Any], int, str], object] | None
    forwarded: Callable[[dict[str, Any], str], object] | None
    on_shake_failed: Callable[[str, str, str], object] | None
    upgrader: Callable[[dict[str, Any]], Upgrade | None] | None
    patient: bool
    cut_off: int
    max_connections: int
    max_in_flight: int
    max_queued: int
    in_flight: int
    queued: int
    accepted: int
    requests: int
    rejected: int
    timed_out: int
    failed_handshakes: int
    def __init__(
        self,
        settings: Settings,
        app: Callable[..., Any],
        on_error: Callable[[dict[str, Any], BaseException | None, str], object],
        record: Callable[[dict[str, Any], str, int, float, float, float], object] | None = None,
        max_connections: int = 0,
    ) -> None: ...
