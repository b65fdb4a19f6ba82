"""Ticker: live prices, orders, and hundreds of waiting requests, from plain synchronous Flask.

    hublet examples.ticker.app:app              from the repository; then open http://127.0.0.1:8000
    flask --app examples.ticker.app run         Flask's own server works too, with a thread for each request

Everything here blocks, as Flask code does: `time.sleep` in a view and in a generator, `queue.get`, `http.client`. Under
hublet every one of these waits lets the other requests run, so one thread serves all of them at once.

    /                     the page
    /live                 the WebSocket: prices and load, twice a second, and orders from the page
    /stream               prices and load as server-sent events, for servers without WebSockets
    /wait?seconds=1       answers after waiting, as a slow database would
    /burst?count=200      sends that many requests to /wait at once and tells, as it happens, how they overlap
"""

from __future__ import annotations

import http.client
import json
import math
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import hublet
from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from .live import MAX_QUANTITY, Live
from .load import in_flight
from .market import SYMBOLS, charts, current_tick, prices_at, seconds_to_next_tick

app = Flask(__name__)
# Flask's way to put something in front of an application. Where the server offers no WebSocket it passes everything on.
app.wsgi_app = hublet.websockets({"/live": Live}, app.wsgi_app)  # type: ignore[method-assign]


# What a request may ask for.

MAX_WAIT: Final = 30.0  # seconds
MAX_BURST: Final = 500  # requests
MAX_BURST_WAIT: Final = 5.0  # seconds
# How much longer than it asks for a request of a burst may take, all together, before it is given up.
BURST_PATIENCE: Final = 20.0


def number_argument(name: str, default: float, low: float, high: float) -> float:
    """A number of the query string; answers 400 and says what is allowed if it is none or out of bounds."""
    text = request.args.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:  # which is also how a NaN compares
        abort(400, f"{name} must be a number from {low:g} to {high:g}, not {text[:40]!r}")
    return value


@app.errorhandler(HTTPException)
def describe_error(error: HTTPException) -> tuple[Response, int]:
    """Answer an error as JSON."""
    code = error.code or 500
    return jsonify(error=error.description, status=code), code


@app.after_request
def allow_own_content_only(response: Response) -> Response:
    """Forbid browsers to load anything from elsewhere."""
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@app.get("/")
def page() -> str:
    """Show the page, with the prices of now for readers without JavaScript."""
    prices = prices_at(current_tick())
    listed = list(zip(SYMBOLS, prices, strict=True))
    return render_template("page.html", listed=listed, max_wait=MAX_WAIT, max_quantity=MAX_QUANTITY)


@app.get("/live")
def no_websocket() -> tuple[Response, int]:
    """Answer what is no WebSocket request, or came to a server without WebSockets."""
    return jsonify(error="this is the address of a WebSocket; prices without one are at /stream", status=426), 426


@app.get("/wait")
def wait() -> Response:
    """Wait as long as `seconds` says, then answer how long it took."""
    seconds = number_argument("seconds", 1.0, 0.0, MAX_WAIT)
    started = time.perf_counter()
    with in_flight.count():
        time.sleep(seconds)
        others = in_flight.now - 1
    return jsonify(asked=seconds, waited=round(time.perf_counter() - started, 3), others_in_flight=others)


@app.get("/stream")
def stream() -> Response:
    """Stream prices and load."""
    return live_response(events(), "text/event-stream")


def events() -> Iterator[str]:
    """Server-sent events: the charts so far, then prices and load at every tick, until the client is gone.

    A server closes the generator when it cannot write to the client any more; the `with` then uncounts the request.
    """
    with in_flight.count():
        yield "retry: 1000\n" + event("charts", {"charts": charts(), "in_flight": in_flight.reading()})
        while True:
            time.sleep(seconds_to_next_tick())
            yield event("tick", {"prices": prices_at(current_tick()), "in_flight": in_flight.reading()})


def event(name: str, data: dict[str, Any]) -> str:
    """Write one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def live_response(body: Iterator[str], mimetype: str) -> Response:
    """A response that reaches the client piece by piece: neither caches nor proxies may hold it back."""
    return Response(body, mimetype=mimetype, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


# Browsers open at most six connections to a server, so a page cannot have 200 requests in flight. The server sends them
# for it, over real connections to itself.

burst_lock = threading.Lock()


@app.get("/burst")
def burst() -> Response:
    """Send requests to /wait at once and stream, one JSON object a line, when each began and ended."""
    count = int(number_argument("count", 200, 1, MAX_BURST))
    seconds = number_argument("seconds", 1.0, 0.0, MAX_BURST_WAIT)
    server = (request.environ["SERVER_NAME"], int(request.environ["SERVER_PORT"]))
    if not burst_lock.acquire(blocking=False):
        abort(429, "another burst is running; try again when it is over")
    response = live_response(Burst(server, count, seconds).lines(), "application/x-ndjson")
    response.call_on_close(burst_lock.release)
    return response


class Burst:
    """Requests that run at once, a thread each, and report to one queue. Times are seconds since the first began."""

    def __init__(self, server: tuple[str, int], count: int, seconds: float) -> None:
        self.server = server
        self.seconds = seconds
        self.reports: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self.request, args=(number,)) for number in range(count)]
        self.began = 0.0

    def lines(self) -> Iterator[str]:
        """Run the burst. Each request reports its `began`, then its `ended` and `status` (0: no answer)."""
        unfinished = len(self.threads)
        with in_flight.count():
            yield json.dumps({"count": unfinished, "seconds": self.seconds}) + "\n"
            self.began = time.perf_counter()
            try:
                for thread in self.threads:
                    thread.start()
                while unfinished:
                    report = self.reports.get()
                    unfinished -= "ended" in report
                    yield json.dumps(report) + "\n"
            finally:
                for thread in self.threads:
                    if thread.ident is not None:  # it was started before the client went away
                        thread.join()

    def request(self, number: int) -> None:
        """Send one request and report about it."""
        self.report(number, "began")
        connection = http.client.HTTPConnection(*self.server, timeout=self.seconds + BURST_PATIENCE)
        status = 0
        try:
            connection.request("GET", f"/wait?seconds={self.seconds}")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            app.logger.error("request %d of a burst to %s port %d failed: %s", number, *self.server, error)
        finally:
            connection.close()
            self.report(number, "ended", status=status)

    def report(self, number: int, moment: str, **more: int) -> None:
        """Put a moment of a request into the queue."""
        self.reports.put({"number": number, moment: round(time.perf_counter() - self.began, 4), **more})
