"""From what the inventory declares to tables of this server; whatever must not be touched is refused here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.query import quoted
from courtkeeper.postgres.retention.archives import archive_of
from courtkeeper.postgres.retention.catalog import (
    KINDS,
    TYPES,
    Column,
    Heap,
    Referrer,
    Relation,
    Table,
    identifiers,
    qualified,
    role_of,
    rows,
)
from courtkeeper.postgres.retention.settings import TableRule


def look_up(connection: Connection, rules: Sequence[TableRule], *, now: datetime) -> list[Table]:
    """Return the tables of `rules`, those that refer to others first.

    Raises ConfigurationError for a declaration that does not fit this server, naming its table. Nothing
    is changed.
    """
    tables = [_table(connection, rule, now) for rule in rules]
    _refuse_overlaps(tables)
    declared = {table.relation.oid for table in tables}
    for table in tables:
        _refuse_referrers(table, declared)
    return _referrers_first(tables)


def _table(connection: Connection, rule: TableRule, now: datetime) -> Table:
    here = f"tables: {rule.table}"
    schema, name = qualified(connection, rule.table, "public", "tables: the name")
    relation = next(iter(rows(connection, "table", Relation, schema=schema, name=name)), None)
    if relation is None:
        raise ConfigurationError(f"{here}: there is no such table in this database: mend its name")
    if relation.kind not in ("r", "p"):
        what = KINDS.get(relation.kind, "no table")
        raise ConfigurationError(f"{here} is {what}: name the table that holds the rows")
    if schema == "information_schema" or schema.startswith("pg_"):
        # Of another session's temporary table nobody else sees a row: it would look empty.
        raise ConfigurationError(f"{here} belongs to Postgres itself or to one session: take it out")
    columns = rows(connection, "columns", Column, oid=relation.oid)
    column = _column(connection, rule, columns)
    heaps = rows(connection, "heaps", Heap, oid=relation.oid, column=column.name)
    _refuse_unfit(connection, rule, relation, heaps)
    cutoff = now - timedelta(days=rule.keep_days)
    return Table(
        rule=rule,
        relation=relation,
        column=column.name,
        cutoff=cutoff if TYPES[column.type] == "timestamptz" else cutoff.astimezone(UTC).date(),
        columns=columns,
        heaps=heaps,
        referrers=rows(connection, "referrers", Referrer, oid=relation.oid),
        archive=archive_of(connection, rule, relation, columns),
    )


def _column(connection: Connection, rule: TableRule, columns: Sequence[Column]) -> Column:
    here = f"tables: {rule.table}: the column"
    name = ".".join(identifiers(connection, rule.column, here))
    by_name = {column.name: column for column in columns}
    if name not in by_name:
        near = get_close_matches(name, by_name, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(by_name)}"
        raise ConfigurationError(f"{here} {rule.column} does not exist: {hint}")
    if by_name[name].type not in TYPES:
        raise ConfigurationError(
            f"{here} {rule.column} is of type {by_name[name].type}: name one of type timestamptz or date"
        )
    return by_name[name]


def _refuse_unfit(connection: Connection, rule: TableRule, relation: Relation, heaps: Sequence[Heap]) -> None:
    here = f"tables: {rule.table}"
    role = role_of(connection)
    if not relation.usable:
        raise ConfigurationError(
            f"{here}: the role lacks a right: GRANT USAGE ON SCHEMA "
            f"{quoted(connection, relation.schema)} TO {role};"
        )
    foreign = next((heap for heap in heaps if heap.kind != "r"), None)
    if foreign:
        raise ConfigurationError(f"{here}: its partition {foreign.name} is a foreign table: leave it out")
    if rule.to == "drop_partitions":
        if relation.strategy not in ("r", "l"):
            what = "is partitioned by hash" if relation.strategy == "h" else "has no partitions"
            raise ConfigurationError(f"{here} {what}: use to: archive or to: delete")
        if not relation.owned:
            raise ConfigurationError(
                f"{here}: only its owner can take a partition out: "
                f"GRANT the role that owns it TO {role}, or name another user"
            )
    for heap in heaps:
        if heap.lacking:
            raise ConfigurationError(
                f"{here}: the role lacks a right: GRANT {', '.join(heap.lacking)} "
                f"ON {quoted(connection, heap.schema, heap.name)} TO {role};"
            )


def _refuse_overlaps(tables: Sequence[Table]) -> None:
    sources: dict[int, Table] = {}
    for table in tables:
        if table.relation.oid in sources:
            raise ConfigurationError(f"tables: {table.quoted} is declared twice: keep one of the two")
        sources[table.relation.oid] = table
    archives: dict[tuple[str, str], Table] = {}
    names = {(table.relation.schema, table.relation.name) for table in tables}
    for table in tables:
        above = next((sources[oid] for oid in table.relation.ancestors if oid in sources), None)
        if above:
            raise ConfigurationError(
                f"tables: {table.quoted} is a partition of {above.quoted}, and both are declared: keep one"
            )
        if table.archive is None:
            continue
        key = (table.archive.schema, table.archive.name)
        if key in names:
            raise ConfigurationError(
                f"tables: the archive table {table.archive.quoted} of {table.quoted} is itself a declared "
                "table: name another one"
            )
        if key in archives:
            raise ConfigurationError(
                f"tables: {table.quoted} and {archives[key].quoted} have the same archive table "
                f"{table.archive.quoted}: give each its own"
            )
        archives[key] = table


def _refuse_referrers(table: Table, declared: set[int]) -> None:
    """Refuse where a deletion would take along, change or stumble over rows that nobody declared."""
    for referrer in table.referrers:
        here = f"tables: {table.quoted}: the foreign key {referrer.constraint_name} of {referrer.quoted}"
        if table.rule.to == "drop_partitions":
            raise ConfigurationError(f"{here} points to its rows: drop the key, or use to: archive")
        if referrer.on_delete == "n" or referrer.oid in declared:
            continue
        what = {
            "c": "would delete the rows that refer to those",
            "d": "would change the rows that refer to those",
        }.get(referrer.on_delete, "forbids to delete rows that are referred to")
        raise ConfigurationError(f"{here} {what}: declare {referrer.quoted} as well, or leave this table out")


def _referrers_first(tables: Sequence[Table]) -> list[Table]:
    ordered: list[Table] = []
    seen: set[int] = set()
    by_oid = {table.relation.oid: table for table in tables}

    def visit(table: Table) -> None:
        if table.relation.oid in seen:
            return
        seen.add(table.relation.oid)
        for referrer in table.referrers:
            if referrer.oid in by_oid:
                visit(by_oid[referrer.oid])
        ordered.append(table)

    for table in tables:
        visit(table)
    return ordered
