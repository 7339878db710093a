"""Indexes that would make the costly statements cheaper, each tried as a hypothetical one by hypopg."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.performance import plan as plans
from courtkeeper.postgres.performance.candidates import Candidate, Table, candidates
from courtkeeper.postgres.performance.explain import Planned, explain
from courtkeeper.postgres.performance.settings import PerformanceSettings
from courtkeeper.postgres.performance.sql import rows
from courtkeeper.postgres.performance.statements import Statement
from courtkeeper.postgres.query import quoted
from courtkeeper.postgres.sizes import size

ID = "postgres.performance.missing_index"
_LEAST_COST = 100.0  # Dexter's: a cheaper plan is quick whatever it does
_MOST_TRIES = 60
_LONGEST_NAME = 63


class _Hypothetical(msgspec.Struct, frozen=True):
    schema: str | None
    available: bool


class Gain(msgspec.Struct, frozen=True):
    """What an index did for one statement: the plan's cost before and after; its estimated size in bytes."""

    candidate: Candidate
    statement: Statement
    before: float
    after: float
    bytes: int

    @property
    def share(self) -> float:
        """Return what it saves of the cost, 0 to 1."""
        return 1 - self.after / self.before if self.before else 0.0


def look(
    context: Context,
    laboratory: Connection,
    planned: Sequence[tuple[Statement, Planned]],
    told: PerformanceSettings,
) -> Iterator[Finding]:
    """Yield the indexes that are worth having; where there is none, the finding that says so.

    `laboratory` is a connection of its own in autocommit mode, in which hypothetical indexes live.
    """
    wanted = _wanted(context, planned)
    if not wanted:
        yield _none(context, len(planned), 0)
        return
    (has,) = rows(context.connection, "hypothetical", _Hypothetical)
    if lack := _lack(context, has):
        tables = sorted({one.table.name for _, _, some in wanted for one in some})
        yield Finding(
            id=ID,
            subject=context.server.database,
            status=Status.SKIPPED,
            summary=f"{len(wanted)} of the costly plans read {', '.join(tables)} whole; whether an index "
            f"helps was not tried: {lack[0]}.",
            fix=lack[1],
        )
        return
    with _hypopg(laboratory, has.schema) as schema:
        gains = list(_tried(laboratory, schema, wanted, context.server.version))
    found = list(_worth(laboratory, gains, told))
    yield from found
    if not found:
        yield _none(context, len(planned), len(gains))


def _lack(context: Context, has: _Hypothetical) -> tuple[str, str] | None:
    if has.schema:
        return None
    version = context.server.version
    if not has.available:
        return (
            "the server does not have the extension hypopg",
            f"install the server's package of it (Debian: postgresql-{version}-hypopg) and run this again",
        )
    if not context.server.superuser or context.server.in_recovery:
        return ("the extension hypopg is not in this database", "CREATE EXTENSION hypopg; -- as a superuser")
    return None


def _none(context: Context, plans_: int, tried: int) -> Finding:
    return Finding(
        id=ID,
        subject=context.server.database,
        status=Status.OK,
        summary=f"No index would make one of the {plans_} costly plans much cheaper ({tried} were tried).",
    )


Wanted = tuple[Statement, float, list[Candidate]]


def _wanted(context: Context, planned: Sequence[tuple[Statement, Planned]]) -> list[Wanted]:
    """Return the statements with a costly plan, and the indexes to try for each."""
    found: list[Wanted] = []
    left = _MOST_TRIES
    for one, its in planned:
        cost = plans.cost(its.plan)
        if cost < _LEAST_COST or left <= 0:
            continue
        some: list[Candidate] = []
        for scan in plans.scans(its.plan):
            names = {"schema": scan.schema, "table": scan.table}
            for table in rows(context.connection, "scanned_table", Table, names):
                some += candidates(scan, table)
        if some:
            found.append((one, cost, some[:left]))
            left -= len(some)
    return found


@contextmanager
def _hypopg(laboratory: Connection, schema: str | None) -> Iterator[sql.Identifier]:
    """Have hypopg for the time of the block, and leave nothing of it behind in the database."""
    with laboratory.transaction(force_rollback=True):
        if schema is None:
            schema = "courtkeeper_hypopg"
            laboratory.execute("CREATE SCHEMA courtkeeper_hypopg")
            laboratory.execute("CREATE EXTENSION hypopg SCHEMA courtkeeper_hypopg")
        yield sql.Identifier(schema)


def _tried(
    laboratory: Connection, schema: sql.Identifier, wanted: Sequence[Wanted], version: int
) -> Iterator[Gain]:
    for one, before, some in wanted:
        # A table's partitions are read one by one: the same index goes on all of them at once.
        together: dict[tuple[str, tuple[str, ...]], list[Candidate]] = {}
        for candidate in some:
            together.setdefault(candidate.key, []).append(candidate)
        for group in together.values():
            try:
                with laboratory.transaction():
                    total = sum(_made(laboratory, schema, candidate) for candidate in group)
                after = plans.cost(explain(laboratory, one, version).plan)
            except psycopg.Error as error:
                if laboratory.closed or error.sqlstate is None:
                    raise
                continue  # a type without btree operators: no index
            finally:
                if not laboratory.closed:
                    laboratory.execute(sql.SQL("SELECT {}.hypopg_reset()").format(schema))
            if after:
                yield Gain(group[0], one, before, after, total)


def _made(laboratory: Connection, schema: sql.Identifier, candidate: Candidate) -> int:
    """Make one hypothetical index and return its estimated size in bytes."""
    statement = f"CREATE INDEX ON {candidate.table.leaf_name} ({candidate.listed})"
    made = sql.SQL("SELECT {0}.hypopg_relation_size(indexrelid) FROM {0}.hypopg_create_index(%s)")
    row = laboratory.execute(made.format(schema), [statement]).fetchone()
    return int(row[0]) if row else 0


def _worth(laboratory: Connection, gains: Sequence[Gain], told: PerformanceSettings) -> Iterator[Finding]:
    """Yield the best index of each statement where it saves enough, with all that it does."""
    chosen: dict[tuple[str, tuple[str, ...]], list[Gain]] = {}
    for queryid in dict.fromkeys(gain.statement.queryid for gain in gains):
        own = [gain for gain in gains if gain.statement.queryid == queryid]
        # A wider index has to be better by a tenth, as it is bigger and kept up more often.
        best = min(own, key=lambda gain: gain.after * 1.1 ** len(gain.candidate.columns))
        if best.share * 100 >= told.min_gain_pct:
            chosen.setdefault(best.candidate.key, []).append(best)
    for found in chosen.values():
        best = max(found, key=lambda gain: gain.share * gain.statement.total_ms)
        yield _finding(found, best, quoted(laboratory, _name(best.candidate)), told)


def _finding(gains: Sequence[Gain], best: Gain, name: str, told: PerformanceSettings) -> Finding:
    candidate, table = best.candidate, best.candidate.table
    others = f" and {len(gains) - 1} more" if len(gains) > 1 else ""
    full = f"{table.schema}.{name}"
    if table.is_partitioned:
        fix = f"CREATE INDEX {name} ON {table.name} ({candidate.listed}); -- locks writes meanwhile"
        undo = f"DROP INDEX {full};"
    else:
        fix = f"CREATE INDEX CONCURRENTLY {name} ON {table.name} ({candidate.listed});"
        undo = f"DROP INDEX CONCURRENTLY {full};"
    return Finding(
        id=ID,
        subject=candidate.shown,
        status=Status.WARN,
        observed=round(best.share * 100, 1),
        threshold=told.min_gain_pct,
        unit="% of the plan's cost",
        summary=(
            f"An index on {candidate.shown} would make the plan of {best.statement.subject}{others} "
            f"cheaper by {best.share:.0%} (cost {best.before:,.0f} to {best.after:,.0f}, "
            f"{best.statement.calls:,} calls); it takes about {size(best.bytes)}, and each write pays for it "
            f"as for the {len(table.indexes)} it has ({table.writes:,} since the statistics began): "
            f"{best.statement.shown}"
        ),
        fix=fix,
        undo=undo,
    )


def _name(candidate: Candidate) -> str:
    name = "_".join([candidate.table.table, *candidate.columns, "idx"])
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + "_" + digest


def pictures(planned: Sequence[tuple[Statement, Planned]]) -> Mapping[str, list[str] | str]:
    """Return the plans for the report by statement: their lines, or why there is none."""
    return {one.queryid: plans.lines(its.plan) if its.plan else its.why for one, its in planned}
