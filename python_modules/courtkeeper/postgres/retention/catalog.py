"""The declared tables as the server knows them; whatever must not be touched is refused here."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.query import Struct, structs, with_parameters
from courtkeeper.postgres.retention.settings import TableRule

ARCHIVED_AT: Final = "archived_at"
TYPES: Final = {"timestamp with time zone": "timestamptz", "date": "date"}
KINDS: Final = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sql/table.sql`."""

    oid: int
    schema: str
    name: str
    kind: str
    quoted: str
    strategy: str  # r, l or h where it is partitioned
    partition_column: str
    usable: bool
    owned: bool
    insertable: bool
    ancestors: frozenset[int]

    @property
    def identifier(self) -> sql.Identifier:
        """Return the name for a statement."""
        return sql.Identifier(self.schema, self.name)


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sql/columns.sql`."""

    name: str
    type: str
    not_null: bool
    has_default: bool
    generated: bool
    identity: bool


class Heap(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sql/heaps.sql`: a table without partitions, in which rows lie."""

    oid: int
    schema: str
    name: str
    kind: str
    estimated_rows: float
    lacking: list[str]
    indexed: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Return the name for a statement."""
        return sql.Identifier(self.schema, self.name)


class Referrer(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sql/referrers.sql`: a foreign key that points to the table."""

    constraint_name: str
    oid: int
    schema: str
    name: str
    quoted: str
    on_delete: str  # a no action, r restrict, c cascade, n set null, d set default
    columns: list[str]
    referenced: list[str]


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows go. `quoted` is the name as SQL writes it."""

    schema: str
    name: str
    quoted: str
    exists: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Return the name for a statement."""
        return sql.Identifier(self.schema, self.name)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A declared table. Rows whose column is before `cutoff` are past their time."""

    rule: TableRule
    relation: Relation
    column: str
    cutoff: datetime | date
    columns: list[Column]
    heaps: list[Heap]
    referrers: list[Referrer]
    archive: Archive | None

    @property
    def quoted(self) -> str:
        """Return the table's name as SQL writes it."""
        return self.relation.quoted

    @property
    def cast(self) -> sql.SQL:
        """Return the type of its column, for a literal."""
        return sql.SQL("timestamptz") if isinstance(self.cutoff, datetime) else sql.SQL("date")


@cache
def statement(name: str) -> str:
    """Return a statement of `sql/`; the variables of psql in it become psycopg's parameters."""
    text = (files("courtkeeper.postgres.retention") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return with_parameters(text)


def rows(connection: Connection, which: str, kind: type[Struct], /, **parameters: Any) -> list[Struct]:  # noqa: ANN401
    """Ask a statement of `sql/` and return its rows as structs."""
    return structs(connection.execute(statement(which).encode(), parameters), kind)


def identifiers(connection: Connection, text: str, what: str) -> list[str]:
    """Return the parts of a name as SQL reads it. Raises ConfigurationError for one that it does not."""
    try:
        row = connection.execute("SELECT parse_ident(%s)", [text]).fetchone()
    except (errors.InvalidParameterValue, errors.DataError, ValueError) as error:
        raise ConfigurationError(f"{what} {text[:80]!r} is no name: write it as in SQL") from error
    return [str(part) for part in row[0]] if row else []


def qualified(connection: Connection, text: str, schema: str, what: str) -> tuple[str, str]:
    """Return schema and name of a table. Raises ConfigurationError as `identifiers` does."""
    parts = identifiers(connection, text, what)
    if len(parts) > 2:  # schema and name
        raise ConfigurationError(f"{what} {text[:80]!r} has too many parts: write it as schema.table")
    return (parts[0], parts[1]) if len(parts) > 1 else (schema, parts[0])


def role_of(connection: Connection) -> str:
    """Return the role we are, as SQL writes it."""
    row = connection.execute("SELECT format('%I', current_user)").fetchone()
    return str(row[0]) if row else ""
