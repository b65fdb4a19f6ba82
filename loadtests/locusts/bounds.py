"""What response times and errors may be: a bound for every kind of request, and others for some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .recorder import Kind

# Of fewer requests than this, the 99th percentile is the slowest one.
HUNDRED: Final = 100


def parse_bound(read: Callable[[str], float]) -> Callable[[str], tuple[str, float]]:
    """A reader of `VALUE` or `KEY=VALUE`, whose value `read` reads. It raises ValueError."""

    def parse(text: str) -> tuple[str, float]:
        key, equals, value = text.rpartition("=")
        if equals and not key:
            raise ValueError(f"{text!r} must be a bound, or KEY=BOUND with a kind of user or the name of a request")
        return key, read(value)

    return parse


def keys_of(kind: Kind) -> tuple[str, ...]:
    """What may stand for a kind of request where a bound is given, the narrowest first."""
    return (f"{kind.method} {kind.name}", kind.name, *keys_of_user(kind.user))


def keys_of_user(user: str) -> tuple[str, str]:
    """What may stand for a class of users: its name, and for `page=/about` also `page`."""
    return user, user.partition("=")[0]


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound for everything, and further ones by what they are for."""

    default: float
    special: dict[str, float]

    @classmethod
    def of(cls, default: float, given: Iterable[tuple[str, float]]) -> Bound:
        """Take what was given on the command line; of several for the same, the last."""
        values = dict(given)
        return cls(values.pop("", default), values)

    def among(self, keys: Iterable[str]) -> float:
        """The bound of the first of these that has one of its own."""
        return next((self.special[key] for key in keys if key in self.special), self.default)

    @property
    def most(self) -> float:
        """The widest."""
        return max(self.default, *self.special.values()) if self.special else self.default


class Bounds(NamedTuple):
    """The greatest 99th percentile, in seconds, and the greatest part of failures."""

    p99: Bound
    errors: Bound

    def excesses(self, kind: Kind, figures: dict[str, Any]) -> list[Excess]:
        """The bounds that the figures of a kind (`Totals.describe`) are over."""
        found = []
        p99, most = figures["p99"], self.p99.among(keys_of(kind))
        if kind.has_latency and p99 is not None and p99 > most:
            few = f" (the slowest of {figures['timed']})" if figures["timed"] < HUNDRED else ""
            found.append(Excess(f"a p99 of {milliseconds(p99)}{few}", f"is over {milliseconds(most)}"))
        ratio, most = figures["failures"] / (figures["requests"] or 1), self.errors.among(keys_of(kind))
        if ratio > most:
            found.append(Excess(f"{ratio:.2%} errors", f"are over {most:.2%}"))
        return found

    def unused(self, kinds: Iterable[Kind]) -> list[str]:
        """Those that were given for something that was not asked for at all."""
        known = {key for kind in kinds for key in keys_of(kind)}
        return sorted({*self.p99.special, *self.errors.special} - known)


class Excess(NamedTuple):
    """A figure that is over its bound, and the rest of the sentence."""

    figure: str
    bound: str

    def __str__(self) -> str:
        return f"{self.figure} {self.bound}"


def labels(kinds: Iterable[Kind]) -> dict[Kind, str]:
    """Names for people: the user, and the request where there are several of one user."""
    known: Sequence[Kind] = list(kinds)
    users = [kind.user for kind in known]
    return {kind: label(kind, users.count(kind.user) == 1) for kind in known}


def label(kind: Kind, is_only: bool) -> str:
    """The name of one kind; `is_only` where its user has no other."""
    if kind.user and is_only:
        return kind.user
    # A visit is named after its path already.
    name = "" if kind.user.endswith(f"={kind.name}") else kind.name
    return " ".join(filter(None, (kind.user, kind.method, name)))


def milliseconds(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
