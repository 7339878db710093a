"""The tables that take what is archived: what they have to look like, how they are made and filled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.query import quoted
from courtkeeper.postgres.retention.catalog import (
    ARCHIVED_AT,
    KINDS,
    Archive,
    Column,
    Relation,
    Table,
    qualified,
    role_of,
    rows,
)
from courtkeeper.postgres.retention.settings import ARCHIVE_SCHEMA, TableRule


def archive_of(
    connection: Connection, rule: TableRule, relation: Relation, columns: Sequence[Column]
) -> Archive | None:
    if rule.to == "delete" or (rule.to == "drop_partitions" and not rule.archive_table):
        return None
    here = f"tables: {rule.table}: the archive table"
    schema, name = (ARCHIVE_SCHEMA, relation.name)
    if rule.archive_table:
        schema, name = qualified(connection, rule.archive_table, ARCHIVE_SCHEMA, here)
    if (schema, name) == (relation.schema, relation.name):
        raise ConfigurationError(f"{here} is the table itself: name another one")
    if ARCHIVED_AT in {column.name for column in columns}:
        raise ConfigurationError(
            f"tables: {rule.table} has a column {ARCHIVED_AT}, which every archive table has of its own: "
            "rename it, or use to: delete"
        )
    full = quoted(connection, schema, name)
    found = next(iter(rows(connection, "table", Relation, schema=schema, name=name)), None)
    if found is None:
        _refuse_creation(connection, here, schema)
        return Archive(schema=schema, name=name, quoted=full, exists=False)
    if found.kind not in ("r", "p"):
        raise ConfigurationError(f"{here} {full} is {KINDS.get(found.kind, 'no table')}: name a table")
    if relation.oid in found.ancestors:
        raise ConfigurationError(f"{here} {full} is a partition of the table itself: name another one")
    if not (found.insertable and found.usable):
        raise ConfigurationError(
            f"{here}: the role lacks a right: GRANT INSERT ON {full} TO {role_of(connection)};"
        )
    _refuse_shape(
        connection, f"{here} {full}", full, columns, rows(connection, "columns", Column, oid=found.oid)
    )
    return Archive(schema=schema, name=name, quoted=full, exists=True)


def _refuse_creation(connection: Connection, here: str, schema: str) -> None:
    """Refuse where the role could not create the archive table."""
    known = connection.execute(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s", [schema]
    ).fetchone()
    allowed = (
        known or connection.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()
    )
    if not (allowed and allowed[0]):
        where = f"SCHEMA {quoted(connection, schema)}"
        if not known:
            row = connection.execute("SELECT format('DATABASE %I', current_database())").fetchone()
            where = str(row[0]) if row else ""
        raise ConfigurationError(
            f"{here} cannot be created: GRANT CREATE ON {where} TO {role_of(connection)};"
        )


def _refuse_shape(
    connection: Connection, here: str, full: str, wanted: Sequence[Column], there: Sequence[Column]
) -> None:
    """Refuse an archive table that cannot hold the rows as they are. Further nullable columns do no harm."""
    by_name = {column.name: column for column in there}
    needed = {column.name: column.type for column in wanted} | {ARCHIVED_AT: "timestamp with time zone"}
    for name, kind in needed.items():
        column = quoted(connection, name)
        if name not in by_name:
            raise ConfigurationError(
                f"{here} has another shape: the column {name} is missing: "
                f"ALTER TABLE {full} ADD COLUMN {column} {kind};"
            )
        if by_name[name].type != kind:
            raise ConfigurationError(
                f"{here} has another shape: the column {name} is {by_name[name].type} there and {kind} here: "
                "make them equal, or name another archive table"
            )
        if by_name[name].generated or by_name[name].identity:
            raise ConfigurationError(
                f"{here} has another shape: the column {name} is generated there: make it a plain column"
            )
    for name, extra in by_name.items():
        if name not in needed and extra.not_null and not extra.has_default:
            raise ConfigurationError(
                f"{here} has another shape: its column {name} may not be null and the table has none: "
                f"ALTER TABLE {full} ALTER COLUMN {quoted(connection, name)} DROP NOT NULL;"
            )


def create_archive(connection: Connection, table: Table, archive: Archive) -> None:
    """Create the archive table: the source's columns, no keys, no identity; and when each row came."""
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(archive.schema)))
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {}, {} timestamptz NOT NULL)").format(
                archive.identifier, table.relation.identifier, sql.Identifier(ARCHIVED_AT)
            )
        )
        # By this the check structure.primary_key knows that it has no key on purpose.
        connection.execute(
            sql.SQL("COMMENT ON TABLE {} IS {}").format(
                archive.identifier, sql.Literal(f"Courtkeeper archive of {table.quoted}")
            )
        )


def copy_statement(table: Table, archive: Archive, source: sql.Composable, now: datetime) -> sql.Composed:
    """Return the INSERT of every row of `source` into the archive."""
    columns = names(table)
    return sql.SQL(
        "INSERT INTO {archive} ({columns}, {at}) SELECT {columns}, {now}::timestamptz FROM {source}"
    ).format(
        archive=archive.identifier,
        columns=columns,
        at=sql.Identifier(ARCHIVED_AT),
        now=sql.Literal(now.isoformat()),
        source=source,
    )


def names(table: Table) -> sql.Composed:
    """Return the table's columns, with commas between."""
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
