"""Databases to back up and to restore, and what drills leave behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import psycopg

from courtkeeper.vault.drill import scratch
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.policy import policy_from

ROWS = 5000


def fill(dsn: str) -> None:
    """Put tables of many kinds into a database: keys, a view, an index, types that cannot be hashed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE sample AS SELECT n, md5(n::text) AS text, now() AS at, n / 7.0 AS number, "
            f"jsonb_build_object('n', n) AS document FROM generate_series(1, {ROWS}) n"
        )
        connection.execute("ALTER TABLE sample ADD PRIMARY KEY (n)")
        connection.execute("CREATE INDEX sample_text ON sample (text)")
        connection.execute("CREATE VIEW even AS SELECT * FROM sample WHERE n % 2 = 0")
        # An enum's own hash, and a regclass, are of numbers in the catalog, which are others after a restore.
        connection.execute("CREATE TYPE side AS ENUM ('home', 'away')")
        connection.execute(
            "CREATE TABLE kinds AS SELECT n, CASE WHEN n % 3 = 0 THEN NULL WHEN n % 2 = 0 THEN 'home'::side "
            "ELSE 'away' END AS side, ARRAY['away'::side] AS sides, 'sample'::regclass AS about, "
            "'a'::varchar(9) AS short, n > 7 AS won, '\\x00ff'::bytea AS raw, now()::date AS day, "
            "n::oid AS number, daterange(now()::date, NULL) AS days "
            "FROM generate_series(1, 50) n"
        )
        connection.execute("CREATE TABLE unhashable (value json, place point)")
        connection.execute("""INSERT INTO unhashable VALUES ('{"a": 1}', '(1,2)')""")
        connection.execute(
            'CREATE TABLE "odd Name" (x int GENERATED ALWAYS AS IDENTITY, y int REFERENCES sample)'
        )
        connection.execute('INSERT INTO "odd Name" (y) SELECT generate_series(1, 10)')


def drill_policy(parent: Path | None = None, **told: Any) -> DrillPolicy:
    """Return a policy as an inventory gives it; its scratch is in the system's directory or in `parent`."""
    given = {"scratch_directory": str(parent)} if parent else {}
    return policy_from({"drill": {**given, **told}}).drill


def left(vault: str = "nba", parent: Path | None = None) -> list[str]:
    """Return the scratch directories and the processes of drills that are still there."""
    paths = sorted((parent or Path(tempfile.gettempdir())).glob(f"courtkeeper-drill-{vault}-*"))
    return [str(path) for path in paths] + [
        f"process {pid}" for path in paths for pid in scratch.processes(scratch.mark_of(path))
    ]
