"""What the dashboard asks, the same on SQLite and on Postgres."""

from __future__ import annotations

from datetime import timedelta

from courtkeeper.runner.record import RunStatus
from courtkeeper.store import Store
from courtkeeper.store.identity import Origin
from courtkeeper.store.slots import Made, Occurrence
from courtkeeper.store.states import SlotState
from support.records import NOON, found, record

HOUR = timedelta(hours=1)


def test_jobs_and_their_last_runs(store: Store) -> None:
    assert store.overview.jobs() == []
    assert store.overview.last_runs([]) == []
    for number, job in enumerate(("b", "a", "b", "c", "a")):
        store.recording.finish(record(number, job=job))
    other = record(9, job="a", inventory="inventory/another")
    store.recording.begin(other)
    jobs = store.overview.jobs()
    assert jobs == [("another", "a"), ("embedded", "a"), ("embedded", "b"), ("embedded", "c")]
    last = {(run.system, run.job): run for run in store.overview.last_runs([*jobs, ("embedded", "'; --")])}
    assert {key: run.started_at for key, run in last.items()} == {
        ("another", "a"): NOON + 9 * HOUR,
        ("embedded", "a"): NOON + 4 * HOUR,
        ("embedded", "b"): NOON + 2 * HOUR,
        ("embedded", "c"): NOON + 3 * HOUR,
    }
    assert last["another", "a"].status == RunStatus.RUNNING


def test_slots_by_day_and_by_state(store: Store) -> None:
    midnight = NOON.replace(hour=0)
    due = [Occurrence(at=midnight + HOUR * number, missed="late" * (number % 2)) for number in range(30)]
    store.slots.make("x", [Made(job="a", occurrences=due, until=NOON, only_latest=False)], NOON)
    days = store.overview.slot_days(midnight, midnight + timedelta(days=3), system="x")
    seen = {(each.day, each.state): (each.number, each.first) for each in days}
    assert seen == {
        (midnight, SlotState.WAITING): (12, midnight),
        (midnight, SlotState.MISSED): (12, midnight + HOUR),
        (midnight + timedelta(days=1), SlotState.WAITING): (3, midnight + 24 * HOUR),
        (midnight + timedelta(days=1), SlotState.MISSED): (3, midnight + 25 * HOUR),
    }
    assert store.overview.slot_days(midnight, midnight + timedelta(days=3), system="y") == []
    missed = store.overview.slots_in([SlotState.MISSED], midnight, NOON, limit=3)
    assert [slot.scheduled_for for slot in missed] == [midnight + HOUR * number for number in (11, 9, 7)]
    (first,) = store.overview.slots_of_job("x", "a", limit=1)
    assert first.scheduled_for == midnight + 29 * HOUR
    assert store.overview.slot(first.id) == first
    assert store.overview.slot(first.id + 1) is None


def test_one_thing_and_the_end_of_an_output(store: Store) -> None:
    for number, status in enumerate(("warn", "ok", "crit", "crit")):
        store.recording.finish(record(number, [found("/", status)]), Origin(slot=number or None))
    (now,) = store.queries.open_findings().rows
    times = store.overview.spans_of_key(now.key)
    assert [each.closed_how for each in times] == ["", "ok"]
    assert store.overview.span(now.id) == now
    for nothing in (0, 10**6, 1 << 80):
        assert store.overview.span(nothing) is None
    by_hand = store.overview.runs_by_hand(NOON, NOON + 9 * HOUR)
    assert [run.started_at for run in by_hand] == [NOON]
    run_id = by_hand[0].run_id
    for seq in range(5):
        store.recording.output(run_id, seq, [f"line {seq}"])
    assert [batch.seq for batch in store.overview.output_tail(run_id, most=2)] == [3, 4]
    assert store.overview.output_tail("none") == []
