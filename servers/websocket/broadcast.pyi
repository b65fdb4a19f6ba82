from collections.abc import Iterable
from typing import Any, Literal

def broadcast(
    connections: Iterable[Any], message: Any, *, binary: bool | None = None, slow: Literal["drop", "close"] = "drop"
) -> int: ...
