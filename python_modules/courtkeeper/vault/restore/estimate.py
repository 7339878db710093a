"""What a restore costs: how long it should take, by observed rates, and what would be lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from statistics import median

import msgspec
import psycopg
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.vault import proofs
from courtkeeper.vault.findings import lasted, sized
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.proofs import Rate
from courtkeeper.vault.settings import VaultSettings

_LAST = 5
# Counting is for who waits at a terminal: beyond it the planner's own guess has to do.
_COUNTING_S = 20.0
_ONE_COUNT_MS = 5000
_NAMED = 5


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose rows are others now: `now` is null where it is gone, `about` where it was not counted."""

    table: str
    then: int | None
    now: int | None
    about: bool = False

    @property
    def sentence(self) -> str:
        """`public.games: 20 rows more now`."""
        if self.now is None:
            return f"{self.table} is not there now"
        if self.then is None:
            return f"{self.table} is not in the backup"
        more = self.now - self.then
        about = "about " if self.about else ""
        return f"{self.table}: {about}{abs(more)} rows {'more' if more > 0 else 'fewer'} now"


def seconds(settings: VaultSettings, kind: str, plain_bytes: int) -> float | None:
    """Return how long restoring so much should take, by the last restores and drills; None: none was seen."""
    rates = [
        rate for rate in proofs.history(settings, "rates", Rate) if rate.kind == kind and rate.seconds > 0
    ]
    if not rates:
        return None
    # Seconds by byte: the fixed costs of small ones count as they are.
    return plain_bytes * median(rate.seconds / max(rate.plain_bytes, 1) for rate in rates[-_LAST:])


def duration(settings: VaultSettings, kind: str, plain_bytes: int) -> str:
    """Say how long it should take."""
    expected = seconds(settings, kind, plain_bytes)
    if expected is None:
        return f"{sized(plain_bytes)}; how long it takes is not known, as nothing was restored or drilled yet"
    return f"{sized(plain_bytes)}, about {lasted(expected)} by the last restores and drills"


def lost(connection: Connection, part: Part, only: Sequence[str] = ()) -> list[Lost]:
    """Compare the rows of each table now with those in the backup; what is equal is left out."""
    guessed = {
        f"{schema}.{name}": int(rows)
        for schema, name, rows in connection.execute(
            "SELECT schemaname, relname, n_live_tup FROM pg_stat_user_tables"
        )
    }
    begun = time.monotonic()
    found = []
    for table in part.tables:
        if only and table.qualified not in only:
            continue
        name = table.qualified
        if name not in guessed:
            found.append(Lost(table=name, then=table.rows, now=None))
            continue
        counted = None
        if time.monotonic() - begun < _COUNTING_S:
            counted = _counted(connection, table.schema, table.name)
        now = guessed[name] if counted is None else counted
        if now != table.rows:
            found.append(Lost(table=name, then=table.rows, now=now, about=counted is None))
    if not only:
        known = {table.qualified for table in part.tables}
        found += [
            Lost(table=name, then=None, now=rows)
            for name, rows in sorted(guessed.items())
            if part.tables and name not in known
        ]
    return found


def summary(differences: Sequence[Lost], taken_at: datetime, now: datetime) -> str:
    """Say what is lost where a backup takes the place of what is there now."""
    since = f"what was written in the {lasted(max((now - taken_at).total_seconds(), 0))} since then"
    if not differences:
        return f"{since}; no table has more or fewer rows than it had"
    named = "; ".join(each.sentence for each in differences[:_NAMED])
    more = f"; and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
    return f"{since}: {named}{more}"


def _counted(connection: Connection, schema: str, name: str) -> int | None:
    statement = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, name))
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL statement_timeout = {_ONE_COUNT_MS}")
            connection.execute("SET LOCAL lock_timeout = 1000")
            row = connection.execute(statement).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    return int(row[0]) if row else None
