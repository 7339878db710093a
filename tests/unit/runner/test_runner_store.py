"""The mark of a run that is driven: who comes by while it is set must not take the run for a dead one."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from courtkeeper.runner import store

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
