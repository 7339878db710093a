"""What a run of the retention says: one finding a table, the actions, and how to take each back."""

from __future__ import annotations

from datetime import datetime

from psycopg import sql

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.retention.catalog import ARCHIVED_AT, Table
from courtkeeper.postgres.retention.move import Stop, Tally
from courtkeeper.postgres.retention.partitions import Candidate

ROWS = "postgres.retention.rows"
INDEX = "postgres.retention.index"


def rows_words(number: int) -> str:
    """`1,200 rows`, `1 row`."""
    return f"{number:,} row{'' if number == 1 else 's'}"


def old(table: Table) -> str:
    """`older than 90 days`, and under which condition."""
    days = table.rule.keep_days
    where = f" where {' '.join(table.rule.where.split())}" if table.rule.where else ""
    return f"older than {days} day{'' if days == 1 else 's'}{where}"


def creation(table: Table) -> str:
    """Return the action that makes the archive table."""
    return f"create the archive table {table.archive.quoted if table.archive else ''} like {table.quoted}"


def transfer(table: Table, number: int) -> str:
    """Return the action on a table's rows."""
    if table.archive:
        text = f"move {rows_words(number)} {old(table)} from {table.quoted} to {table.archive.quoted}"
    else:
        text = f"delete {rows_words(number)} {old(table)} from {table.quoted}"
    loosened = [
        f"{referrer.quoted} ({', '.join(referrer.columns)})"
        for referrer in table.referrers
        if referrer.on_delete == "n"
    ]
    return f"{text}; references to them in {', '.join(loosened)} become null" if loosened else text


def removal(table: Table, candidate: Candidate, number: int) -> str:
    """Return the action on one partition."""
    name = candidate.partition.quoted
    if table.archive:
        return f"move {rows_words(number)} of the partition {name} to {table.archive.quoted} and drop it"
    return f"drop the partition {name} of {table.quoted} with {rows_words(number)}"


def undo(table: Table, now: datetime, dropped: list[Candidate]) -> str:
    """Return the SQL that puts back what this run archived; nothing where rows were deleted for good."""
    if table.archive is None:
        return ""
    own = [column for column in table.columns if not column.generated]
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in own)
    statement = sql.SQL(
        "WITH back AS (DELETE FROM {archive} WHERE {at} = {now} RETURNING {columns}) "
        "INSERT INTO {table} ({columns}){overriding} SELECT {columns} FROM back;"
    ).format(
        archive=table.archive.identifier,
        at=sql.Identifier(ARCHIVED_AT),
        now=sql.Literal(now.isoformat()),
        columns=columns,
        table=table.relation.identifier,
        overriding=sql.SQL(" OVERRIDING SYSTEM VALUE" if any(c.identity for c in own) else ""),
    )
    again = [
        f"CREATE TABLE {each.partition.quoted} PARTITION OF {table.quoted} {each.partition.bound};"
        for each in dropped
    ]
    return "\n".join([*again, statement.as_string(None)])


def pending(table: Table, number: int, oldest: str | None, actions: list[str], held: int) -> Finding:
    """Return the finding of check mode: what is past its time, or that nothing is."""
    if not actions:
        return _clean(table, held)
    return Finding(
        id=ROWS,
        subject=table.quoted,
        status=Status.WARN,
        observed=number,
        threshold=0,
        unit="rows",
        summary=f"{rows_words(number)} of {table.quoted} {_are(number)} {old(table)}"
        f"{f', the oldest of {oldest[:19]}' if oldest else ''}{_held(held)}.",
        fix="run this job without check mode",
    )


def done(
    table: Table, tally: Tally, *, left: int, held: int, oldest: str | None, applied: list[str], undo: str
) -> Finding:
    """Return the finding of a run: what went, what is left and why."""
    if tally.stop is None and not left and not applied:
        return _clean(table, held)
    stop = tally.stop or Stop("they are held by somebody else, or referred to by rows that stay")
    went = _went(table, tally)
    if tally.stop is None and not left:
        since = f", the oldest of {oldest[:19]}" if oldest else ""
        return Finding(
            id=ROWS,
            subject=table.quoted,
            status=Status.OK,
            observed=0,
            threshold=0,
            unit="rows",
            summary=f"{went}{since}{_held(held)}.",
            applied="; ".join(applied),
            undo=undo,
        )
    return Finding(
        id=ROWS,
        subject=table.quoted,
        status=Status.CRIT if stop.broken else Status.SKIPPED,
        observed=left,
        threshold=0,
        unit="rows",
        summary=f"{rows_words(left)} of {table.quoted} {old(table)} {_are(left)} left"
        f"{f' ({went})' if applied else ''}: {stop.why}.",
        fix=stop.fix,
        applied="; ".join(applied),
        undo=undo,
    )


def unindexed(table: Table) -> Finding:
    """Return the warning that each batch has to walk over the whole table."""
    fix = sql.SQL("CREATE INDEX {how}ON {table} ({column});").format(
        # Postgres makes no index of a partitioned table concurrently.
        how=sql.SQL("" if table.relation.kind == "p" else "CONCURRENTLY "),
        table=table.relation.identifier,
        column=sql.Identifier(table.column),
    )
    rows = int(sum(max(heap.estimated_rows, 0) for heap in table.heaps))
    return Finding(
        id=INDEX,
        subject=f"{table.quoted} ({table.column})",
        status=Status.WARN,
        observed=rows,
        threshold=INDEXED_FROM_ROWS,
        unit="rows",
        summary=f"{table.quoted} has about {rows:,} rows and no index on {table.column}: "
        "each run of its retention reads the whole table.",
        fix=fix.as_string(None),
    )


def unseen_replicas(number: int, limit_mb: float, grant: str) -> Finding:
    """Return the finding on replicas that nothing waits for, because nobody can see how they do."""
    return Finding(
        id="postgres.retention.replica_lag",
        subject="replicas",
        status=Status.SKIPPED,
        observed=number,
        threshold=limit_mb,
        unit="MB",
        summary=f"Batches do not wait for {number} replica{'' if number == 1 else 's'}: how far behind "
        "they are is not shown to this role.",
        fix=grant,
    )


# PgHero's limit for a table that should be read by an index.
INDEXED_FROM_ROWS = 10_000


def spared(table: Table, number: int) -> Finding:
    """Return the finding on old rows in a default partition."""
    return Finding(
        id=ROWS,
        subject=f"{table.quoted} (default partition)",
        status=Status.SKIPPED,
        observed=number,
        threshold=0,
        unit="rows",
        summary=f"{rows_words(number)} {old(table)} {_are(number)} in the default partition of "
        f"{table.quoted}, which is never dropped.",
        fix="declare the default partition as a table of its own, with to: archive or to: delete",
    )


def _clean(table: Table, held: int) -> Finding:
    return Finding(
        id=ROWS,
        subject=table.quoted,
        status=Status.OK,
        observed=0,
        threshold=0,
        unit="rows",
        summary=f"No row of {table.quoted} that can go is {old(table)}{_held(held)}."
        if held
        else f"No row of {table.quoted} is {old(table)}.",
    )


def _went(table: Table, tally: Tally) -> str:
    verb = "moved to " + table.archive.quoted if table.archive else "deleted for good"
    how = f"{tally.batches:,} batch{'' if tally.batches == 1 else 'es'}"
    if tally.partitions:
        how = f"{tally.partitions} partition{'' if tally.partitions == 1 else 's'}"
    return f"{rows_words(tally.rows)} of {table.quoted} {old(table)} {_were(tally.rows)} {verb} in {how}"


def _held(number: int) -> str:
    return f"; {rows_words(number)} more {_are(number)} as old and still referred to" if number else ""


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
