"""Debian's Postgres 15, with its own programs and with newer ones: backed up, restored, drilled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.vault.backup import backup
from courtkeeper.vault.drill.run import drill
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from support.clusters import Cluster, bin_dirs, cluster
from support.drills import ROWS, drill_policy, fill
from support.vault import Vault, postgres_source, vault

OLD, NEW = 15, 17
TABLE = "public.sample"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(OLD not in bin_dirs(), reason="Postgres 15 is not installed here"),
]


@pytest.fixture(scope="module")
def fifteen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server of version 15 with a database `nba`."""
    with cluster(tmp_path_factory.mktemp("fifteen"), bin_dir=bin_dirs()[OLD]) as server:
        with server.admin() as connection:
            connection.execute("CREATE DATABASE nba")
        fill(server.dsn("nba"))
        yield server


def of(tmp_path: Path, server: Cluster, programs: Path) -> Vault:
    """A vault of that server."""
    made = vault(tmp_path, [postgres_source(server.dsn("nba"), programs)])
    made.told["name"] = f"v{tmp_path.name[-20:]}".lower().replace("_", "-")
    return made


def ended(server: Cluster) -> None:
    """Wait until the sessions of this test are over: a server notes that a little later."""
    with server.admin() as connection:
        for _ in range(1200):
            if not connection.execute("SELECT FROM pg_stat_activity WHERE datname = 'nba'").fetchall():
                return
            connection.execute("SELECT pg_sleep(0.1)")
    pytest.fail("sessions in nba do not end")


def rows(server: Cluster) -> int:
    with server.admin("nba") as connection:
        found = connection.execute("SELECT count(*) FROM sample").fetchone()
        assert found
        return int(found[0])


@pytest.mark.parametrize("version", [OLD, NEW])
def test_it_comes_back(tmp_path: Path, fifteen: Cluster, version: int) -> None:
    one = of(tmp_path, fifteen, bin_dirs()[version])
    result = backup(one.settings)
    assert {finding.status for finding in result.findings} == {Status.OK}
    (taken,) = one.catalog().backups
    assert taken.manifest.server["version"].startswith(f"{OLD}.")
    assert taken.manifest.software["pg_dump"].startswith(f"{version}.")

    for more in (
        {"database": "nba", "replace": ["nba"]},
        {"table": TABLE, "replace": [TABLE]},
    ):
        with fifteen.admin("nba") as connection:
            connection.execute('DELETE FROM "odd Name"; DELETE FROM sample WHERE n > 10')
        ended(fifteen)
        done = restore(one.settings, request_from({"source": "database", **more}))
        assert rows(fifteen) == ROWS
        statuses = {finding.id: finding.status for finding in done.findings}
        assert statuses["restore.contents"] is Status.OK

    if version != OLD:  # a scratch server of theirs need not take what an older one of a later day has
        return
    proven = drill(one.settings, drill_policy(bin_directory=str(bin_dirs()[version])))
    assert [each.summary for each in proven.findings if each.status is not Status.OK] == []
    assert one.catalog().backups[0].proven_at


def test_what_cannot_be_is_said_before_anything_is_done(tmp_path: Path, fifteen: Cluster) -> None:
    newer = of(tmp_path, fifteen, bin_dirs()[NEW])
    backup(newer.settings)
    newer.told["sources"][0]["bin_directory"] = str(bin_dirs()[OLD])
    with pytest.raises(ConfigurationError, match=f"made by pg_dump {NEW}, and pg_restore is of {OLD}"):
        restore(newer.settings, request_from({"source": "database", "beside": True}))
    with psycopg.connect(fifteen.dsn()) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'nba_%'").fetchall()
    assert not [name for (name,) in found if "restored" in name]


def test_older_programs_are_refused_by_name(tmp_path: Path) -> None:
    with cluster(tmp_path / "new", bin_dir=bin_dirs()[NEW]) as server:
        one = vault(tmp_path, [postgres_source(server.dsn(), bin_dirs()[OLD], databases=["postgres"])])
        with pytest.raises(CourtkeeperError, match=f"the server is Postgres {NEW} and pg_dump is of {OLD}"):
            backup(one.settings)
        assert one.catalog().backups == ()
