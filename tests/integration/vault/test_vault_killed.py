"""A backup that is killed anywhere leaves none that looks good and is not, and the one before untouched."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg
import pytest

from courtkeeper.vault.backup import backup
from support.killed_vault import killed_at, points_of
from support.postgres import Server
from support.s3 import S3
from support.vault import Vault, files_source, postgres_source, vault

pytestmark = pytest.mark.slow

POINTS = 32


def spread(count: int, most: int = POINTS) -> list[int]:
    """Return at most so many points from first to last, where the ends of a run are all among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(n * (count - 1) / (most - 1)) for n in range(most)})


def require_all_good(one: Vault, part: str, expected: bytes | None = None) -> list[str]:
    """Open every copy that looks good; return the ids."""
    found = one.catalog()
    for problem in found.problems:
        assert problem.kind == "incomplete", problem
    for taken in found.backups:
        for place in taken.where:
            plain = one.plain(taken, part, place)  # raises unless every hash is right
            assert expected is None or expected in plain
    return [taken.id for taken in found.backups]


def test_files_to_two_directories(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    content = os.urandom(3 << 20)
    (root / "file").write_bytes(content)
    one = vault(tmp_path, [files_source(root)], ["local", "second"], signed=True)
    (first,) = backup(one.settings).details["backups"]
    points = points_of(one.told)
    assert len(points) >= 30, points
    for point in range(len(points)):  # every single one
        assert killed_at(one.told, point), points[point]
        ids = require_all_good(one, "data.tar.zst.age", content)
        assert first["id"] in ids, points[point]
        assert (root / "file").read_bytes() == content
    assert backup(one.settings).details["backups"]


def test_a_database(tmp_path: Path, postgres: Server, database_dsn: str) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE big AS SELECT n, md5(n::text) t FROM generate_series(1, 100000) n")
    one = vault(tmp_path, [postgres_source(dsn, postgres.postgres.bin_dir)], ["local", "second"])
    name = one.told["sources"][0]["databases"][0]
    (first,) = backup(one.settings).details["backups"]
    points = points_of(one.told)
    for point in spread(len(points)):
        killed_at(one.told, point)  # two threads write: the last points may be reached in another number
        assert first["id"] in require_all_good(one, f"{name}.dump.zst.age"), points[point]
    require_no_sessions(dsn)
    assert backup(one.settings).details["backups"]


def test_files_to_a_bucket(tmp_path: Path, s3: S3) -> None:
    root = tmp_path / "data"
    root.mkdir()
    content = os.urandom(6 << 20)  # two parts
    (root / "file").write_bytes(content)
    one = vault(tmp_path, [files_source(root)], [])
    one.told["destinations"] = [s3.destination(part_mb=5)]
    (first,) = backup(one.settings).details["backups"]
    points = points_of(one.told)
    for point in spread(len(points), 14):  # which are all tried on directories
        assert killed_at(one.told, point), points[point]
        assert first["id"] in require_all_good(one, "data.tar.zst.age", content), points[point]


def require_no_sessions(dsn: str) -> None:
    """See that nobody of ours stays at the server: a killed backup must not hold its snapshot."""
    deadline = time.monotonic() + 120
    with psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            left = connection.execute(
                "SELECT application_name FROM pg_stat_activity WHERE application_name ~ 'backup|pg_dump'"
            ).fetchall()
            if not left:
                return
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
