"""The WebSocket: prices go to every page at once, orders come back from each.

Every message is a JSON object. The server's say in `event` what they are: `charts` first, then `tick` twice a second,
and for each order `filled` or `refused`. An order is `{"side": "buy", "symbol": "FERN", "quantity": 10}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import gevent
import hublet
from geventwebsocket import WebSocketApplication

from .load import in_flight
from .market import CODES, charts, current_tick, prices_at, seconds_to_next_tick

MAX_ORDER: Final = 1000  # characters
MAX_QUANTITY: Final = 1000
MOST_SHOWN: Final = 40  # characters of what is wrong


class OrderRefused(Exception):
    """What is wrong with an order, in words for the page."""


@dataclass(frozen=True, slots=True)
class Order:
    """A valid order."""

    side: str
    symbol: str
    quantity: int


def read_order(message: str | bytearray) -> Order:
    """Read an order. Raises OrderRefused, with the rule that it breaks."""
    try:
        fields = json.loads(message) if len(message) <= MAX_ORDER else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise OrderRefused(f"An order is a JSON object of at most {MAX_ORDER} characters.")
    side, symbol, quantity = (fields.get(name) for name in ("side", "symbol", "quantity"))
    if side not in ("buy", "sell"):
        raise OrderRefused(f"The side must be buy or sell, not {shown(side)}.")
    if symbol not in CODES:
        raise OrderRefused(f"There is no symbol {shown(symbol)}.")
    if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
        raise OrderRefused(f"The quantity must be a whole number from 1 to {MAX_QUANTITY:,}, not {shown(quantity)}.")
    return Order(side, symbol, quantity)


def shown(value: object) -> str:
    """Any value in a message, not too long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def message(event: str, **content: Any) -> str:
    """Write one message."""
    return json.dumps({"event": event, **content}, separators=(",", ":"))


class Live(WebSocketApplication):
    """One page. Between its callbacks a connection holds no greenlet; each of them may wait, as a view may."""

    def on_open(self) -> None:
        """Send the charts, then whatever all pages get."""
        self.position: dict[str, int] = {}
        self.ws.send(message("charts", charts=charts(), in_flight=in_flight.reading()))
        feed.join(self)

    def on_message(self, text: str | bytearray | None) -> None:
        """Answer an order. None is how gevent-websocket says that nothing more comes."""
        if text is None:
            return
        with in_flight.count():
            try:
                answer = self.fill(read_order(text))
            except OrderRefused as refused:
                answer = message("refused", reason=str(refused))
        self.ws.send(answer)

    def fill(self, order: Order) -> str:
        """Fill an order at the price of this moment. Raises OrderRefused for one that sells what is not there."""
        held = self.position.get(order.symbol, 0)
        if order.side == "sell" and order.quantity > held:
            raise OrderRefused(f"You hold {held:,} {order.symbol} and cannot sell {order.quantity:,}.")
        held += order.quantity if order.side == "buy" else -order.quantity
        self.position[order.symbol] = held
        price = prices_at(current_tick())[CODES.index(order.symbol)]
        return message(
            "filled", side=order.side, symbol=order.symbol, quantity=order.quantity, price=price, position=held
        )

    def on_close(self, reason: str | None) -> None:
        """Take part in nothing any more."""
        feed.leave(self)


class Feed:
    """Sends prices and load to all pages, from one greenlet, which runs as long as there are any."""

    def __init__(self) -> None:
        self.pages: set[Live] = set()
        self.greenlet: Any = None

    def join(self, page: Live) -> None:
        """Send to this page too."""
        self.pages.add(page)
        if not self.greenlet:
            self.greenlet = gevent.spawn(self.run)

    def leave(self, page: Live) -> None:
        """Send to this page no more; without pages there is nothing to run for."""
        self.pages.discard(page)
        if not self.pages:
            self.greenlet.kill(block=False)

    def run(self) -> None:
        """Send what is new at every tick: encoded once, and never waiting for a slow page."""
        while True:
            gevent.sleep(seconds_to_next_tick())
            hublet.broadcast(
                self.pages, message("tick", prices=prices_at(current_tick()), in_flight=in_flight.reading())
            )


feed = Feed()
