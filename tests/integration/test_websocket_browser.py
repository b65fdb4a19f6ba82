"""A real browser, headless Chromium, on the pages of the examples, each served by the real command."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from loadtests.private.process import free_port
from tests.conftest import ROOT

from .browser import Browser
from .served_process import PATIENCE, ServedProcess, wait_until


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser
        browser.open("about:blank")


@pytest.fixture
def ticker(tmp_path: Path, browser: Browser) -> Iterator[ServedProcess]:
    served = ServedProcess(tmp_path, "examples.ticker.app:app", "--grace", "2")
    try:
        yield served
        browser.open("about:blank")  # a page that goes away closes its WebSocket
        served.stop()
    finally:
        served.kill()


def test_the_page_shows_live_prices_over_its_websocket(browser: Browser, ticker: ServedProcess) -> None:
    browser.open(f"http://{ticker.authority}/")
    browser.wait_for(f"{browser.text('#status')} === 'Live'")
    browser.wait_for(f"/^[▲▼■] [0-9.]+ %$/.test({browser.text('.card .change')})")
    prices = "[...document.querySelectorAll('.price')].map((each) => each.textContent).join()"
    before = browser.evaluate(prices)
    browser.wait_for(f"{prices} !== '{before}'")


def order(browser: Browser, side: str, symbol: str, quantity: str) -> None:
    """What a user does: fill in the form and press a button."""
    browser.evaluate(f"document.querySelector('#order-form [name=symbol]').value = '{symbol}'")
    browser.evaluate(f"document.querySelector('#order-form [name=quantity]').value = '{quantity}'")
    browser.evaluate(f"document.querySelector('#order-form button[value={side}]').click()")


def test_an_order_gets_its_confirmation(browser: Browser, ticker: ServedProcess) -> None:
    browser.open(f"http://{ticker.authority}/")
    browser.wait_for("document.querySelector('#order-form button:enabled')")
    order(browser, "buy", "KITE", "7")
    browser.wait_for(rf"/^Bought 7 KITE at [0-9.]+; you hold 7\.$/.test({browser.text('#answer')})")
    assert browser.evaluate(browser.text("#positions")) == "KITE7"
    order(browser, "sell", "KITE", "3")
    browser.wait_for(rf"/^Sold 3 KITE at [0-9.]+; you hold 4\.$/.test({browser.text('#answer')})")


@pytest.mark.parametrize(
    ("side", "quantity", "reason"),
    [
        ("sell", "1", "You hold 0 FERN and cannot sell 1."),
        ("buy", "0", "The quantity must be a whole number from 1 to 1,000, not 0."),
        ("buy", "2.5", "The quantity must be a whole number from 1 to 1,000, not 2.5."),
    ],
)
def test_a_wrong_order_is_explained(
    browser: Browser, ticker: ServedProcess, side: str, quantity: str, reason: str
) -> None:
    browser.open(f"http://{ticker.authority}/")
    browser.wait_for("document.querySelector('#order-form button:enabled')")
    order(browser, side, "FERN", quantity)
    browser.wait_for(f"{browser.text('#answer')} === {reason!r}")
    assert browser.evaluate("document.querySelector('#answer').dataset.state") == "refused"


def test_the_page_comes_back_when_the_server_does(browser: Browser, ticker: ServedProcess, tmp_path: Path) -> None:
    browser.open(f"http://{ticker.authority}/")
    browser.wait_for(f"{browser.text('#status')} === 'Live'")
    ticker.stop()
    browser.wait_for(f"{browser.text('#status')} === 'Reconnecting'")
    assert browser.evaluate("document.querySelector('#order-form fieldset').disabled")
    again = ServedProcess(tmp_path, "examples.ticker.app:app", "--grace", "2", port=ticker.port)
    try:
        browser.wait_for(f"{browser.text('#status')} === 'Live'")
        order(browser, "buy", "FERN", "1")
        browser.wait_for(f"{browser.text('#answer')}.startsWith('Bought 1 FERN')")
        browser.open("about:blank")
        again.stop()
    finally:
        again.kill()


def test_without_websockets_the_page_falls_back_to_events(browser: Browser, tmp_path: Path) -> None:
    """Flask's own server has none."""
    log = tmp_path / "flask"
    with log.open("wb") as output:
        flask = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "examples.ticker.app", "run", "--port", str(free_port())],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until(lambda: "Running on" in log.read_text(), log.read_text)
        browser.open(re.search(r"Running on (\S+)", log.read_text())[1])  # type: ignore[index]
        browser.wait_for(f"{browser.text('#status')} === 'Live, prices only'")
        browser.wait_for(f"{browser.text('#answer')}.startsWith('This server offers no WebSocket')")
        assert browser.evaluate("document.querySelector('#order-form fieldset').disabled")
    finally:
        flask.kill()
        flask.wait(PATIENCE)


def test_a_chat(browser: Browser, tmp_path: Path) -> None:
    served = ServedProcess(tmp_path, "examples.chat.app:app", "--grace", "2")
    try:
        browser.open(f"http://{served.authority}/?room=tea&nickname=Ann")
        browser.wait_for(f"{browser.text('#status')} === 'Connected'")
        browser.wait_for(f"{browser.text('#members')} === 'Ann (you)'")
        with connect(f"ws://{served.authority}/live?room=tea&nickname=Bob") as bob:
            browser.wait_for(f"{browser.text('#members')} === 'Ann (you)Bob'")
            bob.send("hello, <b>Ann</b>")
            browser.wait_for("[...document.querySelectorAll('#talk p')].at(-1).textContent === 'hello, <b>Ann</b>'")
            browser.evaluate("document.querySelector('#text').value = 'hello, Bob'")
            browser.evaluate("document.querySelector('#say button').click()")
            browser.wait_for(browser.text("#talk .own p") + " === 'hello, Bob'")
        browser.wait_for(f"{browser.text('#talk')}.endsWith('Bob has left')")
        browser.open("about:blank")
        served.stop()
    finally:
        served.kill()
