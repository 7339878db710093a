"""Snapshots of the usage statistics, instead of ever resetting them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from psycopg import errors

from courtkeeper.database import Connection
from courtkeeper.postgres.server import Server
from courtkeeper.postgres.upkeep.sql import statement

Kind = Literal["table", "index", "statement"]
# The statements of the most time; the server itself keeps 5,000 (pg_stat_statements.max).
_STATEMENTS = 500


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """By how much counters grew, by object and counter, between two snapshots.

    `since` and `until` are when these were taken; None where there are not two.
    """

    since: datetime | None
    until: datetime | None
    objects: dict[str, dict[str, float]]


def due(connection: Connection, now: datetime, interval: timedelta) -> bool:
    """Return whether the newest snapshot is older than `interval`, or there is none."""
    row = connection.execute("SELECT max(taken_at) FROM courtkeeper.statistics_snapshots").fetchone()
    return row is None or row[0] is None or now - row[0] >= interval


def forget(connection: Connection, keep: timedelta) -> int:
    """Forget copies older than `keep`, but not the newest; return how many."""
    return connection.execute(
        "DELETE FROM courtkeeper.statistics_snapshots WHERE taken_at < now() - %s "
        "AND id < (SELECT max(id) FROM courtkeeper.statistics_snapshots)",
        [keep],
    ).rowcount


def take(connection: Connection, server: Server) -> int:
    """Copy the counters of tables, indexes and statements.

    Whole or not at all. Returns the number of objects. Statements are known by their number alone, as a
    text may hold what its author would not have kept; where pg_stat_statements is not in this database or
    the role may not see others' statements there are none.
    """
    with connection.transaction():
        row = connection.execute(statement("snapshot"), {}).fetchone()
        number = row[0] if row else 0
        counted = connection.execute(statement("counters"), {"snapshot": number}).rowcount
        if "pg_stat_statements" in server.extensions and (server.monitor or server.superuser):
            counted += _statements(connection, number, server)
    return counted


def _statements(connection: Connection, number: int, server: Server) -> int:
    """Copy the counters of statements; 0 where the extension is not loaded by the server."""
    try:
        with connection.transaction():
            home = connection.execute(
                "SELECT quote_ident(n.nspname) FROM pg_extension e "
                "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'"
            ).fetchone()
            connection.execute("SELECT set_config('search_path', %s, true)", [home[0] if home else ""])
            counted = connection.execute(
                statement("statements"), {"snapshot": number, "most": _STATEMENTS}
            ).rowcount
            if server.version >= 14:
                connection.execute(
                    "UPDATE courtkeeper.statistics_snapshots SET statements_reset = "
                    "(SELECT stats_reset FROM pg_stat_statements_info) WHERE id = %s",
                    [number],
                )
    except errors.ObjectNotInPrerequisiteState:
        return 0
    return counted


def growth(connection: Connection, kind: Kind, since: datetime) -> Growth:
    """Return by how much the counters of `kind` grew after the last snapshot at or before `since`.

    Where none is that old, after the first. Resets, restarts and objects built anew between two snapshots
    take nothing away: what a counter shows after one is what it has grown by.
    """
    rows = connection.execute(
        "SELECT min(taken_at), max(taken_at) FROM courtkeeper.statistics_snapshots WHERE taken_at >= "
        "coalesce((SELECT max(taken_at) FROM courtkeeper.statistics_snapshots WHERE taken_at <= %s), "
        "'-infinity')",
        [since],
    ).fetchone()
    first, last = rows or (None, None)
    if first is None or first == last:
        return Growth(since=None, until=None, objects={})
    objects: dict[str, dict[str, float]] = {}
    for name, counter, grown in connection.execute(
        "SELECT object, counter, growth FROM courtkeeper.statistics_growth(%s, %s)", [kind, first]
    ):
        objects.setdefault(name, {})[counter] = grown
    return Growth(since=first, until=last, objects=objects)
