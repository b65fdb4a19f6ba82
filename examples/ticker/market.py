"""The market: invented companies, whose prices are a function of time alone.

A price is noise of several periods on top of each other, each with the weight that makes the sum look like a random
walk. So there is nothing to keep, to lock or to stop; every worker of a server agrees on every price, and after a
restart the charts go on where they were.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

INTERVAL: Final = 0.5  # seconds from one price to the next
HISTORY: Final = 120  # prices in a chart
PERIODS: Final = tuple(2.0**power for power in range(-1, 9))  # of the noise, in seconds


@dataclass(frozen=True, slots=True)
class Symbol:
    """An invented security. `volatility` is how far noise of a one-second period moves its price, relative to it."""

    code: str
    name: str
    price: float
    volatility: float


SYMBOLS: Final = (
    Symbol("FERN", "Fernway Foods", 48.20, 0.0010),
    Symbol("HALO", "Halo Optics", 212.75, 0.0014),
    Symbol("KITE", "Kite Aerial", 17.34, 0.0026),
    Symbol("LUMA", "Luma Pictures", 91.08, 0.0017),
    Symbol("MOSS", "Mossbridge Water", 63.55, 0.0008),
    Symbol("NIMB", "Nimbus Freight", 134.90, 0.0013),
    Symbol("ORCA", "Orca Tidal Power", 78.41, 0.0019),
    Symbol("PEAT", "Peat & Barley", 29.66, 0.0011),
    Symbol("QUIL", "Quill Stationers", 8.92, 0.0022),
    Symbol("TERN", "Tern Airways", 41.17, 0.0021),
    Symbol("VOLT", "Voltaic Rail", 305.30, 0.0015),
    Symbol("ZINC", "Zincworks", 22.84, 0.0018),
)


CODES: Final = tuple(symbol.code for symbol in SYMBOLS)


@lru_cache(maxsize=16 * 1024)
def noise(code: str, period: float, step: int) -> float:
    """A number from -1 to 1 that is always the same for the same arguments."""
    return random.Random(f"{code} {period} {step}").uniform(-1, 1)


def price_at(symbol: Symbol, seconds: float) -> float:
    """The price at a time, in seconds since the epoch."""
    logarithm = 0.0
    for period in PERIODS:
        step, fraction = divmod(seconds / period, 1)
        blend = fraction * fraction * (3 - 2 * fraction)
        before, after = noise(symbol.code, period, int(step)), noise(symbol.code, period, int(step) + 1)
        logarithm += math.sqrt(period) * (before + (after - before) * blend)
    return round(symbol.price * math.exp(symbol.volatility * logarithm), 2)


@lru_cache(maxsize=2 * HISTORY)
def prices_at(tick: int) -> tuple[float, ...]:
    """All prices, in the order of SYMBOLS, at a number of intervals since the epoch."""
    return tuple(price_at(symbol, tick * INTERVAL) for symbol in SYMBOLS)


def current_tick() -> int:
    """Give the number of intervals since the epoch."""
    return int(time.time() / INTERVAL)


def charts() -> dict[str, list[float]]:
    """The prices of the last minute, of every symbol."""
    tick = current_tick()
    past = [prices_at(earlier) for earlier in range(tick - HISTORY + 1, tick + 1)]
    return {code: list(prices) for code, prices in zip(CODES, zip(*past, strict=True), strict=True)}


def seconds_to_next_tick() -> float:
    """How long the present prices last."""
    return INTERVAL - time.time() % INTERVAL
