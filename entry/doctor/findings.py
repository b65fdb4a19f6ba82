"""What the doctor has found, as data: what it prints, and what `--json` has."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["cooperative", "patched", "off-loaded", "blocks", "off", "unknown"]


@dataclass(frozen=True, slots=True)
class Library:
    """A library that the application has loaded, and how it behaves here."""

    name: str
    version: str
    status: Status
    cost: str = ""
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Something unpatched that was taken before the patching; `rebound` if it has the patched name now."""

    what: str
    rebound: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of connections or threads that is alive.

    `fails` if greenlets that use it at once fail, or share a transaction.
    """

    what: str
    count: int
    fails: bool
    remedy: str


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What another way to start makes of the order of imports: names taken early, and what stays unpatched of it."""

    how: str
    rebound: int
    unpatched: tuple[str, ...]
    problem: str = ""


@dataclass(slots=True)
class Findings:
    """Everything about one application."""

    target: str
    libraries: list[Library] = field(default_factory=list)
    captures: list[Held] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    dns: str = ""
    gunicorn: list[ImportOrder] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def blocking(self) -> list[str]:
        """The names of what blocks: if there is any, the exit status is 1."""
        return [
            *(each.name for each in self.libraries if each.status == "blocks"),
            *(each.what for each in self.captures if not each.rebound),
            *(each.what for each in self.pools if each.fails),
            *(each.name for each in self.measured if each.verdict == "blocks"),
        ]

    def unmeasured(self) -> list[str]:
        """The names of what was to be measured and could not be."""
        return [each.name for each in self.measured if each.verdict == "failed"]

    def as_json(self) -> dict[str, Any]:
        """The findings for `--json`."""
        return asdict(self) | {"blocking": self.blocking()}


@dataclass(frozen=True, slots=True)
class Measured:
    """A probe's result: seconds of one operation, of `count` at once, and of the hub's longest stall meanwhile."""

    name: str
    one: float
    count: int
    together: float
    stall: float
    verdict: Literal["cooperative", "blocks", "failed"]
    problem: str = ""
