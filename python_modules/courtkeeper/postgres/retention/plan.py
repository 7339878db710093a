"""What one run will do, counted before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.postgres.retention import partitions, reports
from courtkeeper.postgres.retention.catalog import Table
from courtkeeper.postgres.retention.partitions import Partitions
from courtkeeper.postgres.retention.predicate import due


class Plan(msgspec.Struct, kw_only=True):
    """What one table has to give. `rows` is by heap; `held` are old rows that others still refer to."""

    table: Table
    rows: dict[int, int]
    oldest: str | None
    held: int = 0
    partitions: Partitions | None = None

    @property
    def total(self) -> int:
        """Return how many rows are to go."""
        if self.partitions:
            return sum(candidate.rows for candidate in self.partitions.candidates)
        return sum(self.rows.values())

    @property
    def actions(self) -> list[str]:
        """Return what is to be done, as it will be reported when it is done."""
        if self.partitions:
            done = [reports.removal(self.table, each, each.rows) for each in self.partitions.candidates]
        else:
            done = [reports.transfer(self.table, self.total)] if self.total else []
        new = self.table.archive and not self.table.archive.exists
        return [reports.creation(self.table), *done] if done and new else done


def plan(connection: Connection, table: Table, declared: Mapping[int, Table]) -> Plan:
    """Count, in a read-only transaction, what is past its time."""
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        if table.rule.to == "drop_partitions":
            found = partitions.plan(connection, table)
            oldest = min((each.oldest for each in found.candidates if each.oldest), default=None)
            return Plan(table=table, rows={}, oldest=oldest, partitions=found)
        counts = _count(connection, table, due(table, declared, planned=True))
        held = 0
        if any(referrer.on_delete != "n" for referrer in table.referrers):
            held = sum(n for _, n, _ in _count(connection, table, due(_free(table), declared))) - sum(
                n for _, n, _ in counts
            )
    oldest = min((text for _, _, text in counts if text), default=None)
    return Plan(table=table, rows={oid: n for oid, n, _ in counts}, oldest=oldest, held=held)


def _free(table: Table) -> Table:
    """Return the table as if nothing referred to it."""
    return msgspec.structs.replace(table, referrers=[])


def _count(
    connection: Connection, table: Table, condition: sql.Composed
) -> list[tuple[int, int, str | None]]:
    """Return each heap's oid, its rows that meet the condition, and the oldest of them."""
    cursor = connection.execute(
        sql.SQL(
            "SELECT {alias}.tableoid::bigint, count(*), min({alias}.{column})::text"
            " FROM {only}{table} AS {alias} WHERE {condition} GROUP BY 1"
        ).format(
            alias=sql.Identifier(table.relation.name),
            column=sql.Identifier(table.column),
            only=sql.SQL("" if table.relation.kind == "p" else "ONLY "),
            table=table.relation.identifier,
            condition=condition,
        )
    )
    return [(int(oid), int(number), text) for oid, number, text in cursor]
