"""The loop on a real store, with a clock of the test's and a fake executor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler.executor import Finished
from courtkeeper.scheduler.forecast import preview
from courtkeeper.store import Store, open_store
from support.fake_executor import FakeExecutor
from support.records import record
from support.scheduling import START, Bench, calendar
from support.stores import ENGINES, store_url

ONCE = {"schedule": "FREQ=DAILY;BYHOUR=1;BYMINUTE=0"}


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    with store_url(request, request.param, tmp_path) as url, open_store(tmp_path, url) as opened:
        yield opened


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Store]:
    """An empty store where its kind does not matter."""
    with open_store(tmp_path) as opened:
        yield opened


def test_what_is_due_runs_once_and_nothing_before_its_time(store: Store, tmp_path: Path) -> None:
    bench = Bench(store, tmp_path, *({"name": name} for name in "abc"))
    bench.at(0.1)
    assert bench.slots() == []  # a new job makes up for nothing
    bench.at(0.5, ticks=3)
    assert bench.slots() == [(name, "02 01", "ok") for name in "abc"]
    again = bench.another(FakeExecutor())
    again.tick()
    assert len(bench.executor.started) == 3
    assert not again.executor.started


@pytest.mark.parametrize(
    ("policy", "grace", "states"),
    [
        ("skip", 200, ["missed", "missed", "missed", "ok"]),
        ("latest", 200, ["missed", "missed", "missed", "ok"]),
        ("all", 90, ["missed", "missed", "ok", "ok"]),
        ("all", 200, ["ok", "ok", "ok", "ok"]),
    ],
)
def test_what_was_missed_follows_its_policy(
    light: Store, tmp_path: Path, policy: str, grace: int, states: list[str]
) -> None:
    bench = Bench(light, tmp_path, {"name": "a", "misfire": policy, "grace_minutes": grace})
    bench.at(0.1)
    bench.at(3.5, ticks=8)  # 01, 02, 03 and, on time, 04 o'clock
    assert [state for _, _, state in bench.slots()] == states
    assert all(bench.reasons("missed")) or policy == "all"


def test_latest_is_made_up_for_within_its_grace_and_skip_is_not(light: Store, tmp_path: Path) -> None:
    jobs = [{"name": name, "misfire": name, "grace_minutes": 50} for name in ("skip", "latest")]
    bench = Bench(light, tmp_path, *jobs)
    bench.at(0.1)
    bench.at(1.0, ticks=2)  # half an hour late
    assert [(job, state) for job, _, state in bench.slots()] == [("latest", "ok"), ("skip", "missed")]
    bench.at(2.45, ticks=2)  # 57 minutes late
    assert [state for _, hour, state in bench.slots() if hour == "02 02"] == ["missed", "missed"]
    assert any("its grace is 50 min" in reason for reason in bench.reasons("missed"))


def test_one_at_a_time_holds_a_resource(store: Store, tmp_path: Path) -> None:
    shared = {"concurrency": ["resource:disk"]}
    bench = Bench(store, tmp_path, {"name": "a", **shared}, {"name": "b", **shared}, {"name": "c"})
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5, ticks=2)
    assert [order.job.name for order in bench.executor.started] == ["a", "c"]
    bench.at(0.6)
    assert ("b", "02 01", "late") in bench.slots()
    assert bench.reasons("late")[0].startswith("resource:disk is held by a (2026")
    bench.executor.end(bench.executor.started[0], RunStatus.OK)
    bench.at(0.7)
    assert bench.executor.started[-1].job.name == "b"
    bench.at(0.8)
    assert bench.reasons("running") == ["", ""]


def test_what_waits_too_long_is_missed_and_says_for_what(light: Store, tmp_path: Path) -> None:
    shared = {"concurrency": ["resource:disk"], "grace_minutes": 20}
    bench = Bench(light, tmp_path, {"name": "a", **shared}, {"name": "b", **shared})
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    bench.at(0.9)
    assert ("b", "02 01", "missed") in bench.slots()
    assert "it did not begin in time: resource:disk is held by a" in bench.reasons("missed")[0]


def test_workers_are_not_more_than_wanted(light: Store, tmp_path: Path) -> None:
    bench = Bench(light, tmp_path, *({"name": f"j{n}"} for n in range(5)), workers=2)
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    assert len(bench.executor.started) == 2
    assert bench.reasons("waiting")[0] == "all 2 workers are busy"


def test_a_failure_is_tried_again_on_what_is_not_done(store: Store, tmp_path: Path) -> None:
    retries = {"times": 2, "backoff_minutes": 10}
    bench = Bench(store, tmp_path, {"name": "a", "retries": retries, "misfire": "all"})
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    bench.executor.end(bench.executor.started[0], RunStatus.FAILED, "No room.", limit="all:!h1")
    bench.at(0.55)
    assert bench.slots() == [("a", "02 01", "retrying")]
    assert bench.reasons("retrying") == ["attempt 1 failed: No room."]
    bench.at(0.75)
    second = bench.executor.started[1]
    assert (second.attempt, second.limit) == (2, "all:!h1")
    bench.executor.end(second, RunStatus.TIMEOUT, "Too long.")
    bench.at(0.8)
    bench.at(1.2)
    bench.executor.end(bench.executor.started[2], RunStatus.FAILED, "No.")
    bench.at(1.25)
    assert bench.slots()[0] == ("a", "02 01", "failed")
    assert bench.reasons("failed") == ["No. It was tried 3 times."]


@pytest.mark.parametrize(
    ("status", "state"), [(RunStatus.REFUSED, "failed"), (RunStatus.CANCELLED, "cancelled")]
)
def test_what_was_refused_or_cancelled_is_not_tried_again(
    light: Store, tmp_path: Path, status: RunStatus, state: str
) -> None:
    bench = Bench(light, tmp_path, {"name": "a", "retries": {"times": 5}})
    bench.executor.ends = status
    bench.at(0.1)
    bench.at(0.5, ticks=2)
    assert bench.slots() == [("a", "02 01", state)]


def test_a_job_waits_for_those_before_it(store: Store, tmp_path: Path) -> None:
    after = [{"job": "a", "within_hours": 2}]
    bench = Bench(store, tmp_path, {"name": "a"}, {"name": "b", "after": after})
    bench.at(0.1)
    bench.at(0.5, ticks=2)
    assert ("b", "02 01", "waiting") in bench.slots()
    assert bench.reasons("waiting") == ["a has not passed within 2 h"]
    good = record(job="a", run_id="20260302T010000Z-a-1", inventory="x",
                  started_at=bench.now, finished_at=bench.now)  # fmt: skip
    store.recording.finish(good)
    bench.at(0.55, ticks=2)
    assert ("b", "02 01", "ok") in bench.slots()


def test_windows_holds_and_approvals_stand_in_the_way(light: Store, tmp_path: Path) -> None:
    bench = Bench(light, tmp_path, {"name": "a", "approval": True, "window": "00:50-01:40", **ONCE})
    hold = light.people.hold("x", "a", by="eva", at=START, reason="a match")
    bench.at(0.1)
    bench.at(0.6)
    assert bench.reasons("late") == ["held by eva: a match"]
    light.people.release(hold, by="eva", at=bench.now)
    bench.at(0.7)
    assert bench.reasons("late") == ["it waits for approval (courtkeeper approve)"]
    assert light.people.approve("x", "a", START + timedelta(minutes=30), by="eva", at=bench.now)
    assert not light.people.approve("x", "a", START + timedelta(minutes=30), by="eva", at=bench.now)
    bench.at(0.75, ticks=2)
    assert bench.slots() == [("a", "02 01", "ok")]
    bench.at(24.6)
    bench.at(25.3)
    assert bench.reasons("late") == ["outside its window 00:50-01:40, until 2026-03-04 00:50 UTC"]
    bench.at(25.6)
    assert bench.slots()[-1] == ("a", "03 01", "missed")
    assert [row.what for row in light.people.audit().rows] == ["approve", "release", "hold"]


def test_a_person_asks_for_a_run_and_cancels_it(store: Store, tmp_path: Path) -> None:
    bench = Bench(store, tmp_path, {"name": "a", "window": "00:50-01:40", "approval": True, **ONCE})
    bench.executor.ends = None
    bench.at(0.1)
    slot = store.slots.request("x", "a", bench.now, by="eva", options={"check": True})
    assert slot is not None
    bench.at(0.2)
    order = bench.executor.started[0]
    assert (order.check, order.trigger) == (True, "request")
    store.recording.begin(
        record(run_id=order.run_id, job="a", inventory="x", status=RunStatus.RUNNING, finished_at=None)
    )
    assert store.people.cancel_run(order.run_id, by="eva", at=bench.now)
    assert not store.people.cancel_run(order.run_id, by="eva", at=bench.now)
    bench.at(0.3, ticks=2)
    assert bench.executor.cancelled[0] == (order.run_id, "by eva")
    assert bench.slots() == [("a", "02 00", "cancelled")]
    assert not store.people.cancel_slot(slot, by="eva", at=bench.now)


def test_a_clock_that_jumps_runs_nothing_twice_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    bench = Bench(store, tmp_path, {"name": "a", "misfire": "skip"})
    bench.at(0.1)
    bench.at(0.5, ticks=2)
    bench.now += timedelta(days=400)  # set wrong, by a year and more
    for _ in range(60):
        bench.scheduler.tick()
    assert any("The clock went forward by 400 days" in sentence for sentence in bench.said)
    assert "missed" in {state for _, _, state in bench.slots()}
    bench.now -= timedelta(days=400)
    bench.scheduler.tick()
    assert any("The clock went back by 400 days" in sentence for sentence in bench.said)
    for hour in range(1, 6):
        bench.at(hour + 0.5, ticks=2)
    early = [each for each in bench.slots() if each[1] <= "02 06"]
    assert early == [("a", f"02 0{hour}", "ok") for hour in range(1, 7)]
    assert len({order.scheduled_for for order in bench.executor.started}) == len(bench.executor.started)
    bench.now -= timedelta(hours=3)
    bench.scheduler.tick()
    before = len(bench.executor.started)
    for hour in range(3, 7):
        bench.at(hour, ticks=2)
    assert len(bench.executor.started) == before


def test_a_broken_calendar_is_one_sentence_and_the_others_go_on(light: Store, tmp_path: Path) -> None:
    bench = Bench(light, tmp_path, {"name": "a"}, {"name": "b"})
    bench.at(0.1)
    bench.loaded = calendar(
        tmp_path, {"name": "a"}, {"name": "b", "schedule": "FREQ=NEVER"},
        {"name": "c", "after": [{"job": "d", "within_hours": 1}]},
        {"name": "d", "after": [{"job": "c", "within_hours": 1}]},
        {"name": "e", "playbook": "nowhere"},
    )  # fmt: skip
    bench.at(0.2)
    assert {name for name in "bcde" if any(f"job {name}:" in sentence for sentence in bench.said)} == set(
        "bcde"
    )
    assert all("\n" not in sentence for sentence in bench.said)
    bench.at(0.5, ticks=2)
    assert bench.slots() == [("a", "02 01", "ok")]
    said = len(bench.said)
    bench.loaded = calendar(tmp_path, text="courtkeeper_calendar: [")
    bench.at(1.5, ticks=2)
    assert len(bench.said) == said + 1
    assert bench.slots()[-1] == ("a", "02 02", "ok")
    bench.loaded = calendar(tmp_path, {"name": "b", "grace_minutes": 600})
    bench.at(2.3, ticks=2)
    # b was broken and is mended: what it missed is said; a is gone
    assert [each for each in bench.slots() if each[0] == "b"] == [
        ("b", "02 01", "missed"),
        ("b", "02 02", "ok"),
    ]


def test_what_nobody_runs_any_more_is_missed_and_says_so(light: Store, tmp_path: Path) -> None:
    shared = {"concurrency": ["resource:disk"]}
    bench = Bench(light, tmp_path, {"name": "a", **shared}, {"name": "b", **shared}, {"name": "c", **shared})
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    bench.loaded = calendar(tmp_path, {"name": "a", **shared}, {"name": "b", "enabled": False, **shared})
    bench.at(0.6)
    assert bench.reasons("late") == [
        "its job is not enabled",
        "its job is not in the calendar, or cannot be used as it stands there",
    ]
    bench.at(1.6)
    assert [(job, state) for job, hour, state in bench.slots() if hour == "02 01"] == [
        ("a", "running"),
        ("b", "missed"),
        ("c", "missed"),
    ]


def test_a_new_rule_makes_up_for_nothing(light: Store, tmp_path: Path) -> None:
    bench = Bench(light, tmp_path, {"name": "a"})
    bench.at(0.1)
    bench.loaded = calendar(
        tmp_path, {"name": "a", "schedule": "FREQ=DAILY;BYHOUR=0,1;BYMINUTE=10", "misfire": "all"}
    )
    bench.at(0.4, ticks=2)
    assert bench.slots() == []
    bench.at(0.7, ticks=2)
    assert len(bench.slots()) == 1


def test_a_store_that_takes_nothing_is_said_once_and_nothing_is_lost(
    light: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(light, tmp_path, {"name": "a"})
    bench.at(0.1)
    settle, make = light.slots.settle, light.slots.make

    def full(*_: object) -> None:
        raise CourtkeeperError("The store has no room left: make room on its disk.")

    monkeypatch.setattr(light.slots, "make", full)
    with pytest.raises(CourtkeeperError):
        bench.at(0.5)
    monkeypatch.setattr(light.slots, "make", make)
    bench.at(0.51)
    monkeypatch.setattr(light.slots, "settle", full)
    for _ in range(3):
        bench.scheduler.guarded(bench.scheduler.tick)
    assert bench.said == ["The store has no room left: make room on its disk."]
    monkeypatch.setattr(light.slots, "settle", settle)
    bench.scheduler.guarded(bench.scheduler.tick)
    assert bench.slots() == [("a", "02 01", "ok")]


def test_the_lost_lease_of_another_machine_frees_its_locks(store: Store, tmp_path: Path) -> None:
    bench = Bench(
        store,
        tmp_path,
        {"name": "a", "misfire": "all", "grace_minutes": 600},
        machine="far",
        lease=timedelta(0),
    )
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    here = bench.another(FakeExecutor())
    here.tick()
    assert bench.slots() == [("a", "02 01", "lost")]
    assert "far was not heard from" in bench.reasons("lost")[0]
    bench.at(0.6)
    assert any("going on under a new name" in sentence for sentence in bench.said)
    bench.executor.end(bench.executor.started[0], RunStatus.OK)
    bench.at(0.7)
    assert bench.slots() == [("a", "02 01", "ok")]  # it was not lost after all


def test_a_fenced_scheduler_ends_what_another_has_begun(light: Store, tmp_path: Path) -> None:
    bench = Bench(
        light,
        tmp_path,
        {"name": "a", "misfire": "all", "grace_minutes": 600},
        machine="far",
        lease=timedelta(0),
    )
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    other = FakeExecutor(ends=None)
    here = bench.another(other)
    here.tick()
    bench.monotonic += 3600
    bench.now += timedelta(hours=1)
    here.tick()
    assert len(other.started) == 1
    bench.scheduler.tick()
    assert "playbook:a is held by a (" in bench.executor.cancelled[0][1]


def test_what_a_dead_one_left_is_closed(light: Store, tmp_path: Path) -> None:
    jobs = [{"name": name, "misfire": "all", "retries": {"times": 1}} for name in ("began", "never")]
    bench = Bench(light, tmp_path, *jobs)
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    light.database.engine.dispose()
    with light.database.write() as connection:  # as if its process had died and another had its number
        connection.exec_driver_sql("UPDATE owners SET owner = replace(owner, '/', '/0/'), pid = 1")
        connection.exec_driver_sql("UPDATE slots SET owner = replace(owner, '/', '/0/')")
        connection.exec_driver_sql("UPDATE locks SET owner = replace(owner, '/', '/0/')")
    began = next(order.run_id for order in bench.executor.started if order.job.name == "began")
    left = {began: Finished(run_id=began, status=RunStatus.FAILED, message="The driver died.")}
    here = bench.another(FakeExecutor(left=left))
    here.tick()
    assert [(job, state) for job, _, state in bench.slots()] == [("began", "retrying"), ("never", "missed")]
    assert bench.reasons("missed") == ["its scheduler died before it began"]
    assert any("its slots were closed" in sentence for sentence in bench.said)


def test_a_preview_says_what_will_not_fit(light: Store, tmp_path: Path) -> None:
    shared = {"concurrency": ["resource:disk"]}
    bench = Bench(
        light, tmp_path, {"name": "a", "window": "00:50-01:10", **ONCE, **shared}, {"name": "b", **shared}
    )
    for number in range(5):
        long = record(
            number, job="a", inventory="x", finished_at=record(number).started_at + timedelta(minutes=30)
        )
        light.recording.finish(long)
    seen = preview(light, "x", bench.loaded, START, START + timedelta(hours=2))
    assert [(each.job, each.expected_s, each.fits) for each in seen[:2]] == [
        ("a", 1800.0, False),
        ("b", None, None),
    ]
    assert seen[1].waits_for == ["a at 2026-03-02 01:00 UTC"]


def test_stopping_leaves_nothing_behind(light: Store, tmp_path: Path) -> None:
    import threading

    bench = Bench(light, tmp_path, {"name": "a"})
    bench.executor.ends = None
    bench.at(0.1)
    bench.at(0.5)
    stop = threading.Event()
    stop.set()
    bench.scheduler.serve(stop)
    assert bench.slots() == [("a", "02 01", "cancelled")]
    assert bench.executor.cancelled[0][1] == "because the scheduler was stopped"
    assert light.owners.living() == []
