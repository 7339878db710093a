"""A run on its way into the store, and a store that cannot take it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner import Cancellation
from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.store import Store, open_store
from courtkeeper.store.identity import Origin, identify
from courtkeeper.store.sink import Sink
from support.records import NOON, found, record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store; what differs between its kinds is tested elsewhere."""
    with open_store(tmp_path) as opened:
        yield opened


def running(done: RunRecord) -> RunRecord:
    return msgspec.structs.replace(done, status=RunStatus.RUNNING, finished_at=None)


def test_what_a_run_prints_arrives_in_batches_and_in_order(store: Store) -> None:
    done = record(0, [found("/", "warn")])
    with Sink(lambda: store, Origin(owner="me")) as sink:
        sink.began(running(done))
        for number in range(2500):
            sink.printed(f"line {number}")
        sink.ended(done)
    assert sink.trouble == ""
    batches = store.queries.output(done.run_id)
    assert 3 <= len(batches) < 100
    assert "".join(each.text for each in batches) == "".join(f"line {number}\n" for number in range(2500))
    page = store.queries.run_page(done.run_id)
    assert page is not None
    assert page.record == done
    assert store.queries.output(done.run_id, after=batches[-1].seq) == []


def test_a_run_that_was_broken_off_keeps_what_it_printed(store: Store) -> None:
    done = record(0)

    def broken_off() -> None:
        with Sink(lambda: store, Origin()) as sink:
            sink.began(running(done))
            sink.printed("the last words")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert [each.text for each in store.queries.output(done.run_id)] == ["the last words\n"]
    assert [row.run_id for row in store.queries.running()] == [done.run_id]


def test_whoever_drives_a_run_hears_that_it_is_to_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("courtkeeper.store.sink._LOOK_EVERY_S", 0.0)
    done, cancel, me = record(0), Cancellation(), identify()
    with Sink(lambda: store, Origin(owner=me.owner), person=me, cancel=cancel) as sink:
        sink.began(running(done))
        sink.printed("x")
        while not store.people.cancel_run(done.run_id, by="eva", at=NOON):
            assert not cancel.requested.is_set()
        assert cancel.requested.wait(120)
        assert [each.kind for each in store.owners.living()] == ["person"]
        sink.ended(done)
    assert cancel.reason == "by eva"
    assert store.owners.living() == []


def test_a_store_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    def gone() -> Store:
        raise CourtkeeperError("The store is away.")

    with Sink(gone, Origin()) as sink:
        sink.began(running(record(0)))
        sink.ended(record(0))
    assert sink.trouble == "It is not in the store, its files are in var/runs/. The store is away."


def limited(store: Store, pages: int) -> None:
    """Let the store's file have so many pages and no more: SQLite then says what a full disk makes it say."""

    def limit(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    store.database.engine.dispose()
    event.listen(store.database.engine, "connect", limit)


def test_a_full_disk_keeps_no_run_from_ending_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    before = record(0, [found("/", "warn")])
    store.recording.finish(before)
    limited(store, 1)  # no more than it has already
    many = [found(f"/{n} {'x' * 200}", "crit") for n in range(500)]
    done = record(1, many)
    directory = tmp_path / "var/runs" / done.run_id
    directory.mkdir(parents=True)
    done.write(directory)
    with Sink(lambda: store, Origin()) as sink:
        sink.began(running(done))
        sink.ended(done)
    assert "has no room left" in sink.trouble
    assert sink.trouble.endswith("make room on its disk.")
    assert "\n" not in sink.trouble
    assert [row.subject for row in store.queries.open_findings().rows] == ["/"]  # all of a run or nothing
    store.close()
    with open_store(tmp_path) as again:
        assert again.recording.ingest(tmp_path).taken == 1
        assert again.queries.latest_runs().rows[0].findings_crit == 500


def test_the_locks_of_a_dead_person_are_free(store: Store) -> None:
    me, dead = identify(), replace(identify(), pid=1, owner="x/1/0/dead")
    for each in (dead, me):
        store.owners.register(each, "person")
    assert store.owners.lock("x", ["resource:disk", "playbook:a"], dead, "somebody", NOON) == ""
    assert store.owners.lock("x", ["resource:disk"], me, "me", NOON) == ""
    other = identify()
    store.owners.register(other, "person")
    assert (
        store.owners.lock("x", ["a", "resource:disk"], other, "other", NOON) == "resource:disk is held by me"
    )
    assert store.owners.lock("y", ["resource:disk"], other, "other", NOON) == ""
