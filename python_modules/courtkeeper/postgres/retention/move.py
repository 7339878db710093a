"""Rows out of one heap in batches: copy, count, delete exactly those, count again, else roll back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.postgres.retention.archives import copy_statement, names
from courtkeeper.postgres.retention.catalog import Heap, Table
from courtkeeper.postgres.retention.pace import Pace
from courtkeeper.postgres.retention.predicate import due, unreferenced

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
    why = " ".join(filter(None, (error.diag.message_primary or str(error), error.diag.message_detail)))
    return Stop(f"the database refuses it ({why})", "mend that and run again", broken=True)


class Tally(msgspec.Struct):
    """What was done so far to one table."""

    rows: int = 0
    batches: int = 0
    partitions: int = 0
    stop: Stop | None = None


class _Uneven(Exception):  # noqa: N818 # it is no error of the program
    """The counts of a batch differ: it is rolled back."""


class _Batch(msgspec.Struct, frozen=True):
    places: str
    count: int
    last_value: str
    last_place: str


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
        found, bound, uneven = 0, sql.SQL("").format(), 0
        while True:
            if why := self._pace.wait(self._connection):
                self._tally.stop = Stop(why)
                return found
            try:
                batch = self._batch(heap, bound)
            except _Uneven as error:
                uneven += 1
                if uneven < _ATTEMPTS:
                    continue
                self._tally.stop = Stop(
                    str(error),
                    "look for a trigger or a rule on the two tables that swallows rows",
                    broken=True,
                )
                return found
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                self._tally.stop = Stop("the table is locked by somebody else")
                return found
            except errors.QueryCanceled:
                self._tally.stop = Stop(
                    "a batch took longer than statement_timeout_s",
                    "make batch_rows smaller, or give the column an index",
                )
                return found
            except REFUSED as error:
                self._tally.stop = refused(error)
                return found
            uneven = 0
            if not batch.count:
                return found
            found += batch.count
            self._tally.rows += batch.count
            self._tally.batches += 1
            self._moved()
            if batch.count < self._table.rule.batch_rows:
                return found
            bound = self._after(heap, batch)

    def _after(self, heap: Heap, batch: _Batch) -> sql.Composed:
        """Return where the next batch begins, so that no batch walks over what those before it deleted."""
        if heap.indexed:
            return sql.SQL(" AND {}.{} >= {}::{}").format(
                self._alias,
                sql.Identifier(self._table.column),
                sql.Literal(batch.last_value),
                self._table.cast,
            )
        return sql.SQL(" AND {}.ctid > {}::tid").format(self._alias, sql.Literal(batch.last_place))

    def _batch(self, heap: Heap, bound: sql.Composed) -> _Batch:
        with self._connection.transaction():
            batch, copied = self._take(heap, bound)
            self._trace("copied")
            if copied is not None and copied != batch.count:
                raise _Uneven(
                    f"of a batch of {batch.count} rows only {copied} reached the archive, so none was deleted"
                )
            if batch.count:
                deleted = self._delete(heap, batch.places)
                self._trace("deleted")
                if deleted != batch.count:
                    raise _Uneven(
                        f"of a batch of {batch.count} rows only {deleted} could be deleted: it was undone"
                    )
        self._trace("committed")
        return batch

    def _take(self, heap: Heap, bound: sql.Composed) -> tuple[_Batch, int | None]:
        """Lock the next rows and copy them. Rows that others hold are passed over, not waited for."""
        archive = self._table.archive
        order = sql.SQL(" ORDER BY {}.{}").format(self._alias, sql.Identifier(self._table.column))
        statement = sql.SQL(
            "WITH batch AS (SELECT {columns}, {alias}.ctid AS {place} FROM ONLY {heap} AS {alias}"
            " WHERE {due}{bound}{order} LIMIT {rows} FOR UPDATE OF {alias} SKIP LOCKED)"
            "{copied} SELECT coalesce(array_agg({place})::text, ''), count(*),"
            " coalesce(max({column})::text, ''), coalesce(((array_agg({place}))[count(*)])::text, ''),"
            " {counted} FROM batch"
        ).format(
            columns=names(self._table),
            alias=self._alias,
            place=_PLACE,
            heap=heap.identifier,
            due=self._due,
            bound=bound,
            order=order if heap.indexed else sql.SQL(""),
            rows=sql.Literal(self._table.rule.batch_rows),
            column=sql.Identifier(self._table.column),
            copied=sql.SQL(", copied AS ({} RETURNING 1)").format(
                copy_statement(self._table, archive, sql.SQL("batch"), self._now)
            )
            if archive
            else sql.SQL(""),
            counted=sql.SQL("(SELECT count(*) FROM copied)") if archive else sql.SQL("NULL"),
        )
        row: tuple[Any, ...] = self._connection.execute(statement).fetchone() or ("", 0, "", "", 0)
        return _Batch(*row[:4]), row[4]

    def _delete(self, heap: Heap, places: str) -> int:
        """Delete the locked rows; one that has come to be referred to since stays, and the batch with it."""
        return self._connection.execute(
            sql.SQL(
                "DELETE FROM ONLY {heap} AS {alias} WHERE {alias}.ctid = ANY ({places}::tid[]){unreferenced}"
            ).format(
                heap=heap.identifier,
                alias=self._alias,
                places=sql.Literal(places),
                unreferenced=unreferenced(self._table),
            )
        ).rowcount
