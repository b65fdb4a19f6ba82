"""`server.clients` of gevent-websocket: the open WebSockets, by the address of their peers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .session import WebSocketContext


class Clients(Mapping[tuple[str, int], Any]):
    """A view of a server's open WebSockets; each value has `address`, `ws`, and what the application gives it.

    Nothing is kept for it: it looks at the connections that are open at the moment. Behind a proxy that does not tell
    the ports of its clients several have the same address: `values` and `items` have all of them, a look-up the last.
    """

    def __init__(self, websockets: WebSocketContext | None) -> None:
        self._websockets = websockets

    def _open(self) -> list[Any]:
        found = [] if self._websockets is None else self._websockets.open_websockets()
        return [each.client for each in found]

    def __getitem__(self, address: tuple[str, int]) -> Any:
        return dict(self.items())[address]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return (each.address for each in self._open())

    def __len__(self) -> int:
        return len(self._open())

    def values(self) -> Any:
        """The clients, in the order in which they came."""
        return self._open()

    def items(self) -> Any:
        """Addresses and clients."""
        return [(each.address, each) for each in self._open()]
