"""What stands in the way of a slot when it would begin, and what the driver is told once nothing does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.calendar.load import Loaded
from courtkeeper.runner import CompletedRun, RunOptions
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler import executor as executors
from courtkeeper.scheduler.executor import DriverExecutor, Finished, Order
from courtkeeper.scheduler.service import CalendarFile
from courtkeeper.store import Store, open_store
from support.records import record
from support.scheduling import START, Bench, calendar

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))
from runner_checkout import until

FINAL = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:test
BEGIN:VEVENT
DTSTART:20260302T005000Z
DTEND:20260302T023000Z
SUMMARY:Final
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store; what its kind changes is tested beside this."""
    with open_store(tmp_path) as opened:
        yield opened


def test_a_blackout_holds_what_is_due_and_what_is_asked_for(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "inventory/x/group_vars/all/final.ics"
    file.parent.mkdir(parents=True)
    file.write_text(FINAL)
    dark = {"blackouts": ["final.ics"], "misfire": "all", "grace_minutes": 240}
    early = {"name": "b", "schedule": "FREQ=DAILY;BYHOUR=0;BYMINUTE=45"}
    bench = Bench(store, tmp_path, {"name": "a", **dark}, {**early, **dark, "retries": {"times": 1}})
    bench.executor.ends = RunStatus.FAILED
    bench.at(0.1)
    bench.at(0.3, ticks=2)
    assert bench.slots() == [("b", "02 00", "failed")]
    assert "It is not tried again: at 00:5" in bench.reasons("failed")[0]
    assert "it would be in a blackout: Final" in bench.reasons("failed")[0]
    bench.executor.ends = RunStatus.OK
    bench.at(0.6)
    asked = store.slots.request("x", "a", bench.now, by="eva")
    bench.at(0.7)
    assert len(bench.executor.started) == 1
    assert set(bench.reasons("late")) == {"blackout: Final, until 2026-03-02 02:30 UTC"}
    bench.at(2.1, ticks=4)
    assert asked in {order.slot for order in bench.executor.started}
    assert [state for job, _, state in bench.slots() if job == "a"] == ["ok", "ok", "ok"]


def test_what_is_asked_for_does_not_stand_behind_what_waits(store: Store, tmp_path: Path) -> None:
    bench = Bench(store, tmp_path, {"name": "a", "approval": True, "grace_minutes": 600, "misfire": "all"})
    bench.at(0.1)
    bench.at(0.5, ticks=2)
    asked = store.slots.request("x", "a", bench.now + timedelta(seconds=1), by="eva")
    bench.at(0.6, ticks=2)
    assert [order.slot for order in bench.executor.started] == [asked]
    assert [state for _, _, state in bench.slots()] == ["late", "ok"]


def test_a_late_disruptive_job_does_not_begin_what_will_not_end_in_time(store: Store, tmp_path: Path) -> None:
    once = {"schedule": "FREQ=DAILY;BYHOUR=1;BYMINUTE=0", "window": "00:50-01:40", "grace_minutes": 60}
    bench = Bench(
        store, tmp_path, {"name": "a", "disruptive": True, "misfire": "latest", **once}, {"name": "b", **once}
    )
    for job in "ab":
        for number in range(5):
            ended = record(number).started_at + timedelta(minutes=30)
            store.recording.finish(record(number, job=job, inventory="x", finished_at=ended))
    hold = store.people.hold("x", "", by="eva", at=START)
    bench.at(0.1)
    bench.at(0.6)
    store.people.release(hold, by="eva", at=bench.now)
    bench.at(0.8, ticks=2)
    assert [order.job.name for order in bench.executor.started] == ["b"]
    assert bench.reasons("late") == ["it takes 30 min and its window 00:50-01:40 closes in 22"]
    bench.at(24.5, ticks=2)  # the next day, in time
    assert ("a", "03 01", "ok") in bench.slots()


def test_what_changes_beside_a_calendar_is_seen_and_the_other_jobs_go_on(tmp_path: Path) -> None:
    seconds = [0.0]
    jobs = [{"name": "a"}, {"name": "b"}, {"name": "c", "concurrency": ["host:here"]}]
    calendar(tmp_path, *jobs)
    file = CalendarFile(tmp_path / "inventory/x", tmp_path, lambda: seconds[0])

    def again() -> tuple[list[str], str]:
        seconds[0] += 6
        loaded = file()
        return [job.name for job in loaded.jobs], " ".join(map(str, loaded.problems))

    first = file()
    assert file() is first
    (tmp_path / "playbooks/b.yml").unlink()
    assert file() is first  # it looks every five seconds
    names, problems = again()
    assert (names, "there is no playbook 'b'" in problems) == (["a", "c"], True)
    (tmp_path / "inventory/x/hosts.yml").write_text("all: {hosts: {elsewhere: {}}}\n")
    assert again()[0] == ["a"]
    calendar(tmp_path, *jobs)
    assert again() == (["a", "b", "c"], "")
    assert again() == (["a", "b", "c"], "")


class Driven:
    """A DriverExecutor with a fake driver that keeps what it was told."""

    def __init__(self, loaded: Loaded, store: Store, root: Path) -> None:
        self.loaded = loaded
        self.said: list[str] = []
        self.executor = DriverExecutor(
            root, str(root / "inventory/x"), store, clock=lambda: START, say=self.said.append
        )

    def run(self, job: str, **given: Any) -> Finished:
        order = Order(job=self.loaded.job(job), slot=1, scheduled_for=START, attempt=1,
                      run_id=f"20260302T010000Z-{job}-0001", **given)  # fmt: skip
        self.executor.start(order)
        ended: list[Finished] = []
        until(lambda: ended.extend(self.executor.finished()) or ended)
        return ended[0]


def test_the_driver_is_told_what_the_calendar_and_the_slot_say(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[RunOptions] = []

    def fake_drive(request: RunOptions, **_: Any) -> CompletedRun:
        told.append(request)
        done = record(job=request.name, inventory="x", run_id=request.run_id)
        return CompletedRun(done, tmp_path)

    monkeypatch.setattr(executors, "drive", fake_drive)
    more = {"playbook": "a", "limit": "web", "extra_vars": {"depth": "3"}, "timeout_minutes": 7}
    loaded = calendar(tmp_path, {"name": "drift", "check": True}, {"name": "a"}, {"name": "b", **more})
    assert not loaded.problems, loaded.problems
    driven = Driven(loaded, store, tmp_path)
    assert driven.run("drift").status is RunStatus.OK
    driven.run("b")
    driven.run("b", limit="web:!h1", check=True)
    drift, usual, rest = told
    assert (drift.job, drift.check, drift.limit) == ("drift", True, None)
    assert (usual.job, usual.name, usual.check, usual.limit) == ("a", "b", False, "web")
    assert (usual.extra_vars, usual.timeout_s) == ({"depth": "3"}, 420.0)
    assert (rest.check, rest.limit) == (True, "web:!h1")


def test_a_run_that_has_no_room_fails_in_one_sentence(store: Store, tmp_path: Path) -> None:
    driven = Driven(calendar(tmp_path, {"name": "a"}), store, tmp_path)
    (tmp_path / "var/runs").write_text("a file where a directory should be")
    ended = driven.run("a")
    assert ended.status is RunStatus.FAILED
    assert ended.message.startswith("var/runs/20260302T010000Z-a-0001 cannot be written: ")
    assert ended.message.endswith("; make room or mend its rights.")
    assert driven.said == []
