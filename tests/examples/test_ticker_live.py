"""examples/ticker's WebSocket: the prices it brings, the orders it takes, and what it says about wrong ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hublet.testing import WebSocketClient

from examples.ticker import live, market
from examples.ticker.app import app
from tests.conftest import Served, Serving, wait_until


class Page(WebSocketClient):
    """What the page's scripts do."""

    def next(self, *events: str) -> Any:
        """The next message that is one of these events."""
        while True:
            text = self.receive()
            assert isinstance(text, str)
            message = json.loads(text)
            if message["event"] in events:
                return message

    def order(self, side: Any = "buy", symbol: Any = "FERN", quantity: Any = 10) -> Any:
        """Send an order; return its answer."""
        self.send(json.dumps({"side": side, "symbol": symbol, "quantity": quantity}))
        return self.next("filled", "refused")


@pytest.fixture
def served(serve: Serving) -> Iterator[Served]:
    yield serve(app)
    wait_until(lambda: not (live.feed.pages or live.feed.greenlet), "the end of the feed")


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    with Page(served.server, "/live") as page:
        yield page


def test_the_charts_come_first_and_then_the_prices(page: Page) -> None:
    first = json.loads(str(page.receive()))
    assert first["event"] == "charts"
    assert list(first["charts"]) == list(market.CODES)
    assert {len(prices) for prices in first["charts"].values()} == {market.HISTORY}
    tick = json.loads(str(page.receive()))
    assert tick["event"] == "tick"
    assert len(tick["prices"]) == len(market.CODES)
    assert tick["in_flight"]["now"] == 0  # a connection that waits is no request


def test_every_page_gets_the_same_tick(served: Served, page: Page) -> None:
    with Page(served.server, "/live") as other:
        assert page.next("tick")["prices"] == other.next("tick")["prices"]


def test_an_order_is_filled_at_the_price_of_the_moment(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "current_tick", lambda: 3_500_000_000)
    price = market.prices_at(3_500_000_000)[market.CODES.index("KITE")]
    answer = page.order("buy", "KITE", 7)
    filled = {"event": "filled", "side": "buy", "symbol": "KITE", "quantity": 7, "price": price, "position": 7}
    assert answer == filled
    assert page.order("buy", "KITE", 3)["position"] == 10
    assert page.order("sell", "KITE", 10)["position"] == 0


def test_nobody_sells_what_they_do_not_hold(page: Page) -> None:
    page.order("buy", "FERN", 5)
    assert page.order("sell", "FERN", 6)["reason"] == "You hold 5 FERN and cannot sell 6."
    assert page.order("sell", "HALO", 1)["reason"] == "You hold 0 HALO and cannot sell 1."
    assert page.order("sell", "FERN", 5)["position"] == 0


def test_positions_are_the_connections_own(served: Served, page: Page) -> None:
    page.order("buy", "FERN", 5)
    with Page(served.server, "/live") as other:
        assert other.order("sell", "FERN", 5)["event"] == "refused"


@pytest.mark.parametrize("quantity", [1, live.MAX_QUANTITY])
def test_quantities_at_their_bounds(page: Page, quantity: int) -> None:
    assert page.order(quantity=quantity)["position"] == quantity


@pytest.mark.parametrize("quantity", [0, -1, live.MAX_QUANTITY + 1, 1.5, "10", None, True, [1]])
def test_other_quantities_are_refused(page: Page, quantity: Any) -> None:
    reason = f"The quantity must be a whole number from 1 to 1,000, not {json.dumps(quantity)}."
    assert page.order(quantity=quantity) == {"event": "refused", "reason": reason}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"side": "hold"}, 'The side must be buy or sell, not "hold".'),
        ({"symbol": "GOLD"}, 'There is no symbol "GOLD".'),
        ({"symbol": ["FERN"]}, 'There is no symbol ["FERN"].'),
        ({"symbol": "x" * 500}, f'There is no symbol "{"x" * 39}….'),
    ],
)
def test_what_is_wrong_is_said(page: Page, order: dict[str, Any], reason: str) -> None:
    assert page.order(**order)["reason"] == reason


def padded(size: int) -> str:
    return '{"side": "buy", "symbol": "FERN", "quantity": 1}'.ljust(size)


@pytest.mark.parametrize("message", ["", "order!", "[]", "null", b"\xff\xfe", padded(live.MAX_ORDER + 1)])
def test_what_is_no_order_is_refused_and_the_connection_lives(page: Page, message: str | bytes) -> None:
    page.send(message)
    assert page.next("refused")["reason"] == "An order is a JSON object of at most 1000 characters."
    assert page.order()["position"] == 10


@pytest.mark.parametrize("size", [live.MAX_ORDER - 1, live.MAX_ORDER])
def test_an_order_of_the_greatest_length(page: Page, size: int) -> None:
    page.send(padded(size))
    assert page.next("filled", "refused")["event"] == "filled"
