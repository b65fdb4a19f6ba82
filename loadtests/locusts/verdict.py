"""Whether the application held, and what broke first."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .bounds import Bounds, keys_of, keys_of_user, labels, milliseconds
from .recorder import Kind

# A generator that uses so much of its one processor measures itself. It says so if it does for such a part of the time.
GENERATOR_FULL: Final = 0.9
GENERATOR_FULL_PART: Final = 0.1
# A hub that is so late explains response times.
LAG_MATTERS: Final = 0.1

Sample = Mapping[str, Any]


@dataclass(slots=True)
class Verdict:
    """`held`, one line that says so, and further lines with reasons."""

    held: bool
    line: str
    notes: list[str] = field(default_factory=list)

    def fail(self, line: str) -> None:
        """Say that there is no verdict, or that there is one more reason for not having held."""
        if self.held:
            self.notes.insert(0, f"of what was counted: {self.line}")
            self.held, self.line = False, line
        else:
            self.notes.append(line)

    def __str__(self) -> str:
        return "\n".join([self.line, *(f"  {each}" for each in self.notes)])


def kind_of(row: Mapping[str, Any]) -> Kind:
    """The kind that a row of figures is of."""
    return Kind(row["user"], row["method"], row["name"])


def judge(
    total: Mapping[str, Any],
    rows: Sequence[dict[str, Any]],
    samples: Sequence[Sample],
    bounds: Bounds,
    asking: Collection[str] = (),
    slack: float = 0.0,
    seconds: float = math.inf,
) -> Verdict:
    """The verdict on a planned shape: every kind of request (`rows`) keeps its bounds, each by itself.

    Users who wait make no requests, so a server that stops answering hardly changes the percentiles. Therefore nobody
    may be left without an answer at the end, and users of the classes `asking`, who ask all the time, may not be
    without any response for longer than their p99 bound and `slack`, in seconds, for their pauses and for what samples
    cannot show. That is so for the time which was planned, `seconds`.
    """
    if not total["requests"]:
        return Verdict(False, "no verdict: not one request was made")
    names = labels(kind_of(row) for row in rows)
    broken: list[str] = []
    kinds = set()
    for row in rows:
        kind = kind_of(row)
        problems = list(map(str, bounds.excesses(kind, row)))
        if row["unanswered"] > bounds.errors.among(keys_of_user(kind.user)) * most_users(samples, kind.user):
            problems.append(f"{row['unanswered']} users had no answer until the test was over")
        broken += [f"{names[kind]}: {each}" for each in problems]
        if problems:
            kinds.add(kind)
    planned = within(samples, seconds)
    for user in asking:
        silent, since = longest_silence(planned, user)
        own = [bounds.p99.among(keys_of(kind)) for kind in names if kind.user == user]
        if silent > max(own, default=bounds.p99.among(keys_of_user(user))) + slack:
            broken.append(f"{user}: no response at all for {silent:.0f} s, after {since:.0f} s")
    verdict = Verdict(not broken, f"{'did not hold' if broken else 'held'}: {describe_total(total)}", broken)
    # What was asked for within the time may have been answered, and counted, after it.
    found = first_excess(samples, bounds, kinds) if broken else first_excess(planned, bounds, set(names))
    if found is not None:
        kind, what, sample = found
        first = "first" if broken else "over the bounds in places, first"
        verdict.notes.append(f"{first}: {names[kind]}: {what} after {sample['at']:.0f} s, with {sample['users']} users")
    return verdict


def describe_total(total: Mapping[str, Any]) -> str:
    """All kinds together, in words."""
    times = "" if total["p50"] is None else f"p50 {milliseconds(total['p50'])}, p99 {milliseconds(total['p99'])}, "
    return (
        f"{total['requests']} requests, {total['rate']:.0f} a second, {times}"
        f"{total['failures'] / (total['requests'] or 1):.2%} errors"
    )


def first_excess(samples: Sequence[Sample], bounds: Bounds, kinds: set[Kind]) -> tuple[Kind, str, Sample] | None:
    """The first second in which one of these kinds was over a bound; of several, the one with most requests."""
    for sample in samples:
        for row in sorted(sample["kinds"], key=lambda row: -int(row["requests"])):
            kind = kind_of(row)
            excesses = bounds.excesses(kind, row) if kind in kinds else []
            if excesses:
                return kind, excesses[-1].figure, sample
    return None


def most_users(samples: Sequence[Sample], user: str) -> int:
    """How many users of a class there were at the most; where it is not known of which class, of all."""
    return max((each["by_user"].get(user, each["users"]) for each in samples), default=0)


def longest_silence(samples: Sequence[Sample], user: str) -> tuple[float, float]:
    """For how many seconds users of a class were without a response, at the most, and after what time."""
    longest, since, last = 0.0, 0.0, 0.0
    for sample in samples:
        if not sample["by_user"].get(user) or any(row["user"] == user for row in sample["kinds"]):
            last = sample["at"]
        elif sample["at"] - last > longest:
            longest, since = sample["at"] - last, last
    return longest, since


def within(samples: Sequence[Sample], seconds: float) -> list[Sample]:
    """The samples of the planned time: the last is the one in which it ends, and is cut there."""
    found: list[Sample] = []
    for sample in samples:
        found.append({**sample, "at": min(sample["at"], seconds)})
        if sample["at"] >= seconds:
            break
    return found


def judge_knee(knee: Any, finished: bool) -> Verdict:
    """The verdict of the search for the limit."""
    good, bad = knee.good, knee.bad
    if not knee.points:
        return Verdict(False, "no verdict: the time was up before the first stage had enough answers: allow more time")
    if good is None:
        few = "1 user" if bad.users == 1 else f"{bad.users} users"
        return Verdict(False, f"no good point: not even {few} held: {describe_point(bad)}")
    verdict = Verdict(True, f"last good point: {describe_point(good)}")
    if bad is not None:
        verdict.notes.append(f"first bad point: {describe_point(bad)}")
        verdict.notes += [f"broken there: {each}" for each in bad.broken]
    elif finished:
        verdict.notes.append(f"the limit was not reached: allow more than {good.users} users")
    if not finished:
        verdict.notes.append("the time was up before the limit was known to 10 %: allow more time")
    return verdict


def fail_unanswered(
    verdict: Verdict, knee: Any, rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample], bounds: Bounds
) -> None:
    """Fail a verdict on points which were good only since users who wait make no requests, and are in no figure.

    Where the last point was bad, they may have waited for that reason.
    """
    if not knee.points or not knee.points[-1].is_good:
        return
    for row in rows:
        user = row["user"]
        if row["unanswered"] > bounds.errors.among(keys_of_user(user)) * most_users(samples, user):
            verdict.fail(f"no verdict: {user}: {row['unanswered']} users had no answer until the test was over")


def describe_point(point: Any) -> str:
    """One point in words."""
    return (
        f"{point.users} users, {point.rate:.0f} requests a second, p99 {milliseconds(point.p99)}, "
        f"{point.error_ratio:.2%} errors"
    )


def explain(
    verdict: Verdict,
    samples: Sequence[Sample],
    blockers: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]] = (),
    errors: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Add which requests failed and how, what is not known, and what the server's and the generator's side say."""
    for each in sorted(errors, key=lambda each: -int(each["count"]))[:3]:
        verdict.notes.append(f"{each['method']} {each['name']} failed {times(each['count'])}: {each['error']}")
    for each in rows:
        if not kind_of(each).has_latency:
            who = each["user"] or each["name"]
            verdict.notes.append(
                f"{who}: {each['requests']} messages do not say when they were `sent`: their delay is not known"
            )
    cpu = [each["generator_cpu"] for each in samples]
    if cpu and sum(each > GENERATOR_FULL for each in cpu) > GENERATOR_FULL_PART * len(cpu):
        verdict.notes.append(
            "the load generator used all of its processor at times: the figures are its own; "
            "add --worker processes, or use wrk"
        )
    late = max(samples, key=lambda each: each.get("server_lag", 0.0), default={})
    if late.get("server_lag", 0.0) >= LAG_MATTERS:
        verdict.notes.append(f"the hub was late by up to {milliseconds(late['server_lag'])}, after {late['at']:.0f} s")
    for each in blockers[:3]:
        verdict.notes.append(
            f"{each['file']}:{each['line']} in {each['function']} blocked the hub {times(each['count'])}, "
            f"{milliseconds(each['longest'])} at the most, {each['total']:.2f} s in all"
        )


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"
