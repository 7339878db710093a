"""Plans of statements as pg_stat_statements keeps them, with parameters in the place of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from courtkeeper.database import Connection, with_usual_names
from courtkeeper.postgres.performance import plan as plans
from courtkeeper.postgres.performance.sql import statement
from courtkeeper.postgres.performance.statements import Statement
from courtkeeper.postgres.refusal import is_lost, words

_NAME = sql.Identifier("courtkeeper_plan")
_GENERIC = 16  # EXPLAIN (GENERIC_PLAN)


class Planned(msgspec.Struct, frozen=True):
    """The plan of a statement; where there is none, `why`."""

    plan: Mapping[str, Any] = {}
    why: str = ""


def explain(connection: Connection, one: Statement, version: int, *, analyze: bool = False) -> Planned:
    """Return the generic plan of a statement, as its own role and with that role's search_path.

    Nothing is run, unless `analyze` says so and the statement only reads, has no parameters and calls no
    volatile function: what such a one does (ends a session, sends a message) no rollback takes back. The
    transaction is read-only and rolled back all the same. Raises only where the connection is lost.
    """
    if not one.plannable:
        return Planned(why="it is a utility statement")
    prepared = False
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL transaction_read_only = on")
            _become(connection, one.role)
            _prepare(connection, one.query)
            prepared = True
            found = _generic(connection, one.query, version)
            if (
                analyze
                and not plans.writes(found)
                and not _parameters(connection)
                and not _acts(connection, found)
            ):
                found = _explained(connection, "EXPLAIN (ANALYZE, BUFFERS, VERBOSE, FORMAT JSON) EXECUTE {}")
            return Planned(found)
    except psycopg.Error as error:
        if is_lost(error, connection):
            raise
        return Planned(why=words(error))
    finally:
        if prepared and not connection.closed:  # the rollback leaves it
            with connection.transaction():
                connection.execute("DEALLOCATE courtkeeper_plan")


def _become(connection: Connection, role: str) -> None:
    """Plan with the rights of who runs the statement: planning may call functions of theirs."""
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    if not connection.execute(statement("search_path").encode(), {"role": role}).rowcount:
        with_usual_names(connection)


def _prepare(connection: Connection, query: str) -> None:
    """Prepare a statement by the extended protocol (which binary results take): it refuses a second one."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(b"PREPARE courtkeeper_plan AS " + query.encode())


def _generic(connection: Connection, query: str, version: int) -> Mapping[str, Any]:
    if version >= _GENERIC:
        # Accepted as one statement by PREPARE: so is the same text here.
        return _explained(connection, b"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) " + query.encode())
    # Before 16 the nulls would prune all partitions when the plan is started.
    connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    connection.execute("SET LOCAL enable_partition_pruning = off")
    nulls = sql.SQL(", ").join([sql.NULL] * _parameters(connection))
    arguments = sql.SQL("({})").format(nulls) if _parameters(connection) else sql.SQL("")
    return _explained(connection, "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE {}", arguments)


def _parameters(connection: Connection) -> int:
    row = connection.execute(
        "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'courtkeeper_plan'"
    ).fetchone()
    return int(row[0]) if row else 0


def _acts(connection: Connection, plan: Mapping[str, Any]) -> bool:
    """Whether a plan calls a function that may do more than read, by name, in whatever schema."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = ANY (%s) AND provolatile = 'v')",
        [sorted(plans.called(plan))],
    ).fetchone()
    return bool(row and row[0])


def _explained(
    connection: Connection, query: str | bytes, arguments: sql.Composable | None = None
) -> Mapping[str, Any]:
    if isinstance(query, bytes):
        row = connection.execute(query).fetchone()
    else:
        row = connection.execute(sql.SQL(query).format(_NAME) + (arguments or sql.SQL(""))).fetchone()
    answer = row[0] if row else []
    top = answer[0] if isinstance(answer, list) and answer else {}
    found = top.get("Plan", {}) if isinstance(top, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
