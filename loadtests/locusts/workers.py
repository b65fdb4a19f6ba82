"""Notes which of locust's workers were lost, and when a test's last figures are in."""

from __future__ import annotations

from typing import Any, Final

MISSING: Final = "missing"  # locust's word for one that sends no heartbeat


class WorkerWatch:
    """Looks after the workers of a master. `lost` has when each of those that went missing was last heard, by id."""

    def __init__(self, events: Any) -> None:
        self.known: list[str] = []
        self.lost: dict[str, float] = {}
        self._at = 0.0
        self._heard: dict[str, float] = {}
        self._busy: dict[str, int] = {}
        self._is_over = False
        events.worker_report.add_listener(self._on_report)

    def _on_report(self, client_id: str, data: dict[str, Any]) -> None:
        self._heard[client_id] = self._at
        if self._is_over:
            self._busy[client_id] = data["user_count"]

    def look(self, clients: Any, at: float) -> None:
        """Look at the master's `clients`, `at` seconds after the beginning, while there are to be users."""
        self._at = at
        self.known += [each for each in clients if each not in self.known]
        for each in self.known:
            if each not in clients or clients[each].state == MISSING:
                self.lose(each)

    def lose(self, client_id: str) -> None:
        """One was lost, and stays so even if it comes back: its users were not where they should have been."""
        self.lost.setdefault(client_id, self._heard.get(client_id, 0.0))

    def end(self) -> None:
        """The users are to stop: from now on workers leave the clients and come back, and report for the last time."""
        self._is_over = True

    def awaited(self) -> list[str]:
        """Those who have not yet reported that none of their users is left, which is after all that they counted."""
        return [each for each in self.known if each not in self.lost and self._busy.get(each, 1)]
