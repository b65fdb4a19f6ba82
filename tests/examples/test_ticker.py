"""examples/ticker: the page, the bounds of its arguments, the event stream, the burst, and that nothing is left.

Its WebSocket is in test_ticker_live.py; a browser drives the page in tests/integration/test_websocket_browser.py.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from examples.ticker import app as ticker
from examples.ticker import market
from examples.ticker.load import in_flight

CHART = 120


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    before = in_flight.now
    yield ticker.app.test_client()
    assert in_flight.now == before
    assert not ticker.burst_lock.locked()


def address(port: int) -> dict[str, str]:
    """What a server on this port says of itself."""
    return {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(port)}


def read_events(response: TestResponse, count: int) -> list[tuple[str, Any]]:
    """The first `count` events of the stream, which is then closed as by a client that goes away."""
    assert response.mimetype == "text/event-stream"
    events = []
    stream = response.iter_encoded()
    for _ in range(count):
        *_, name, data = next(stream).decode().removesuffix("\n\n").split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert in_flight.now == 1
    response.close()
    return events


def test_the_page_shows_every_symbol_with_a_price(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    for symbol in market.SYMBOLS:
        assert f'data-code="{symbol.code}"' in answer.text
    assert answer.text.count('<p class="price">') == len(market.SYMBOLS)


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "://" not in page
    for part in page.split('"'):
        if part.startswith("/static/"):
            assert client.get(part, buffered=True).status_code == 200


@pytest.mark.parametrize("seconds", ["0", "0.01", "0.05"])
def test_wait_answers_after_the_time_asked_for(client: FlaskClient, seconds: str) -> None:
    started = time.perf_counter()
    answer = client.get(f"/wait?seconds={seconds}")
    assert answer.status_code == 200
    assert answer.get_json()["asked"] == float(seconds)
    assert time.perf_counter() - started >= float(seconds)


@pytest.mark.parametrize("seconds", ["-0.001", "30.001", "nan", "inf", "-inf", "", "abc", "1e9", "0x1"])
def test_wait_refuses_what_is_out_of_bounds_and_says_what_is_not(client: FlaskClient, seconds: str) -> None:
    answer = client.get("/wait", query_string={"seconds": seconds})
    assert answer.status_code == 400
    assert answer.get_json()["error"] == f"seconds must be a number from 0 to 30, not {seconds!r}"


def test_wait_lets_the_bound_itself_pass(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert client.get("/wait?seconds=30").status_code == 200


def test_an_error_does_not_echo_a_long_argument(client: FlaskClient) -> None:
    assert len(client.get("/wait", query_string={"seconds": "x" * 5000}).data) < 200


def test_the_stream_begins_with_the_charts(client: FlaskClient) -> None:
    ((name, data),) = read_events(client.get("/stream"), 1)
    assert name == "charts"
    assert list(data["charts"]) == [symbol.code for symbol in market.SYMBOLS]
    assert {len(prices) for prices in data["charts"].values()} == {CHART}
    assert data["in_flight"]["now"] == 1


def test_the_stream_goes_on_with_prices_and_load(client: FlaskClient) -> None:
    _, (name, data) = read_events(client.get("/stream"), 2)
    assert name == "tick"
    assert len(data["prices"]) == len(market.SYMBOLS)
    assert data["in_flight"]["now"] == 1


def test_a_server_without_websockets_says_where_the_prices_are(client: FlaskClient) -> None:
    answer = client.get("/live")
    assert answer.status_code == 426
    assert "/stream" in answer.get_json()["error"]


def test_streams_may_not_be_held_back_by_proxies_and_caches(client: FlaskClient) -> None:
    response = client.get("/stream")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Accel-Buffering"] == "no"
    read_events(response, 1)


def test_a_stream_that_is_never_read_leaves_nothing_behind(client: FlaskClient) -> None:
    client.get("/stream").close()


def test_prices_depend_on_the_time_alone() -> None:
    tick = 3_500_000_000
    first = market.prices_at(tick)
    market.prices_at.cache_clear()
    market.noise.cache_clear()
    assert market.prices_at(tick) == first


def test_prices_move_a_little_at_a_time_and_stay_near_where_they_began() -> None:
    ticks = range(3_500_000_000, 3_500_000_000 + 2 * CHART)
    for symbol, prices in zip(market.SYMBOLS, zip(*map(market.prices_at, ticks), strict=True), strict=True):
        assert all(abs(after / before - 1) < 0.02 for before, after in itertools.pairwise(prices))
        assert all(0.5 < price / symbol.price < 2 for price in prices)
        assert len(set(prices)) > CHART / 10


@pytest.mark.parametrize(
    ("query", "argument"),
    [("count=0", "count"), ("count=501", "count"), ("seconds=5.1", "seconds"), ("count=x", "count")],
)
def test_a_burst_has_bounds(client: FlaskClient, query: str, argument: str) -> None:
    answer = client.get(f"/burst?{query}")
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(f"{argument} must be a number from ")


def test_one_burst_at_a_time(client: FlaskClient) -> None:
    first = client.get("/burst?count=1&seconds=0")
    assert client.get("/burst").status_code == 429
    first.close()


def test_a_burst_that_gets_no_answers_says_so(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker.app.logger, "disabled", True)
    answer = client.get("/burst?count=2&seconds=0", environ_overrides=address(1))
    reports = [json.loads(line) for line in answer.text.splitlines()]
    assert [report["status"] for report in reports if "ended" in report] == [0, 0]
    answer.close()


@pytest.fixture
def server_port() -> Iterator[int]:
    server = make_server("127.0.0.1", 0, ticker.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_requests_of_a_burst_overlap(client: FlaskClient, server_port: int) -> None:
    count, seconds = 20, 0.25
    with client.get(f"/burst?count={count}&seconds={seconds}", environ_overrides=address(server_port)) as answer:
        first, *reports = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert first == {"count": count, "seconds": seconds}
    ended = {report["number"]: report for report in reports if "ended" in report}
    assert sorted(ended) == list(range(count))
    assert {report["status"] for report in ended.values()} == {200}
    assert max(report["ended"] for report in ended.values()) < count * seconds / 2


def test_a_client_that_leaves_a_burst_leaves_no_thread_behind(client: FlaskClient, server_port: int) -> None:
    before = threading.active_count()
    response = client.get("/burst?count=5&seconds=0.1", environ_overrides=address(server_port))
    stream = response.iter_encoded()
    next(stream)
    next(stream)
    assert threading.active_count() > before
    response.close()
    assert not [thread for thread in threading.enumerate() if "Burst" in repr(getattr(thread, "_target", None))]
