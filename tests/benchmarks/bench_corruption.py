"""The group `corruption` beside `pg_amcheck -j 2 --heapallindexed` on the same pgbench database.

Both at the same work: once without and once with the search for duplicates in unique indexes.

Interleaved, the median of the pairs' ratios; the limit is 1.10. Needs the programs of Postgres beside the
server's own (pgbench, pg_amcheck): those of the wheel where it has them, else Debian's of any version.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
from limits import hold_ratio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from courtkeeper.postgres.settings import IntegritySettings
from support.postgres import Server, drop_database, fresh_database, postgres_server

SCALE = 120  # 1.8 GB: some five seconds each, beside which a connection more does not count
JOBS = 2
ROUNDS = 5
LIMIT = 1.10


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def program(name: str, server: Server) -> Path:
    """Return a program of Postgres."""
    places = [server.postgres.bin_dir, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = [place / name for place in places if (place / name).is_file()]
    if not found:
        raise SystemExit(f"SKIPPED: there is no {name}: apt-get install postgresql")
    return found[0]


def measure(server: Server, settings: DatabaseSettings) -> None:
    """Fill the database, measure and print."""
    environment = {**os.environ, "PGPASSWORD": settings.password}
    where = ["-h", settings.host, "-p", str(settings.port), "-U", settings.user]
    pgbench, amcheck = program("pgbench", server), program("pg_amcheck", server)

    def run(*arguments: str | Path) -> None:
        subprocess.run([*map(str, arguments)], env=environment, check=True, capture_output=True)

    run(pgbench, *where, "-i", "-q", "-s", str(SCALE), settings.name)
    with psycopg.connect(server.admin_dsn_for(f"dbname={settings.name}"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        (size,) = connection.execute("SELECT pg_database_size(current_database()) / 1e6").fetchone() or (0,)

    def theirs(unique: bool) -> None:
        more = ["--checkunique"] if unique else []
        run(amcheck, *where, "-j", str(JOBS), "--heapallindexed", *more, "-d", settings.name)

    def ours(unique: bool) -> None:
        told = IntegritySettings(jobs=JOBS, corruption_unique=unique)
        found = integrity(settings, choose(groups=["corruption"]), told).findings
        assert [finding.status for finding in found] == [Status.OK], found

    for unique in (False, True):
        theirs(unique), ours(unique)  # warm both
        pairs = [(seconds(partial(theirs, unique)), seconds(partial(ours, unique))) for _ in range(ROUNDS)]
        ratio = statistics.median(our / their for their, our in pairs)
        them, us = (statistics.median(column) for column in zip(*pairs, strict=True))
        what = "with" if unique else "without"
        sys.stdout.write(
            f"{size:.0f} MB, {JOBS} jobs, {what} duplicates: pg_amcheck {them:.2f} s, "
            f"the group corruption {us:.2f} s: ratio {ratio:.3f} (median of {ROUNDS} pairs)\n"
        )
        hold_ratio(f"the group corruption by pg_amcheck, {what} duplicates", ratio, LIMIT)


def main() -> None:
    """Measure on a server of our own."""
    with tempfile.TemporaryDirectory() as directory, postgres_server(Path(directory)) as server:
        dsn = fresh_database(server)
        try:
            measure(server, DatabaseSettings.from_dsn(server.admin_dsn_for(dsn)))
        finally:
            drop_database(server, dsn)


if __name__ == "__main__":
    main()
