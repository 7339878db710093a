"""All groups of checks but `corruption` on a catalog of 2,000 tables and 10,000 indexes: limit 2 s."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg

ROUNDS = 5
TABLES = 2000
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from limits import hold  # noqa: E402

from courtkeeper.database import DatabaseSettings  # noqa: E402
from courtkeeper.findings import Result, Status  # noqa: E402
from courtkeeper.postgres.check import GROUPS, choose  # noqa: E402
from courtkeeper.postgres.integrity import integrity  # noqa: E402
from support.postgres import postgres_server  # noqa: E402

# Every table: a key, a foreign key, eight columns, five indexes, ten analyzed rows.
TABLE = """
DO $$
BEGIN
    FOR n IN {first}..{last} LOOP
        EXECUTE format(
            'CREATE TABLE t_%1$s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                                  parent bigint REFERENCES t_%2$s, a int, b text, c timestamptz, d numeric,
                                  e text, f boolean);
             CREATE INDEX ON t_%1$s (parent); CREATE INDEX ON t_%1$s (a, b); CREATE INDEX ON t_%1$s (c);
             CREATE INDEX ON t_%1$s (lower(e)) WHERE f;
             INSERT INTO t_%1$s (a, b, c, d, e, f)
             SELECT i, i, now(), i, i, true FROM generate_series(1, 10) i;
             ANALYZE t_%1$s', n, greatest(1, n - 1));
    END LOOP;
END $$"""


def main() -> None:
    """Measure and print."""
    groups = [group for group in GROUPS if group != "corruption"]
    with (
        tempfile.TemporaryDirectory() as directory,
        postgres_server(Path(directory), {"max_locks_per_transaction": "1024"}) as server,
    ):
        with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
            for first in range(1, TABLES + 1, 100):
                connection.execute(TABLE.format(first=first, last=first + 99))  # type: ignore[arg-type]
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public'),"
                " (SELECT count(*) FROM pg_index)"
            ).fetchone()
        assert counts

        def asked(chosen: list[str]) -> tuple[float, Result]:
            began = time.perf_counter()
            result = integrity(DatabaseSettings.from_dsn(server.admin_dsn), choose(groups=chosen))
            return time.perf_counter() - began, result

        first, result = asked(groups)
        spent = statistics.median(asked(groups)[0] for _ in range(ROUNDS))
        each = {group: statistics.median(asked([group])[0] for _ in range(3)) for group in groups}
    wrong = [f for f in result.findings if f.status is Status.UNKNOWN]
    assert not wrong, wrong
    sys.stdout.write(
        f"{counts[0]:,} tables, {counts[1]:,} indexes: all groups but corruption {spent:.2f} s "
        f"(limit 2 s; median of {ROUNDS}; the first {first:.2f} s); "
        f"alone: {', '.join(f'{group} {value:.2f}' for group, value in each.items())}\n"
    )
    hold("all groups but corruption", spent, 2)


if __name__ == "__main__":
    main()
