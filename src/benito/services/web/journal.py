"""An operation as the page shows it: its steps so far, how many nodes are in which phase, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from benito.services.operations import Event, Kind, Operation, Operations
from benito.testbed.home import ExperimentId

TELL_S = 0.2
"""The least time between two tellings."""
STEPS = 60
NAMES = {Kind.CREATE: "create", Kind.UP: "swapin"}


class Journal:
    """One operation, followed from its beginning."""

    def __init__(self, operation: Operation, total: int) -> None:
        self.operation = operation
        self.total = total
        self.began = operation.request.began
        self.steps: list[dict[str, Any]] = []
        self.phases: dict[str, str] = {}
        self.outcome: Event | None = None
        self.latest = self.began

    def take(self, event: Event) -> None:
        """Take one of the operation's events."""
        self.latest = float(event.get("time", self.latest))
        if "outcome" in event:
            self.outcome = event
        elif "node" in event:
            self.phases[event["node"]] = str(event["phase"])
        elif text := event.get("step") or event.get("notice"):
            kind = "step" if "step" in event else "notice"
            self.steps.append({"text": str(text), "kind": kind, "seconds": round(self.latest - self.began, 1)})

    def shown(self) -> dict[str, Any]:
        """Return it for the browser."""
        failed = self.outcome is not None and self.outcome["outcome"] != "done"
        error = self.outcome or {}
        ended = self.latest if self.outcome else time.time()
        return {
            "kind": NAMES.get(self.operation.request.kind, str(self.operation.request.kind)),
            "user": self.operation.request.user,
            "running": self.outcome is None,
            "seconds": round(max(0.0, ended - self.began), 1),
            "steps": self.steps[-STEPS:],
            "phases": dict(Counter(self.phases.values())),
            "total": len(self.phases) or self.total,
            "failure": {"message": error.get("error", ""), "hint": error.get("hint", "")} if failed else None,
        }


class Journals:
    """The latest operation of each experiment that somebody looks at."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self._kept: dict[str, Journal] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._news: dict[str, asyncio.Event] = {}

    def news(self, experiment: ExperimentId) -> asyncio.Event:
        """Return what is set, and replaced, whenever something new is known of its operation."""
        return self._news.setdefault(experiment.key, asyncio.Event())

    def _tell(self, experiment: ExperimentId) -> None:
        event = self._news.pop(experiment.key, None)
        if event is not None:
            event.set()

    def of(self, experiment: ExperimentId, total: int) -> Journal | None:
        """Return the journal of the operation under way, or of the last one that was followed."""
        kept = self._kept.get(experiment.key)
        if kept is not None and kept.outcome is None:
            return kept
        operation = self.operations.current(experiment)
        if operation is not None:
            return self.follow(operation, total)
        return kept

    def follow(self, operation: Operation, total: int) -> Journal:
        """Begin to follow an operation."""
        experiment = operation.request.experiment
        journal = self._kept[experiment.key] = Journal(operation, total)
        task = asyncio.create_task(self._follow(journal))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._tell(experiment)
        return journal

    async def _follow(self, journal: Journal) -> None:
        told = 0.0
        async for event in self.operations.follow(journal.operation.id):
            journal.take(event)
            if time.monotonic() - told > TELL_S or "outcome" in event or "step" in event:
                told = time.monotonic()
                self._tell(journal.operation.request.experiment)
