"""Writes what a campaign has shown as Markdown for readers and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..bench.report import table
from .steps import Outcome

MARKDOWN: Final = "chaos.md"
JSON: Final = "chaos.json"
HEADINGS: Final = ("Step", "What is done", "Requests", "WebSocket messages", "Reconnects", "Lost", "p99 ms", "Verdict")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A whole campaign: when, how, on what, and the outcome of every step."""

    date: str
    command: str
    machine: dict[str, str]
    outcomes: Sequence[Outcome]

    def is_clean(self) -> bool:
        """Whether nothing was violated."""
        return not any(outcome.violations for outcome in self.outcomes)


def write_report(campaign: Campaign, directory: Path) -> list[Path]:
    """Write both files into `directory` and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    markdown, json_file = directory / MARKDOWN, directory / JSON
    markdown.write_text(to_markdown(campaign))
    json_file.write_text(json.dumps(to_json(campaign), indent=2) + "\n")
    return [markdown, json_file]


def to_markdown(campaign: Campaign) -> str:
    """Write the whole report for readers."""
    remarks = [f"- {each.name}: {note}." for each in campaign.outcomes for note in each.notes]
    violations = [f"- {each.name}: {violation}" for each in campaign.outcomes for violation in each.violations]
    parts = [
        "# What is lost",
        f"Written by `{campaign.command}` on {campaign.date}: a supervisor with two workers, under wrk, requests on "
        "kept and on fresh connections, slow requests, and WebSockets that come back after close code 1012. All of it, "
        "load included, shares the processors.",
        table(HEADINGS, [row(outcome) for outcome in campaign.outcomes]),
        *(["\n".join(remarks)] if remarks else []),
        *(["## Violations", "\n".join(violations)] if violations else []),
        "## Machine",
        table(("", ""), list(campaign.machine.items())),
    ]
    return "\n\n".join(parts) + "\n"


def row(outcome: Outcome) -> tuple[str, ...]:
    """Write a step's row."""
    numbers = (outcome.requests, outcome.messages, outcome.reconnects, outcome.lost)
    verdict = "violated" if outcome.violations else "holds"
    return (outcome.name, outcome.did, *(f"{number:,}" for number in numbers), f"{outcome.p99_ms:.1f}", verdict)


def to_json(campaign: Campaign) -> dict[str, Any]:
    """Write the campaign for programs."""
    return {
        "date": campaign.date,
        "command": campaign.command,
        "machine": campaign.machine,
        "steps": [dataclasses.asdict(outcome) for outcome in campaign.outcomes],
    }
