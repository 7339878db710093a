"""A small system with a history: what the dashboard's tests look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from courtkeeper.runner.record import RunRecord, RunStatus, TaskRecord
from courtkeeper.store import Store
from courtkeeper.store.identity import Origin
from courtkeeper.store.slots import Made, Occurrence
from courtkeeper.store.store import open_store
from courtkeeper.store.tables import slots
from courtkeeper.web.site import Calendars, Site
from support.records import GOOD, found, record
from support.scheduling import calendar

# A Wednesday. The store's time goes on from here only as a test says.
NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
SYSTEM = "x"
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
JOBS = (
    {"name": "checks", "description": "Looks at everything.", "owner": "the night shift"},
    {
        "name": "patching",
        "schedule": "FREQ=WEEKLY;BYDAY=TH;BYHOUR=2;BYMINUTE=0",
        "window": "01:00-05:00",
        "disruptive": True,
        "approval": True,
        "description": "Brings security updates.",
    },
    {"name": "drift", "schedule": "FREQ=DAILY;BYHOUR=6;BYMINUTE=0", "check": True},
    {"name": "reports", "schedule": "FREQ=DAILY;BYHOUR=12;BYMINUTE=0"},
)
RUNNING = "20260304T122500Z-reports-beef"
UNDOABLE = 136  # the first action of the run of checks three hours ago: 45 ran before it, with three each


class Scene:
    """The site, its clock and what is in it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory
        self.now = NOW
        self.loaded = calendar(directory, *JOBS)
        assert not self.loaded.problems, self.loaded.problems
        self.store: Store = open_store(directory, str(directory / "store.sqlite"))
        calendars = Calendars(directory, {SYSTEM: directory / "inventory" / SYSTEM})
        self.site = Site(store=self.store, calendars=calendars, clock=lambda: self.now)
        self._fill()

    def _fill(self) -> None:
        hour = timedelta(hours=1)
        for number in range(48, 0, -1):
            self._checks(number, NOW.replace(minute=0) - hour * number)
        for day in range(6):
            self._drift(day, NOW.replace(hour=6, minute=0) - timedelta(days=day + 1))
        self._failed()
        self._running()
        made = [
            Occurrence(at=NOW - 30 * hour, missed="noticed 3.0 h late: no scheduler was running"),
            Occurrence(at=NOW - 12 * hour, missed="its window had closed"),
            Occurrence(at=NOW - hour, deadline=NOW + hour),
        ]
        self.store.slots.make(
            SYSTEM, [Made(job="reports", occurrences=made, until=NOW, only_latest=False)], NOW
        )
        with self.store.database.write() as connection:
            connection.execute(slots.insert(), [self._done(number) for number in range(48, 0, -1)])
        self.store.people.hold(SYSTEM, "drift", by="alice", at=NOW - hour, reason=f"release {HOSTILE}")

    def _done(self, number: int) -> dict[str, object]:
        at = NOW.replace(minute=0) - timedelta(hours=number)
        return {
            "system": SYSTEM, "job": "checks", "scheduled_for": at, "trigger": "schedule", "state": "ok",
            "not_before": at, "run_id": self.checks_id(number), "started_at": at,
            "finished_at": at + timedelta(seconds=20),
        }  # fmt: skip

    @staticmethod
    def checks_id(number: int) -> str:
        return f"{NOW.replace(minute=0) - timedelta(hours=number):%Y%m%dT%H%M%SZ}-checks-{number:04x}"

    def _checks(self, number: int, at: datetime) -> None:
        findings = [
            found("disk /var", "crit" if number < 5 else "warn", observed=70 + number % 25, threshold=80,
                  unit="%", summary="Fills up.", fix="Make room.", applied="Removed old logs.",
                  undo="courtkeeper vault release logs"),
            found("clock", "ok" if number % 7 else "warn", observed=number % 7 / 10, threshold=0.5, unit="s"),
            found(HOSTILE, "warn", host=f"db<b>{HOSTILE}", summary=HOSTILE, fix=HOSTILE, observed=HOSTILE),
        ]  # fmt: skip
        diffs = [{"before_header": "/etc/x", "before": "a\nb\n", "after": f"a\n{HOSTILE}\n"}]
        self._store(
            record(number, findings, started_at=at, finished_at=at + timedelta(seconds=20 + number % 9),
                   run_id=self.checks_id(number), inventory=f"inventory/{SYSTEM}", diffs=diffs, changed=True,
                   actions=["looked", HOSTILE]),
            [f"TASK [Look] {HOSTILE}", "\x1b[31mred\x1b[0m", *(f"line {line}" for line in range(60))]
            if number == 3 else None,
        )  # fmt: skip

    def _drift(self, day: int, at: datetime) -> None:
        tasks = [TaskRecord(name=f"t{n}", host="db1", status="changed", duration_s=0.5) for n in range(day)]
        self._store(
            record(day, job="drift", started_at=at, finished_at=at + timedelta(seconds=4), check=True,
                   run_id=f"{at:%Y%m%dT%H%M%SZ}-drift-{day:04x}", inventory=f"inventory/{SYSTEM}",
                   tasks=tasks)
        )  # fmt: skip

    def _failed(self) -> None:
        at = NOW - timedelta(hours=10)
        bad = TaskRecord(name="Upgrade", host="db1", status="failed", duration_s=2, message="apt is locked")
        counts = dict(GOOD, failed=1)
        self._store(
            record(1, job="patching", started_at=at, finished_at=at + timedelta(minutes=3), tasks=[bad],
                   inventory=f"inventory/{SYSTEM}", run_id=f"{at:%Y%m%dT%H%M%SZ}-patching-dead",
                   status=RunStatus.FAILED, message="apt is locked by another process",
                   host_stats={"db1": counts})
        )  # fmt: skip

    def _running(self) -> None:
        running = record(
            0, job="reports", run_id=RUNNING, started_at=NOW - timedelta(minutes=5), finished_at=None,
            inventory=f"inventory/{SYSTEM}", status=RunStatus.RUNNING,
        )  # fmt: skip
        self.store.recording.begin(running, Origin(trigger="schedule"))
        self.store.recording.output(RUNNING, 0, ["PLAY [reports]", f"ok: [db1] {HOSTILE}"])

    def end_running(self) -> None:
        """Let the run that goes end well."""
        ended = record(
            0, job="reports", run_id=RUNNING, started_at=NOW - timedelta(minutes=5), finished_at=self.now,
            inventory=f"inventory/{SYSTEM}",
        )  # fmt: skip
        self.store.recording.finish(ended)

    def _store(self, done: RunRecord, lines: list[str] | None = None) -> None:
        self.store.recording.finish(done, Origin(trigger="schedule"))
        for seq, start in enumerate(range(0, len(lines or []), 20)):
            self.store.recording.output(done.run_id, seq, (lines or [])[start : start + 20])
