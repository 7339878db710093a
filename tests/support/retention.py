"""Tables with rows of every age, and a way to run the retention on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from courtkeeper.findings import Result
from courtkeeper.postgres.retention import retention, settings_from

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

# 100 rows, one a day back from NOW; every fifth is still queued.
TICKETS = """
CREATE TABLE tickets (
    ticket_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    status    text NOT NULL DEFAULT 'done',
    payload   jsonb NOT NULL DEFAULT '{}',
    length    int GENERATED ALWAYS AS (length(status)) STORED,
    made_at   timestamptz
);
CREATE INDEX tickets_made_at_idx ON tickets (made_at);
INSERT INTO tickets (status, payload, made_at)
SELECT CASE WHEN n % 5 = 0 THEN 'queued' ELSE 'done' END, jsonb_build_object('n', n),
       timestamptz '2026-11-22 11:00+00' - n * interval '1 day'
  FROM generate_series(0, 99) n;
"""
# Twelve months of partitions of 2026, 10 rows each, and the one before them all.
EVENTS = """
CREATE TABLE events (event_id bigint NOT NULL, happened_at timestamptz NOT NULL, note text)
       PARTITION BY RANGE (happened_at);
DO $$ BEGIN
    FOR month IN 1..12 LOOP
        EXECUTE format('CREATE TABLE events_2026_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                       to_char(month, 'FM00'), make_date(2026, month, 1),
                       make_date(2026, month, 1) + interval '1 month');
    END LOOP;
END $$;
INSERT INTO events
SELECT month * 100 + n, make_timestamptz(2026, month, 1 + n, 12, 0, 0), 'event'
  FROM generate_series(1, 11) month, generate_series(0, 9) n;
"""


def rule(table: str = "tickets", column: str = "made_at", keep_days: Any = 30, **more: Any) -> dict[str, Any]:
    """One declared table."""
    return {"table": table, "column": column, "keep_days": keep_days, **more}


def parameters(dsn: str, *tables: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the module hands over."""
    words = psycopg.conninfo.conninfo_to_dict(dsn)
    database = {
        "host": words["host"],
        "port": int(words["port"]),
        "name": words["dbname"],
        "user": words["user"],
        "password": words["password"],
    }
    return {"database": database, "tables": list(tables), **more}


def run(dsn: str, *tables: dict[str, Any], now: datetime = NOW, **more: Any) -> Result:
    """Run the retention of `tables` at NOW; settings and arguments of `retention` in `more`."""
    told: dict[str, Callable[..., Any]] = {
        key: more.pop(key) for key in ("check", "progress", "trace", "pace") if key in more
    }
    settings = settings_from(parameters(dsn, *tables, **{"lock_timeout_s": 0.5, **more}))
    return retention(settings, now=now, **told)


def content(connection: psycopg.Connection[Any], table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """The rows of a table, in a stable order."""
    text = sql.SQL("SELECT {} FROM {} t ORDER BY t::text").format(
        sql.SQL(columns), sql.Identifier(*table.split("."))
    )
    return connection.execute(text).fetchall()
