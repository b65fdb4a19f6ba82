from typing import Any

import gevent.socket

from ..transport import Transport
from ..upgrade import Upgrade
from .handshake import Offer
from .session import WebSocketContext

class Opening(Upgrade):
    server: Any
    is_declined: bool
    def __init__(self, websockets: WebSocketContext, environ: dict[str, Any], offer: Offer) -> None: ...
    def accept(self) -> None: ...
    def choose_protocol(self) -> str | None: ...
    def take_socket(self) -> tuple[gevent.socket.socket, bytes]: ...

class TakenConnection(Transport):
    def read(self) -> bytes: ...
    def write(self, data: bytes) -> None: ...
