"""A scheduler with a clock, an executor and a calendar that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from courtkeeper.calendar.load import Loaded, load
from courtkeeper.scheduler.loop import Scheduler, Settings
from courtkeeper.store import Store
from support.fake_executor import FakeExecutor

START = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)  # a Monday
HOURLY = "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYMINUTE=0"


def calendar(root: Path, *jobs: dict[str, Any], text: str | None = None) -> Loaded:
    """Write a checkout with these jobs and their playbooks, and read it: `{"name": "a", "schedule": …}`."""
    inventory = root / "inventory/x"
    path = inventory / "group_vars/all/calendar.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    (root / "playbooks").mkdir(exist_ok=True)
    (root / "ansible.cfg").touch()
    (inventory / "hosts.yml").write_text("all: {hosts: {here: {}}}\n")
    for job in jobs:
        (root / f"playbooks/{job['name']}.yml").write_text("- hosts: all\n")
    path.write_text(
        text
        or yaml.safe_dump({"courtkeeper_calendar": {"jobs": [{"schedule": HOURLY, **job} for job in jobs]}})
    )
    return load(inventory, root)


class Bench:
    """What a test of the loop holds: `at(hours)` sets the clock and ticks."""

    def __init__(self, store: Store, root: Path, *jobs: dict[str, Any], **settings: Any) -> None:
        self.store, self.root = store, root
        self.now = START
        self.monotonic = 0.0
        self.said: list[str] = []
        self.loaded = calendar(root, *jobs)
        assert not self.loaded.problems, self.loaded.problems
        self.executor = FakeExecutor()
        self.scheduler = self.another(**settings)

    def another(self, executor: FakeExecutor | None = None, **settings: Any) -> Scheduler:
        return Scheduler(
            Settings(**{"system": "x", **settings}),
            store=self.store,
            executor=executor or self.executor,
            calendar=lambda: self.loaded,
            clock=lambda: self.now,
            say=self.said.append,
            monotonic=lambda: self.monotonic,
        )

    def at(self, hours: float, ticks: int = 1) -> None:
        """Go to so many hours after START, as a clock that is right does, and tick."""
        then = START + timedelta(hours=hours)
        self.monotonic += (then - self.now).total_seconds()
        self.now = then
        for _ in range(ticks):
            self.scheduler.tick()

    def slots(self) -> list[tuple[str, str, str]]:
        """Each slot: the job, the hour, and its state."""
        end = START + timedelta(days=800)
        return [
            (each.job, f"{each.scheduled_for:%d %H}", each.state)
            for each in self.store.slots.between(START - timedelta(days=1), end)
        ]

    def reasons(self, state: str) -> list[str]:
        rows = self.store.slots.between(START - timedelta(days=1), START + timedelta(days=800))
        return [each.reason for each in rows if each.state == state]
