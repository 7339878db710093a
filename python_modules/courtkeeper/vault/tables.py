"""Rows and checksums of tables: taken when a backup is, compared when it is restored.

A checksum is the sum, over all rows, of a 64-bit hash of the row, so the order of rows does not matter. Two
methods: `record` is `hash_record_extended` (Postgres 14 and later, where every type of the table can be
hashed), `text` is `hashtextextended` of the row's text form. Both hash what is stored and not how. Postgres
does not promise that hashes stay the same between major versions: a comparison names both versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.vault.manifest import Table

_RECORD_SINCE = 140000

# What pg_dump dumps the rows of: no tables of extensions (their configuration aside), none of other servers.
_LIST = """
SELECT n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2
"""
# The text form of a value depends on these.
_SETTINGS = """
SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex'; SET LOCAL timezone = 'UTC'; SET LOCAL lc_monetary = 'C';
SET LOCAL row_security = off; SET LOCAL xmloption = 'content'
"""
_HASHES = {
    "record": sql.SQL("hash_record_extended(t, 0)"),
    "text": sql.SQL("hashtextextended(t::text, 0)"),
}


def listed(connection: Connection) -> list[tuple[str, str]]:
    """Return (schema, name) of every table whose rows a dump of this database holds."""
    return [(str(schema), str(name)) for schema, name in connection.execute(_LIST)]


def measured(connection: Connection, tables: Iterable[tuple[str, str]] | None = None) -> list[Table]:
    """Return rows and checksums, as the transaction that `connection` is in sees them.

    A table that cannot be read is returned with why, and does not end the transaction.
    """
    connection.execute(_SETTINGS)
    chosen = listed(connection) if tables is None else list(tables)
    return [_measured(connection, schema, name) for schema, name in chosen]


def compared(expected: Sequence[Table], found: Sequence[Table]) -> list[str]:
    """Return one sentence for each difference of what a manifest says and what a restored database has.

    Checksums by different methods are not compared; what the manifest does not know is not missed.
    """
    by_name = {table.qualified: table for table in found}
    sentences = []
    for table in expected:
        other = by_name.pop(table.qualified, None)
        if other is None:
            sentences.append(f"{table.qualified} is missing")
        elif table.rows is not None and other.rows != table.rows:
            sentences.append(f"{table.qualified} has {other.rows} rows instead of {table.rows}")
        elif table.checksum is not None and table.method == other.method and table.checksum != other.checksum:
            sentences.append(f"{table.qualified} has the {table.rows} rows, but with other contents")
        elif table.checksum is not None and other.checksum is None:
            sentences.append(f"{table.qualified} cannot be compared: {other.unknown}")
    sentences += [f"{name} is there and not in the backup" for name in by_name]
    return sentences


def _measured(connection: Connection, schema: str, name: str) -> Table:
    methods = ["record", "text"] if connection.info.server_version >= _RECORD_SINCE else ["text"]
    problem = ""
    for method in methods:
        try:
            rows, checksum = _summed(connection, schema, name, method)
        except (errors.UndefinedFunction, errors.InternalError_) as error:  # a type without a hash function
            problem = _short(error)
        except psycopg.errors.Error as error:
            if connection.closed:
                raise
            return Table(schema=schema, name=name, unknown=_short(error))
        else:
            return Table(schema=schema, name=name, rows=rows, checksum=str(checksum), method=method)
    return Table(schema=schema, name=name, unknown=problem)


def _summed(connection: Connection, schema: str, name: str, method: str) -> tuple[int, Any]:
    statement = sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM ONLY {} t").format(
        _HASHES[method], sql.Identifier(schema, name)
    )
    with connection.transaction():  # a savepoint
        row = connection.execute(statement).fetchone()
    return msgspec.convert((row or (0, 0))[0], int), (row or (0, 0))[1]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
