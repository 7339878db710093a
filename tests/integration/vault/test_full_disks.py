"""Disks that are full where something is restored: nothing of it stays, and what is in use is as it was."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.platform.valkey import server_program
from courtkeeper.vault.backup import backup
from courtkeeper.vault.drill.run import drill
from courtkeeper.vault.restore import asides
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from support.clusters import cluster
from support.drills import drill_policy, left
from support.postgres import Server
from support.valkey import valkey_server
from support.vault import files_source, postgres_source, vault

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk of that size; skip where it cannot be."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", place], check=False
    )
    if done.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_database_that_does_not_fit_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"max_wal_size": "32MB", "min_wal_size": "32MB", "wal_level": "replica"}
    with tempfile.TemporaryDirectory() as directory, small_disk(Path(directory, "d"), "190m") as disk:
        Path(directory).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with cluster(tmp_path / "cluster", settings) as server:
            monkeypatch.setattr(tempfile, "tempdir", None)
            with server.admin() as connection:
                connection.execute("CREATE DATABASE nba")
            with server.admin("nba") as connection:
                connection.execute(
                    "CREATE TABLE sample AS SELECT n, repeat(md5(n::text), 30) AS t "
                    "FROM generate_series(1, 60000) n"
                )
                connection.execute("CHECKPOINT")
            one = vault(tmp_path, [postgres_source(server.dsn("nba"), server.postgres.bin_dir)])
            backup(one.settings)

            with pytest.raises(CourtkeeperError, match="make room, or restore elsewhere"):
                restore(one.settings, request_from({"source": "database", "beside": True}))

            with server.admin("nba") as connection:
                assert connection.execute("SELECT count(*) FROM sample").fetchone() == (60000,)
                names = connection.execute(
                    "SELECT datname FROM pg_database WHERE datname LIKE 'nba%'"
                ).fetchall()
                assert names == [("nba",)]


def test_a_former_cache_that_does_not_fit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk, valkey_server(tmp_path) as server:
        keys = redis.Redis(server.host, server.port, password=server.password)
        keys.config_set("repl-diskless-sync-delay", 0)
        keys.set("then", "1")
        place = {"host": server.host, "port": server.port, "password": server.password}
        one = vault(tmp_path, [{"name": "cache", "kind": "redis", **place}])
        one.told["state_directory"] = str(disk)
        one.told["policy"] = {"drill": {"server_program": str(server_program())}}
        backup(one.settings)
        keys.set("now", os.urandom(3 << 20))
        with pytest.raises(RestoreError, match=r"cannot be kept as .*No space left.* nothing was changed"):
            restore(one.settings, request_from({"source": "cache", "replace": ["cache"]}))
        assert (keys.info("replication")["role"], keys.exists("now")) == ("master", 1)
        assert [path.name for path in disk.iterdir() if path.name.endswith((".rdb", ".copying"))] == []
        assert asides.noted(one.settings) == []


def test_a_tree_that_does_not_fit_beside(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "3m") as disk:
        (disk / "app").mkdir()
        (disk / "app" / "large").write_bytes(os.urandom(2 << 20))
        one = vault(tmp_path, [files_source(disk / "app")])
        backup(one.settings)
        request = request_from({"source": "config", "replace": [str(disk / "app")]})
        with pytest.raises(CourtkeeperError, match="No space left"):
            restore(one.settings, request)
        assert [path.name for path in disk.iterdir()] == ["app"]
        assert (disk / "app" / "large").stat().st_size == 2 << 20
        assert asides.noted(one.settings) == []


@pytest.mark.parametrize("size", ["20m", "64m"])
def test_a_drill_that_does_not_fit(tmp_path: Path, postgres: Server, database_dsn: str, size: str) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    with tempfile.TemporaryDirectory() as directory, small_disk(Path(directory, "d"), size) as disk:
        Path(directory).chmod(0o755)
        disk.chmod(0o1777)
        one = vault(tmp_path, [postgres_source(dsn, postgres.postgres.bin_dir)])
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE large AS SELECT repeat(md5(n::text), 30) AS t FROM generate_series(1, 40000) n"
            )
        backup(one.settings)
        result = drill(one.settings, drill_policy(disk))
        (finding,) = result.findings
        assert (finding.id, finding.status) == ("drill.restore", Status.CRIT)
        assert one.catalog().backups[0].proven_at is None
        assert left("nba", disk) == []


@pytest.mark.parametrize("size", ["4k", "1m,nr_inodes=3"])
def test_a_drill_without_room_for_anything(
    tmp_path: Path, postgres: Server, database_dsn: str, size: str
) -> None:
    """What fills the disk leaves room for a directory, and there for no lock or no password."""
    dsn = postgres.admin_dsn_for(database_dsn)
    with tempfile.TemporaryDirectory() as directory, small_disk(Path(directory, "d"), size) as disk:
        Path(directory).chmod(0o755)
        disk.chmod(0o1777)
        (disk / "filler").write_bytes(b"x" * 4096)
        (tmp_path / "app").write_bytes(b"x")
        one = vault(
            tmp_path, [postgres_source(dsn, postgres.postgres.bin_dir), files_source(tmp_path / "app")]
        )
        backup(one.settings)
        result = drill(one.settings, drill_policy(disk))
        assert [each.id for each in result.findings] == ["drill.restore"] * 2
        assert all("No space left" in each.summary for each in result.findings)
        assert {each.status for each in result.findings} == {Status.CRIT}
        assert left("nba", disk) == []
