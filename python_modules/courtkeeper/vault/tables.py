"""Rows and checksums of tables: taken when a backup is, compared when it is restored.

A checksum is the sum, over all rows, of a 64-bit hash of the row, so the order of rows does not matter. By
the method `columns` that is the XOR of a hash of each column, each with another seed: by Postgres' own
function of the type, or of the text form where the type has none, or one that a restore changes (an enum's
is of its number in the catalog). It takes 0.6 of the time of the method `record`, which is
`hash_record_extended`; `text` is `hashtextextended` of the whole row. What a manifest has by those is
compared by them. All hash what is stored and not how. Postgres does not promise that hashes stay the same
between major versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import sql

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
SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off; SET LOCAL xmloption = 'content'
"""
# Each column with the hash function of exactly its type (`varchar` is hashed as `text`); `record` where that
# function is not one for SQL (date, boolean, bytea), and nothing where there is none.
_COLUMNS = """
SELECT a.attname, CASE WHEN p.proargtypes[0] = o.opcintype THEN p.proname::text
                       WHEN p.oid IS NOT NULL THEN 'record' END
  FROM pg_attribute a
  LEFT JOIN (pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'hash' AND o.opcdefault
             JOIN pg_amproc f ON f.amprocfamily = o.opcfamily AND f.amproclefttype = o.opcintype
                             AND f.amprocrighttype = o.opcintype AND f.amprocnum = 2
             JOIN pg_proc p ON p.oid = f.amproc AND p.pronamespace = 'pg_catalog'::regnamespace)
    ON o.opcintype = CASE a.atttypid WHEN 'varchar'::regtype THEN 'text'::regtype ELSE a.atttypid END
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""
# What a null counts as: any large odd number, other ones by the column's place.
_NULL = 0x5851F42D4C957F2D
_HASHES = {
    "record": sql.SQL("hash_record_extended(t, 0)"),
    "text": sql.SQL("hashtextextended(t::text, 0)"),
}


def listed(connection: Connection) -> list[tuple[str, str]]:
    """Return (schema, name) of every table whose rows a dump of this database holds."""
    return [(str(schema), str(name)) for schema, name in connection.execute(_LIST)]


def measured(
    connection: Connection,
    tables: Iterable[tuple[str, str]] | None = None,
    like: Iterable[Table] = (),
) -> list[Table]:
    """Return rows and checksums, as the transaction that `connection` is in sees them.

    `like`: tables of a manifest, by whose methods they are to be compared. A table that cannot be read is
    returned with why, and does not end the transaction.
    """
    connection.execute(_SETTINGS)
    chosen = listed(connection) if tables is None else list(tables)
    methods = {(table.schema, table.name): table.method for table in like}
    found = [
        _measured(connection, schema, name, methods.get((schema, name), "") or "columns")
        for schema, name in chosen
    ]
    connection.execute("SET LOCAL search_path TO DEFAULT")
    return found


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


def _measured(connection: Connection, schema: str, name: str, method: str) -> Table:
    try:
        rows, checksum = _summed(connection, schema, name, method)
    except psycopg.errors.Error as error:
        if connection.closed:
            raise
        return Table(schema=schema, name=name, unknown=_short(error))
    return Table(schema=schema, name=name, rows=rows, checksum=str(checksum), method=method)


def _summed(connection: Connection, schema: str, name: str, method: str) -> tuple[int, Any]:
    with connection.transaction():  # a savepoint
        hashed = _HASHES[method] if method in _HASHES else _by_columns(connection, schema, name)
        statement = sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM ONLY {} t").format(
            hashed, sql.Identifier(schema, name)
        )
        row = connection.execute(statement).fetchone()
    return msgspec.convert((row or (0, 0))[0], int), (row or (0, 0))[1]


def _by_columns(connection: Connection, schema: str, name: str) -> sql.Composable:
    where = sql.Identifier(schema, name).as_string(None)
    columns = connection.execute(_COLUMNS, (where,)).fetchall()
    records = connection.info.server_version >= _RECORD_SINCE
    hashes = [
        _hashed(sql.SQL("t.{}").format(sql.Identifier(column)), function, number, records=records)
        for number, (column, function) in enumerate(columns, 1)
    ]
    return sql.SQL(" # ").join(hashes or [sql.SQL("0::bigint")])


def _hashed(value: sql.Composable, function: str | None, number: int, *, records: bool) -> sql.Composable:
    """Return the hash of one column, the `number`th of its table."""
    seed = sql.Literal(number)
    if function == "record" and records:
        return sql.SQL("hash_record_extended(ROW({}), {})").format(value, seed)
    if function is None or function == "record":
        function, value = "hashtextextended", sql.SQL("{}::text").format(value)
    hashed = sql.SQL("{}({}, {})").format(sql.Identifier("pg_catalog", function), value, seed)
    return sql.SQL("coalesce({}, {})").format(hashed, sql.Literal(_NULL ^ (number << 32)))


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
