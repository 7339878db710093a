"""Rows out of one heap in batches: lock, copy, delete, count all three, and commit only if they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec
import psycopg
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.postgres.refusal import words
from courtkeeper.postgres.retention.archives import copy_statement, names
from courtkeeper.postgres.retention.catalog import Heap, Table
from courtkeeper.postgres.retention.pace import Pace
from courtkeeper.postgres.retention.predicate import due

_PLACE: Final = sql.Identifier("courtkeeper place")
_ATTEMPTS: Final = 3

Trace = Callable[[str], None]


class Stop(msgspec.Struct, frozen=True):
    """Why a table's rows were not all dealt with. `broken`: somebody has to look, not only wait."""

    why: str
    fix: str = "run this job again later"
    broken: bool = False


# What a statement may meet that is not the connection's end.
REFUSED: Final = (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError, psycopg.InternalError)


def refused(error: psycopg.Error) -> Stop:
    """Return the reason to stop that the database gave."""
    return Stop(f"the database refuses it ({words(error)})", "mend that and run again", broken=True)


class Tally(msgspec.Struct):
    """What was done so far to one table."""

    rows: int = 0
    batches: int = 0
    partitions: int = 0
    stop: Stop | None = None


class _Uneven(Exception):  # noqa: N818 # it is no error of the program
    """The counts of a batch differ: it is rolled back."""


class _Batch(msgspec.Struct, frozen=True):
    count: int
    copied: int
    deleted: int
    last: str


class Mover:
    """Moves (or deletes) what is due in the heaps of one table."""

    def __init__(
        self,
        connection: Connection,
        table: Table,
        declared: Mapping[int, Table],
        pace: Pace,
        *,
        now: datetime,
        tally: Tally,
        moved: Callable[[], None],
        trace: Trace,
    ) -> None:
        self._connection, self._table, self._pace, self._now = connection, table, pace, now
        self._tally, self._moved, self._trace = tally, moved, trace
        self._due = due(table, declared)
        self._alias = sql.Identifier(table.relation.name)

    def move(self, heap: Heap, expected: int) -> None:
        """Deal with the rows of `heap`, of which `expected` were counted as due.

        Passes over the heap are repeated while they find something: a row that somebody held, or that was
        referred to by one that has gone, is met again. A reason to stop is left in the tally.
        """
        before = self._tally.rows
        while self._tally.stop is None and self._tally.rows - before < expected:
            if not self._pass(heap):
                break

    def _pass(self, heap: Heap) -> int:
        """Walk once over the heap; return how many rows went."""
        found, bound = 0, sql.SQL("").format()
        while batch := self._next(heap, bound):
            found += batch.count
            self._tally.rows += batch.count
            self._tally.batches += 1
            self._moved()
            if batch.count < self._table.rule.batch_rows:
                break
            bound = self._after(heap, batch)
        return found

    def _next(self, heap: Heap, bound: sql.Composed) -> _Batch | None:
        """Return the next batch that went; None at the heap's end, or with a reason to stop in the tally."""
        if why := self._pace.wait(self._connection):
            self._tally.stop = Stop(why)
            return None
        for left in reversed(range(_ATTEMPTS)):
            try:
                batch = self._batch(heap, bound)
            except _Uneven as error:
                # A row that was updated just then, or something that swallows rows each time.
                if not left:
                    fix = "look for a trigger or a rule on the two tables that swallows rows"
                    self._tally.stop = Stop(str(error), fix, broken=True)
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                self._tally.stop = Stop("the table is locked by somebody else")
            except errors.QueryCanceled:
                fix = "make batch_rows smaller, or give the column an index"
                self._tally.stop = Stop("a batch took longer than statement_timeout_s", fix)
            except REFUSED as error:
                self._tally.stop = refused(error)
            else:
                return batch if batch.count else None
            if self._tally.stop:
                break
        return None

    def _after(self, heap: Heap, batch: _Batch) -> sql.Composed:
        """Return where the next batch begins, so that no batch walks over what those before it deleted."""
        if heap.indexed:
            return sql.SQL(" AND {}.{} >= {}::{}").format(
                self._alias,
                sql.Identifier(self._table.column),
                sql.Literal(batch.last),
                self._table.cast,
            )
        return sql.SQL(" AND {}.ctid > {}::tid").format(self._alias, sql.Literal(batch.last))

    def _batch(self, heap: Heap, bound: sql.Composed) -> _Batch:
        """Deal with the next rows in one transaction, which ends well only if all counts agree."""
        with self._connection.transaction():
            if self._table.referrers:
                # A row of another table may have come to refer to one of these just before it was locked:
                # the second statement, with the locks held, sees that and leaves the row alone.
                places = self._lock(heap, bound)
                bound += sql.SQL(" AND {}.ctid = ANY ({}::tid[])").format(self._alias, sql.Literal(places))
                self._trace("locked")
            batch = self._take(heap, bound)
            self._trace("taken")
            if batch.copied != batch.count:
                raise _Uneven(
                    f"of a batch of {batch.count} rows only {batch.copied} reached the archive: it was undone"
                )
            if batch.deleted != batch.count:
                raise _Uneven(
                    f"of a batch of {batch.count} rows only {batch.deleted} could be deleted: it was undone"
                )
        self._trace("committed")
        return batch

    def _lock(self, heap: Heap, bound: sql.Composed) -> str:
        statement = sql.SQL("SELECT coalesce(array_agg({place})::text, '{{}}') FROM ({chosen}) batch").format(
            place=_PLACE, chosen=self._chosen(heap, bound, sql.SQL(""))
        )
        row = self._connection.execute(statement).fetchone()
        return str(row[0]) if row else "{}"

    def _chosen(self, heap: Heap, bound: sql.Composed, columns: sql.Composable) -> sql.Composed:
        """Return the SELECT that locks the next rows; those that others hold are passed over."""
        order = sql.SQL(" ORDER BY {}.{}").format(self._alias, sql.Identifier(self._table.column))
        return sql.SQL(
            "SELECT {columns}{alias}.ctid AS {place} FROM ONLY {heap} AS {alias}"
            " WHERE {due}{bound}{order} LIMIT {rows} FOR UPDATE OF {alias} SKIP LOCKED"
        ).format(
            columns=columns,
            alias=self._alias,
            place=_PLACE,
            heap=heap.identifier,
            due=self._due,
            bound=bound,
            order=order if heap.indexed else sql.SQL(""),
            rows=sql.Literal(self._table.rule.batch_rows),
        )

    def _take(self, heap: Heap, bound: sql.Composed) -> _Batch:
        """Lock, copy and delete in one statement (the rows never leave the server), and count each."""
        archive = self._table.archive
        last = (
            sql.SQL("max({})").format(sql.Identifier(self._table.column))
            if heap.indexed
            else sql.SQL("(array_agg({}))[count(*)]").format(_PLACE)
        )
        statement = sql.SQL(
            "WITH batch AS MATERIALIZED ({chosen}){copied},"
            " deleted AS (DELETE FROM ONLY {heap}"
            " WHERE ctid = ANY (ARRAY(SELECT {place} FROM batch)) RETURNING 1)"
            " SELECT count(*), {counted}, (SELECT count(*) FROM deleted), coalesce({last}::text, '')"
            " FROM batch"
        ).format(
            chosen=self._chosen(heap, bound, names(self._table) + sql.SQL(", ")),
            copied=sql.SQL(", copied AS ({} RETURNING 1)").format(
                copy_statement(self._table, archive, sql.SQL("batch"), self._now)
            )
            if archive
            else sql.SQL(""),
            counted=sql.SQL("(SELECT count(*) FROM copied)" if archive else "count(*)"),
            heap=heap.identifier,
            place=_PLACE,
            last=last,
        )
        return _Batch(*(self._connection.execute(statement).fetchone() or (0, 0, 0, "")))
