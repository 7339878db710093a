"""The line through drills, and when it reaches an agreed limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import Status
from courtkeeper.vault.drill import findings
from courtkeeper.vault.drill.clone import percentile
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.drill.trend import forecast
from courtkeeper.vault.proofs import Proof

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def proof(days_ago: float, **more: object) -> Proof:
    told = {
        "vault": "nba",
        "source": "database",
        "backup": "20261122T060000Z-00000000",
        "taken_at": NOW,
        "drilled_at": NOW - days_ago * DAY,
        "destination": "local",
        "host": "here",
        "newest": True,
        "passed": True,
        "plain_bytes": 1_000_000,
        "restore_s": 1.0,
        "rate_bytes_s": 1e6,
        "rto_s": 10.0,
        "rpo_s": 3600.0,
        "rpo_from": "heartbeat",
        "checks": [],
        "software": {},
    }
    return Proof(**{**told, **more})  # type: ignore[arg-type]


def test_a_line_that_rises_reaches_its_limit() -> None:
    points = [(NOW - n * DAY, 100.0 - 10 * n) for n in range(5, 0, -1)]
    line = forecast(points, 200, now=NOW, horizon_days=90)
    assert line is not None
    assert (line.value, line.per_day, line.reaches_in_days) == pytest.approx((100, 10, 10))


def test_one_slow_night_bends_nothing() -> None:
    points = [(NOW - n * DAY, 5000.0 if n == 3 else 10.0) for n in range(9)]
    line = forecast(points, 900, now=NOW, horizon_days=90)
    assert line is not None
    assert (line.value, line.reaches_in_days) == (10, None)


@given(
    st.lists(st.tuples(st.floats(-1000, 0), st.floats(0, 1e6)), max_size=12),
    st.floats(0.1, 1e6),
)
def test_any_history_gives_a_line_or_none(history: list[tuple[float, float]], limit: float) -> None:
    points = [(NOW + days * DAY, value) for days, value in history]
    line = forecast(points, limit, now=NOW, horizon_days=90)
    if line is not None and line.reaches_in_days is not None:
        assert 0 <= line.reaches_in_days <= 90


def test_the_trend_says_when_the_limit_comes() -> None:
    drills = [proof(n * 7, rto_s=890.0 - 20 * n) for n in range(5, -1, -1)]
    found = {one.id: one for one in findings.of_trend("database", drills, DrillPolicy(), NOW)}
    assert found["drill.trend.rto"].status is Status.WARN
    assert "it reaches the agreed 15.0 min by 2026-11-2" in found["drill.trend.rto"].summary
    assert found["drill.trend.rpo"].status is Status.OK
    assert found["drill.trend.rate"].status is Status.OK
    slow = [*drills, proof(0, rate_bytes_s=1e5)]
    found = {one.id: one for one in findings.of_trend("database", slow, DrillPolicy(), NOW)}
    assert found["drill.trend.rate"].status is Status.WARN


def test_limits_are_limits() -> None:
    found = {one.id: one for one in findings.of_proof(proof(0, rto_s=901.0, rpo_s=90_000.0), DrillPolicy())}
    assert (found["drill.rto"].status, found["drill.rpo"].status) == (Status.CRIT, Status.CRIT)
    found = {one.id: one for one in findings.of_proof(proof(0), DrillPolicy())}
    assert (found["drill.rto"].status, found["drill.rpo"].status) == (Status.OK, Status.OK)


def test_the_95th_of_100() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95
    assert percentile([7.0], 0.95) == 7
