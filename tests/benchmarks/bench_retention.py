"""Archiving in batches against one plain statement that does the same (limit: twice its processor time).

`WITH gone AS (DELETE … RETURNING *) INSERT … SELECT` is the fastest way to move rows: it plans and counts
nothing, waits for every locked row, and holds all its locks to its end. Interleaved rounds on the same
server, the same rows, archive tables of the same shape; the median of the rounds' ratios. The limit is on
the server's processor time, which is what its other users feel and what a busy machine does not blur; the
time on the wall is printed beside it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

ROUNDS, ROWS, KEPT = 5, 200_000, 50_000
LIMIT = 2.0
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from courtkeeper.postgres.retention import retention, settings_from  # noqa: E402
from support.platform import wait_until  # noqa: E402
from support.postgres import Server, postgres_server  # noqa: E402
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


OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE client_port IS NOT NULL AND pid <> pg_backend_pid()"


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as directory,
        postgres_server(Path(directory), {"autovacuum": "off"}) as server,
        psycopg.connect(server.admin_dsn, autocommit=True) as connection,
    ):
        rounds = [one_round(server, connection, turn) for turn in range(ROUNDS)]
    ratio, wall = (statistics.median(ours[part] / plain[part] for plain, ours in rounds) for part in (0, 1))
    plain, batches = (statistics.median(pair[side][0] for pair in rounds) for side in (0, 1))
    sys.stdout.write(
        f"archive {ROWS:,} rows: one statement {plain:.2f} s of the server's processor, in batches "
        f"{batches:.2f} s: ratio {ratio:.2f} (limit {LIMIT:g}), on the wall {wall:.2f} (median of {ROUNDS})\n"
    )
    if ratio > LIMIT:
        raise SystemExit(f"MISSED: archiving took {ratio:.2f} times as much, the limit is {LIMIT:g}")


def one_round(server: Server, connection: psycopg.Connection, turn: int) -> list[tuple[float, float]]:
    """Return what one statement and the batches take: seconds of the processor, and on the wall."""
    keep_days = round(KEPT * 86 / 86400)
    rule = {"table": "api_requests_copy", "column": "requested_at", "keep_days": keep_days}
    settings = settings_from(parameters(server.admin_dsn, rule))

    def plain() -> float:
        with psycopg.connect(server.admin_dsn, autocommit=True) as own:
            return own.execute(PLAIN, [NOW - timedelta(days=keep_days)]).rowcount

    def ours() -> float:
        return retention(settings, now=NOW).metrics["rows_moved"]

    taken = {}
    for action in (ours, plain) if turn % 2 else (plain, ours):
        prepare(connection)
        before, began = processor(server), time.perf_counter()
        assert action() > 0.9 * ROWS
        wall = time.perf_counter() - began
        # A backend's time is its parent's once it is gone.
        wait_until(lambda: connection.execute(OTHERS).fetchone() == (0,))
        wait_until(lambda before=before: processor(server) > before)
        taken[action] = (processor(server) - before, wall)
    return [taken[plain], taken[ours]]


def processor(server: Server) -> float:
    """Return the processor time, in seconds, of the server's processes that have ended."""
    identity = server.postgres.running()
    fields = Path(f"/proc/{identity.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def prepare(connection: psycopg.Connection) -> None:
    """Make the table anew, with fresh statistics and nothing left to write."""
    connection.execute(FILL)
    connection.execute("VACUUM ANALYZE api_requests_copy")
    connection.execute("CHECKPOINT")


if __name__ == "__main__":
    main()
