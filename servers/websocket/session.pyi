from typing import Any

from ...runtime.request_greenlet import RequestGreenlet
from ..settings import Settings
from ..transport import IoContext
from .sender import FrameSender

class WebSocketContext:
    server: Any
    max_message: int
    compression: str
    spreading: bool
    open_sessions: int
    accepted: int
    def __init__(self, io: IoContext, settings: Settings, on_error: Any, server: Any) -> None: ...
    def restart_clients(self, seconds: float) -> None: ...
    def open_websockets(self) -> list[Any]: ...
    def abort_orphans(self) -> None: ...

class Session(FrameSender):
    websocket: Any
    close_code: int
    close_reason: str
    is_closed: bool
    def serve_callbacks(self, protocol: Any) -> None: ...
    def ping(self, payload: bytes) -> None: ...
    def start_close(self, code: int, reason: str) -> None: ...

class CallbackGreenlet(RequestGreenlet): ...
