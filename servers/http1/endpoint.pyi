from typing import Any

from ..settings import Settings
from ..tls.channel import TlsContext
from .engine import Engine
from .head import HeadParser

class Endpoint:
    engine: Engine
    parser: HeadParser
    def __init__(
        self, engine: Engine, base_environ: dict[str, Any], settings: Settings, tls: TlsContext | None = None
    ) -> None: ...
    def accept(self, listener: int, batch: int) -> int: ...
    def adopt(self, fd: int, host: str, port: str) -> None: ...
