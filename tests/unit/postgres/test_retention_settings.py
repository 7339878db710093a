"""Declarations of any kind: a clean value or one sentence, never anything else."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.retention.pace import Pace
from courtkeeper.postgres.retention.settings import MAX_BATCH_ROWS, MAX_KEEP_DAYS, settings_from

DATABASE = {"name": "nba"}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
KEYS = st.sampled_from(["table", "column", "keep_days", "to", "where", "archive_table", "batch_rows", "x"])
GOOD = {"table": "jobs", "column": "created_at", "keep_days": 30}


@given(changes=st.dictionaries(KEYS, VALUES, max_size=4), more=VALUES)
def test_a_table_is_taken_whole_or_refused(changes: dict[str, Any], more: Any) -> None:
    with contextlib.suppress(ConfigurationError):
        settings = settings_from({"database": DATABASE, "tables": [{**GOOD, **changes}], "window_s": more})
        (rule,) = settings.tables
        assert 1 <= rule.keep_days <= MAX_KEEP_DAYS
        assert 1 <= rule.batch_rows <= MAX_BATCH_ROWS
        assert isinstance(rule.table, str)
        assert 0 <= settings.window_s < float("inf")


@given(tables=VALUES)
def test_what_is_no_list_of_tables_is_refused(tables: Any) -> None:
    with contextlib.suppress(ConfigurationError):
        settings_from({"database": DATABASE, "tables": tables})
        raise AssertionError(tables)


class FakeReplica:
    """A connection that answers how far a replica is behind, in MB, once for each question."""

    def __init__(self, *lags: float) -> None:
        self.lags = list(lags)

    def execute(self, _statement: str) -> FakeReplica:
        return self

    def fetchone(self) -> tuple[float]:
        return (self.lags.pop(0) if len(self.lags) > 1 else self.lags[0],)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def pace(clock: Clock, **more: Any) -> Pace:
    return Pace(
        settings_from({"database": DATABASE, "tables": [GOOD], **more}), clock=clock, sleep=clock.sleep
    )


def test_a_replica_that_is_behind_is_waited_for() -> None:
    clock = Clock()
    assert pace(clock).wait(FakeReplica(120, 80, 20)) == ""
    assert len(clock.slept) == 2


def test_a_replica_that_does_not_catch_up_ends_the_run() -> None:
    clock = Clock()
    assert pace(clock).wait(FakeReplica(120)) == "a replica is 120 MB behind and does not catch up"
    assert clock.now <= 31


def test_replicas_are_not_asked_about_before_each_batch() -> None:
    replica, held = FakeReplica(1, 2, 3), pace(Clock())
    for _ in range(5):
        held.wait(replica)
    assert replica.lags == [2, 3]


def test_the_rest_between_batches_ends_with_the_window() -> None:
    clock = Clock()
    held = pace(clock, pause_s=8, window_s=10, max_replica_lag_mb=0)
    assert held.wait(FakeReplica(0)) == ""
    assert clock.slept == []
    assert held.wait(FakeReplica(0)) == ""
    assert "the time window of 10 s is over" in held.wait(FakeReplica(0))
    assert clock.slept == [8, 2]
