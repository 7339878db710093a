"""Archiving in batches against one plain statement that does the same (limit: 1.5 times as long).

`WITH gone AS (DELETE … RETURNING *) INSERT … SELECT` is the fastest way to move rows: it counts nothing,
waits for every locked row, and holds all its locks to its end. Interleaved rounds on the same server, the
same rows, archive tables of the same shape; the median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

ROUNDS, ROWS, KEPT = 5, 200_000, 50_000
LIMIT = 1.5
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from courtkeeper.postgres.retention import retention, settings_from  # noqa: E402
from support.postgres import postgres_server  # noqa: E402
from support.retention import parameters  # noqa: E402

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FILL = f"""
DROP TABLE IF EXISTS api_requests_copy, plain_archive CASCADE; DROP SCHEMA IF EXISTS archive CASCADE;
CREATE TABLE api_requests_copy (LIKE api_requests INCLUDING ALL);
INSERT INTO api_requests_copy (method, path, status_code, duration_ms, requested_at)
SELECT 'GET', '/games/' || n % 1230 || '/events', 200, 12.5,
       timestamptz '2026-11-21' - ({ROWS + KEPT} - n) * interval '86 seconds'
  FROM generate_series(1, {ROWS + KEPT}) n;
CREATE TABLE plain_archive (LIKE api_requests_copy, archived_at timestamptz NOT NULL);
"""
PLAIN = """
WITH gone AS (DELETE FROM api_requests_copy WHERE requested_at < %s RETURNING *)
INSERT INTO plain_archive SELECT *, now() FROM gone
"""


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as directory,
        postgres_server(Path(directory)) as server,
        psycopg.connect(server.admin_dsn, autocommit=True) as connection,
    ):
        pairs = [one_round(connection, server.admin_dsn, turn) for turn in range(ROUNDS)]
    plain, batches = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    sys.stdout.write(
        f"archive {ROWS:,} rows: one statement {plain:.2f} s ({ROWS / plain:,.0f} rows/s), in batches "
        f"{batches:.2f} s ({ROWS / batches:,.0f} rows/s): ratio {ratio:.2f} "
        f"(limit {LIMIT}; median of {ROUNDS})\n"
    )
    if ratio > LIMIT:
        raise SystemExit(f"MISSED: archiving took {ratio:.2f} times as long, the limit is {LIMIT}")


def one_round(connection: psycopg.Connection, dsn: str, turn: int) -> tuple[float, float]:
    """Return how long one statement and the batches take, in seconds; whoever begins takes turns."""
    keep_days = round(KEPT * 86 / 86400)
    cutoff = datetime.fromtimestamp(NOW.timestamp() - keep_days * 86400, UTC)
    rule = {"table": "api_requests_copy", "column": "requested_at", "keep_days": keep_days}
    settings = settings_from(parameters(dsn, rule))

    def plain() -> float:
        prepare(connection)
        began = time.perf_counter()
        moved = connection.execute(PLAIN, [cutoff]).rowcount
        taken = time.perf_counter() - began
        assert moved > 0.9 * ROWS
        return taken

    def ours() -> float:
        prepare(connection)
        began = time.perf_counter()
        result = retention(settings, now=NOW)
        taken = time.perf_counter() - began
        assert result.metrics["rows_moved"] > 0.9 * ROWS
        return taken

    if turn % 2:
        second = ours()
        return plain(), second
    return plain(), ours()


def prepare(connection: psycopg.Connection) -> None:
    """Make the table anew, with fresh statistics and nothing left to write."""
    connection.execute(FILL)
    connection.execute("VACUUM ANALYZE api_requests_copy")
    connection.execute("CHECKPOINT")


if __name__ == "__main__":
    main()
