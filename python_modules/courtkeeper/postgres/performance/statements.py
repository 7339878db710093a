"""The statements that cost a database most, by pg_stat_statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Context, Needs
from courtkeeper.postgres.performance.settings import PerformanceSettings
from courtkeeper.postgres.performance.sql import rows
from courtkeeper.postgres.querytext import shape
from courtkeeper.postgres.sizes import size

_NEEDS = Needs(extension="pg_stat_statements", preload=True, monitor=True)
_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE")
_SHOWN = 200


class Statement(msgspec.Struct, frozen=True):
    """One normalised statement of one role: times in ms, sizes in bytes, `share` of all time (0..1).

    `among` names the measures by which it is one of the first: total, mean, calls, temp, reads.
    """

    queryid: str
    role: str
    query: str
    calls: int
    total_ms: float
    mean_ms: float
    max_ms: float
    rows: int
    share: float
    read_bytes: int
    temp_bytes: int
    among: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Return what findings call it."""
        return f"statement {self.queryid}"

    @property
    def shown(self) -> str:
        """Return its text for people: on one line, without any literal, and not longer than they read."""
        return shape(self.query, _SHOWN)

    @property
    def plannable(self) -> bool:
        """Whether it has a plan: no utility statement."""
        return shape(self.query).lstrip("( ").upper().startswith(_PLANNED)


class _Tracking(msgspec.Struct, frozen=True):
    schema: str
    version: int
    loaded: bool


_OLDEST = 1008  # 1.8, of Postgres 13: total_exec_time instead of total_time


def unable(context: Context) -> Finding | None:
    """Return a `skipped` finding that says what the statements' statistics lack; None: nothing."""
    server = context.server
    lack = _NEEDS.missing(server)
    if lack is None:
        (tracking,) = rows(context.connection, "tracking", _Tracking)
        if not tracking.loaded:
            lack = (
                "pg_stat_statements is not loaded by the server",
                "add pg_stat_statements to shared_preload_libraries and restart the server",
            )
        elif tracking.version < _OLDEST:
            lack = ("the extension is older than its server", "ALTER EXTENSION pg_stat_statements UPDATE;")
    if lack is None:
        return None
    return Finding(
        id="postgres.performance.statements",
        subject=server.database,
        status=Status.SKIPPED,
        summary=f"The statements were not looked at: {lack[0]}.",
        fix=lack[1],
    )


@contextmanager
def in_extension_schema(context: Context) -> Iterator[int]:
    """Have a transaction that finds the extension's views where CREATE EXTENSION has put them.

    Yields the extension's version: 1010 for 1.10.
    """
    with context.connection.transaction():
        (tracking,) = rows(context.connection, "tracking", _Tracking)
        context.connection.execute(
            "SELECT set_config('search_path', format('pg_catalog, %%I', %s::text), true)", [tracking.schema]
        )
        yield tracking.version


def top(context: Context, told: PerformanceSettings) -> list[Statement]:
    """Return the statements that are among the first by any measure, the most time first."""
    with in_extension_schema(context):
        return rows(context.connection, "statements", Statement, {"top": told.top})


def judge(statements: Sequence[Statement], told: PerformanceSettings, database: str) -> Iterator[Finding]:
    """Yield the statements that are slow; where none is, the finding that says so."""
    slow = [one for one in statements if _limit(one, told) is not None]
    for one in slow:
        yield Finding(
            id="postgres.performance.slow_statement",
            subject=one.subject,
            status=Status.WARN,
            observed=round(one.mean_ms, 3),
            threshold=_limit(one, told),
            unit="ms",
            summary=(
                f"It takes {one.mean_ms:,.0f} ms on average over {one.calls:,} calls of {one.role}, "
                f"{one.share:.0%} of the time of all statements{_spilled(one)}: {one.shown}"
            ),
            fix="see its plan in the report, and the advice on indexes and settings",
        )
    if not slow:
        yield Finding(
            id="postgres.performance.slow_statement",
            subject=database,
            status=Status.OK,
            summary=f"None of the {len(statements)} statements that cost most is slow.",
        )


def _limit(one: Statement, told: PerformanceSettings) -> float | None:
    """Return the limit that a statement's mean is over; None where it is not slow."""
    if one.calls < told.min_calls or not one.plannable:
        return None
    if one.mean_ms > told.slow_mean_ms:
        return told.slow_mean_ms
    busy = one.share * 100 >= told.busy_share_pct and one.mean_ms > told.busy_mean_ms
    return told.busy_mean_ms if busy else None


def _spilled(one: Statement) -> str:
    if not one.temp_bytes:
        return ""
    return f", and writes {size(one.temp_bytes / one.calls)} of temporary files each time"
