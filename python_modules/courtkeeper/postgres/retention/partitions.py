"""Whole partitions out of a table: detach, count, copy where told, count again, drop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.postgres.retention.archives import copy_statement
from courtkeeper.postgres.retention.catalog import Table, rows
from courtkeeper.postgres.retention.move import REFUSED, Stop, Tally, Trace, refused
from courtkeeper.postgres.retention.pace import Pace

_CONCURRENTLY_FROM = 14
# A partition that is attached and that nobody is taking out (14).
_WHOLE = """
SELECT FROM pg_inherits i
 WHERE i.inhrelid = %s AND NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)
"""


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sql/partitions.sql` or `sql/detached.sql`."""

    oid: int
    schema: str
    name: str
    quoted: str
    bound: str  # also of one that was taken out already
    comment: str  # what its owner wrote
    attached: bool
    is_default: bool
    detaching: bool
    marked: bool
    owned: bool
    due_by_bound: bool | None

    @property
    def identifier(self) -> sql.Identifier:
        """Return the name for a statement."""
        return sql.Identifier(self.schema, self.name)


class Content(msgspec.Struct, frozen=True):
    """What a partition holds: its rows, those past their time, the oldest, and the newest in seconds."""

    rows: int
    old: int
    oldest: str | None
    newest: float | None


class Candidate(msgspec.Struct, frozen=True):
    """A partition whose rows are all past their time."""

    partition: Partition
    rows: int
    oldest: str | None


class Partitions(msgspec.Struct, frozen=True):
    """What is to go; `spared` are rows past their time in a default partition, which never goes."""

    candidates: list[Candidate]
    spared: int
    has_default: bool


def mark(table: Table) -> str:
    """Return the comment by which a later run knows a partition that this one took out."""
    name = " ".join(table.quoted.splitlines())  # the mark is the comment's first line
    return f"courtkeeper: taken out of {name} by its retention, to be dropped"


def plan(connection: Connection, table: Table) -> Partitions:
    """Return which partitions are to go: never the default one, never the current one.

    Where the table is partitioned by the range of its column, the bounds decide, so a partition that is
    still empty is no old one. Otherwise its rows decide, and the partition with the newest row stays.
    """
    by_bound = table.relation.strategy == "r" and table.relation.partition_column == table.column
    there = rows(
        connection,
        "partitions",
        Partition,
        oid=table.relation.oid,
        mark=mark(table),
        by_bound=by_bound,
        cutoff=table.cutoff.isoformat(),
    )
    left_over = rows(connection, "detached", Partition, mark=mark(table))
    candidates, spared = [], 0
    looked: list[tuple[Partition, Content]] = []
    for partition in (*left_over, *there):
        finish = partition.marked and (partition.detaching or not partition.attached)
        if partition.detaching and not partition.marked:
            continue
        if partition.due_by_bound is False and not (finish or partition.is_default):
            continue
        content = _content(connection, table, partition)
        if partition.is_default:
            spared += content.old
        elif finish or partition.due_by_bound:
            candidates.append(Candidate(partition, content.rows, content.oldest))
        else:
            looked.append((partition, content))
    newest = max((content.newest for _, content in looked if content.newest is not None), default=None)
    candidates += [
        Candidate(partition, content.rows, content.oldest)
        for partition, content in looked
        if content.rows and content.old == content.rows and content.newest != newest
    ]
    return Partitions(candidates, spared, any(partition.is_default for partition in there))


def _content(connection: Connection, table: Table, partition: Partition) -> Content:
    column = sql.Identifier(table.column)
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE {column} < {cutoff}::{cast}), min({column})::text,"
            " extract(epoch FROM max({column}))::float8 FROM {partition}"
        ).format(
            column=column,
            cutoff=sql.Literal(table.cutoff.isoformat()),
            cast=table.cast,
            partition=partition.identifier,
        )
    ).fetchone()
    return Content(*(row or (0, 0, None, None)))


class Dropper:
    """Takes partitions out of one table and drops them."""

    def __init__(
        self,
        connection: Connection,
        table: Table,
        pace: Pace,
        *,
        version: int,
        has_default: bool,
        now: datetime,
        tally: Tally,
        trace: Trace,
    ) -> None:
        self._connection, self._table, self._pace, self._now = connection, table, pace, now
        # Postgres detaches concurrently from 14 on, and not where there is a default partition.
        self._concurrently = version >= _CONCURRENTLY_FROM and not has_default
        self._tally, self._trace = tally, trace

    def drop(self, candidate: Candidate, done: Callable[[int], None]) -> None:
        """Deal with one partition; `done` is told its rows. A reason to stop is left in the tally."""
        partition = candidate.partition
        if why := self._pace.wait(self._connection):
            self._tally.stop = Stop(why)
            return
        if not partition.owned:
            self._tally.stop = Stop(
                f"the partition {partition.quoted} belongs to another role",
                f"make the owner of {self._table.quoted} its owner",
                broken=True,
            )
            return
        try:
            self._detach(partition)
            if (count := self._archive_and_drop(partition)) is not None:
                done(count)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            self._tally.stop = Stop(f"{partition.quoted} is locked by somebody else")
        except errors.QueryCanceled:
            self._tally.stop = Stop(
                f"{partition.quoted} took longer than statement_timeout_s", "raise statement_timeout_s"
            )
        except REFUSED as error:
            self._tally.stop = refused(error)
        else:
            return
        self._unmark(partition)

    def _unmark(self, partition: Partition) -> None:
        """Take the mark off again where nothing was taken out.

        A marked partition that somebody detaches later, to keep it, would else look like one of ours. Where
        that cannot be done now, the partition is still attached, and the next run begins anew.
        """
        try:
            with self._connection.transaction():
                row = self._connection.execute(_WHOLE, [partition.oid]).fetchone()
                if row is not None:
                    self._comment(partition, partition.comment)
        except (errors.LockNotAvailable, errors.DeadlockDetected, errors.QueryCanceled, *REFUSED):
            return

    def _detach(self, partition: Partition) -> None:
        if not partition.attached:
            return
        if partition.detaching:
            self._alter(partition, sql.SQL(" FINALIZE"))
        elif self._concurrently:
            self._comment(partition, self._marked(partition))
            self._trace("marked")
            self._alter(partition, sql.SQL(" CONCURRENTLY"))
        else:
            with self._connection.transaction():
                self._comment(partition, self._marked(partition))
                self._alter(partition, sql.SQL(""))
        self._trace("detached")

    def _marked(self, partition: Partition) -> str:
        lines = [mark(self._table), partition.bound, partition.comment]
        return "\n".join(lines if partition.comment else lines[:2])

    def _comment(self, partition: Partition, text: str) -> None:
        """Write a comment; without any text there is none afterwards."""
        self._connection.execute(
            sql.SQL("COMMENT ON TABLE {} IS {}").format(partition.identifier, sql.Literal(text or None))
        )

    def _alter(self, partition: Partition, how: sql.SQL) -> None:
        self._connection.execute(
            sql.SQL("ALTER TABLE {} DETACH PARTITION {}{}").format(
                self._table.relation.identifier, partition.identifier, how
            )
        )

    def _put_back(self, partition: Partition, young: int) -> Stop:
        """Attach a partition again that holds rows which are not past their time; return what came of it."""
        why = f"{partition.quoted} was taken out but holds {young} rows that are not past their time"
        attach = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} {}").format(
            self._table.relation.identifier,
            partition.identifier,
            sql.SQL(partition.bound),  # as the server wrote it
        )
        try:
            with self._connection.transaction():
                # A default partition is locked while it is read for rows that would belong here.
                self._connection.execute(
                    "SELECT set_config('statement_timeout', current_setting('lock_timeout'), true)"
                )
                self._connection.execute(attach)
                self._comment(partition, partition.comment)
        except (errors.LockNotAvailable, errors.DeadlockDetected, errors.QueryCanceled, *REFUSED):
            return Stop(why, f"attach it again: {attach.as_string(self._connection)};", broken=True)
        return Stop(f"{why}: it was put back", "find out who writes rows with old times", broken=True)

    def _archive_and_drop(self, partition: Partition) -> int | None:
        """Copy, compare the counts and drop, all in one transaction that nobody else can write into."""
        with self._connection.transaction():
            self._connection.execute(
                sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(partition.identifier)
            )
            content = _content(self._connection, self._table, partition)
            if content.old != content.rows:
                self._tally.stop = self._put_back(partition, content.rows - content.old)
                return None
            if self._table.archive:
                copied = self._connection.execute(
                    copy_statement(self._table, self._table.archive, partition.identifier, self._now)
                ).rowcount
                self._trace("copied")
                if copied != content.rows:
                    raise errors.RaiseException(
                        f"of {content.rows} rows of {partition.quoted} only {copied} reached the archive"
                    )
            self._connection.execute(sql.SQL("DROP TABLE {}").format(partition.identifier))
            self._trace("dropped")
        self._trace("committed")
        return content.rows
