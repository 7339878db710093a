"""The mark of a run that is driven: who comes by while it is set must not take the run for a dead one."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner import store
from courtkeeper.runner.record import RunStatus
from support.records import record

NOW = datetime(2026, 2, 12, 6, tzinfo=UTC)


def test_a_run_that_is_just_beginning_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = store.new_run_dir(tmp_path, "20260212T060000Z-good-0001")
    lock = fcntl.flock

    def after_another_run_looked(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        assert store.reconcile(tmp_path, NOW) == []
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", after_another_run_looked)
    with store.driving(run_dir):
        assert fcntl.flock is lock
        assert (run_dir / store.PRIVATE).is_dir()
        store.reconcile(tmp_path, NOW)
        assert (run_dir / store.PRIVATE).is_dir()
    assert list(run_dir.iterdir()) == []


def test_where_a_dead_run_cannot_be_closed_the_disk_says_why_and_it_is_tried_again(tmp_path: Path) -> None:
    running = record(status=RunStatus.RUNNING, finished_at=None)
    run_dir = store.new_run_dir(tmp_path, running.run_id)
    running.write(run_dir)
    (run_dir / "driver.lock").touch()
    (run_dir / "run.part").mkdir()  # what stands where it is written, as a full disk would
    with pytest.raises(CourtkeeperError, match=r"^var/runs/\S+ cannot be written: .*; make room"):
        store.reconcile(tmp_path, NOW)
    (run_dir / "run.part").rmdir()
    (closed,) = store.reconcile(tmp_path, NOW)
    assert closed.status is RunStatus.FAILED
