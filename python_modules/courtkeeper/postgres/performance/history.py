"""How statements did before: their counters in the upkeep's snapshots, across resets of the statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.performance.settings import PerformanceSettings
from courtkeeper.postgres.performance.sql import rows
from courtkeeper.postgres.performance.statements import Statement, in_extension_schema

ID = "postgres.performance.regressed_statement"
_DAYS = 30  # so that a monthly job has been there once
_LEAST_MS = 1.0  # below, a ratio is noise
_SINCE_14 = 1009


class Point(msgspec.Struct, frozen=True):
    """The counters of one statement at a time: `total_ms` of `calls` since `statements_reset`."""

    queryid: str
    taken_at: datetime
    statements_reset: datetime | None
    calls: int
    total_ms: float


class Interval(msgspec.Struct, frozen=True):
    """What a statement did up to a time, from the point before."""

    until: datetime
    calls: int
    total_ms: float

    @property
    def mean_ms(self) -> float | None:
        """Return the mean; None where it was not called."""
        return self.total_ms / self.calls if self.calls else None


class _There(msgspec.Struct, frozen=True):
    found: bool
    readable: bool


def intervals(points: Sequence[Point]) -> list[Interval]:
    """Return what happened between points, the first since the statistics began.

    After a reset, or where a counter fell (the statement's entry was evicted), all that a point shows is new.
    """
    found = []
    before: Point | None = None
    for point in points:
        anew = (
            before is None
            or point.statements_reset != before.statements_reset
            or point.calls < before.calls
            or point.total_ms < before.total_ms
        )
        calls = point.calls if anew or before is None else point.calls - before.calls
        total_ms = point.total_ms if anew or before is None else point.total_ms - before.total_ms
        found.append(Interval(point.taken_at, calls, total_ms))
        before = point
    return found


def look(
    context: Context, statements: Sequence[Statement]
) -> tuple[dict[str, list[Interval]], Finding | None]:
    """Return what each statement did from snapshot to snapshot, the last interval up to now.

    Where there are no snapshots that may be read, a `skipped` finding says what would help.
    """
    (there,) = rows(context.connection, "history_there", _There)
    queryids = sorted({one.queryid for one in statements})
    points: list[Point] = []
    if there.readable:
        points = rows(context.connection, "history", Point, {"queryids": queryids, "days": _DAYS})
    if not there.readable or (queryids and not points):
        why, fix = "there are no snapshots of the statistics yet", "run database_upkeep, which takes them"
        if there.found and not there.readable:
            why = f"the role {context.server.role} may not read the upkeep's snapshots"
            fix = "run this as the role that runs the upkeep"
        summary = f"Whether statements got slower was not looked at: {why}."
        return {}, _finding(context.server.database, Status.SKIPPED, summary, fix=fix)
    with in_extension_schema(context) as version:
        name = "live_14" if version >= _SINCE_14 else "live"
        points += rows(context.connection, name, Point, {"queryids": queryids})
    return {
        queryid: intervals([point for point in points if point.queryid == queryid]) for queryid in queryids
    }, None


def judge(
    database: str,
    statements: Sequence[Statement],
    past: dict[str, list[Interval]],
    told: PerformanceSettings,
) -> Iterator[Finding]:
    """Yield the statements that are slower since the last snapshot than they were before."""
    worse = 0
    seen: set[str] = set()
    for one in statements:
        known = past.get(one.queryid, [])
        if one.queryid in seen or len(known) < 2 or not one.plannable:
            continue
        seen.add(one.queryid)
        now, before = known[-1], known[:-1]
        calls = sum(interval.calls for interval in before)
        if min(now.calls, calls) < told.min_calls:
            continue
        was_ms = sum(interval.total_ms for interval in before) / calls
        is_ms = now.total_ms / now.calls
        if is_ms < max(_LEAST_MS, told.regression_ratio * was_ms):
            continue
        worse += 1
        yield _finding(
            one.subject,
            Status.WARN,
            f"Since {before[-1].until:%Y-%m-%d %H:%M} UTC it takes {is_ms:,.1f} ms on average ({now.calls:,} "
            f"calls), {is_ms / was_ms if was_ms else float('inf'):,.1f} times the {was_ms:,.1f} ms of the "
            f"{len(before)} snapshots before: {one.shown}",
            observed=round(is_ms, 3),
            threshold=round(told.regression_ratio * was_ms, 3),
            unit="ms",
            fix="compare its plan in the reports of both days; ANALYZE its tables if they have changed much",
        )
    if not worse:
        summary = f"None of {len(past)} statements got slower since the last snapshot."
        yield _finding(database, Status.OK, summary)


def _finding(subject: str, status: Status, summary: str, **more: str | float) -> Finding:
    return Finding(id=ID, subject=subject, status=status, summary=summary, **more)  # type: ignore[arg-type]
