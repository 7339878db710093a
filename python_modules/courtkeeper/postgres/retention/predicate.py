"""Which rows are past their time, as SQL. Names come from the catalog and are quoted; `where` is checked."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import errors, sql

from courtkeeper.database import Connection, is_of_files
from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.refusal import words
from courtkeeper.postgres.retention.catalog import Referrer, Table


def check_where(connection: Connection, table: Table) -> None:
    """Refuse a `where` that is not one condition on the table's columns, or that writes.

    It has to be one both between parentheses and without any: what would close a parenthesis of ours and
    go on (`a) OR (b`) is none in the second place. Nothing quoted follows it, so an open quote or comment
    stays open. It is tried on one row in a read-only transaction.
    """
    where = table.rule.where
    if not where:
        return
    begin = sql.SQL("SELECT FROM (SELECT * FROM {} LIMIT 1) AS {} WHERE ").format(
        table.relation.identifier, sql.Identifier(table.relation.name)
    )
    bare = begin + sql.SQL("CASE WHEN\n{}\nTHEN true END").format(_raw(where))
    enclosed = begin + sql.SQL("(\n{}\n)").format(_raw(where))
    here = f"tables: {table.quoted}: where {where[:80]!r}"
    try:
        with connection.transaction():
            connection.execute("SET TRANSACTION READ ONLY")
            connection.execute(bare)
            connection.execute(enclosed)
    except (errors.LockNotAvailable, errors.QueryCanceled):
        raise  # not the condition's fault
    except errors.ReadOnlySqlTransaction as error:
        raise ConfigurationError(f"{here} writes: give a condition that only reads") from error
    except (
        psycopg.ProgrammingError,
        psycopg.DataError,
        psycopg.InternalError,
        psycopg.NotSupportedError,
    ) as error:
        if is_of_files(error):
            raise
        why = words(error)[:200]
        raise ConfigurationError(f"{here} is no condition on its columns ({why}): mend it") from error


def due(table: Table, declared: Mapping[int, Table], *, planned: bool = False) -> sql.Composed:
    """Return the condition for rows that are to go: old, wanted, and not referred to by any row.

    With `planned` the rows that refer to them count only if they are to stay themselves: then it says
    what will go once the referring tables have had their turn.
    """
    return _due(table, declared, planned=planned, above=())


def _due(
    table: Table, declared: Mapping[int, Table], *, planned: bool, above: tuple[str, ...]
) -> sql.Composed:
    conditions = sql.SQL("{alias}.{column} < {cutoff}::{cast}").format(
        alias=sql.Identifier(table.relation.name),
        column=sql.Identifier(table.column),
        cutoff=sql.Literal(table.cutoff.isoformat()),
        cast=table.cast,
    )
    if table.rule.where:
        conditions += sql.SQL(" AND (\n{}\n)").format(_raw(table.rule.where))
    return conditions + _guards(table, declared, planned=planned, above=above)


def _guards(
    table: Table, declared: Mapping[int, Table], *, planned: bool, above: tuple[str, ...]
) -> sql.Composed:
    guards = sql.Composed([])
    names = (*above, table.relation.name)
    for referrer in table.referrers:
        if referrer.on_delete == "n":
            continue
        child = declared.get(referrer.oid) if planned else None
        # A table that stands above already (itself, above all) needs a name of its own here.
        alias = referrer.name if referrer.name not in names else f"referrer {len(names)}"
        stays = sql.Composed([])
        if child and alias == referrer.name:
            goes = _due(child, declared, planned=True, above=names)
            stays = sql.SQL(" AND NOT coalesce({}, false)").format(goes)
        guards += sql.SQL(" AND NOT EXISTS (SELECT FROM {child} AS {alias} WHERE {match}{stays})").format(
            child=sql.Identifier(referrer.schema, referrer.name),
            alias=sql.Identifier(alias),
            match=_match(referrer, table.relation.name, alias),
            stays=stays,
        )
    return guards


def _match(referrer: Referrer, parent: str, child: str) -> sql.Composed:
    pairs = zip(referrer.columns, referrer.referenced, strict=True)
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(child, mine), sql.Identifier(parent, theirs))
        for mine, theirs in pairs
    )


def _raw(text: str) -> sql.SQL:
    # The one text from outside that becomes SQL as it stands; check_where is why it may.
    return sql.SQL(text)
