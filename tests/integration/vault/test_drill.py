"""A drill restores a backup into a scratch server, looks at all of it, and leaves nothing but evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from courtkeeper.database import Connection
from courtkeeper.findings import Finding, Status
from courtkeeper.vault import tables
from courtkeeper.vault.backup import backup
from courtkeeper.vault.drill.run import drill
from courtkeeper.vault.manifest import Table
from support.drills import ROWS, drill_policy, fill, left
from support.postgres import Server
from support.vault import Vault, postgres_source, vault

pytestmark = pytest.mark.slow


@pytest.fixture
def filled(postgres: Server, database_dsn: str) -> str:
    """The owner's way to a database with rows of many types."""
    dsn = postgres.admin_dsn_for(database_dsn)
    fill(dsn)
    return dsn


@pytest.fixture
def one(tmp_path: Path, postgres: Server, filled: str) -> Vault:
    """A vault of one database and two directories."""
    source = postgres_source(filled, postgres.postgres.bin_dir, heartbeat=True)
    made = vault(tmp_path, [source], ["local", "second"])
    made.told["name"] = f"t{tmp_path.name[-20:]}".lower().replace("_", "-")
    return made


def by_id(findings: list[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding.id == name]


def test_the_newest_backup_is_proven(one: Vault) -> None:
    backup(one.settings)
    query = {
        "name": "text",
        "sql": "SELECT * FROM sample WHERE n = %(n)s",
        "parameters": {"n": "SELECT n FROM sample LIMIT 20"},
        "limit_ms": 10_000,
    }

    result = drill(one.settings, drill_policy(queries=[query]))

    assert {finding.status for finding in result.findings} == {Status.OK}, result.findings
    assert left(one.settings.name) == []
    (taken,) = one.catalog().backups
    assert taken.proven_at is not None
    assert result.metrics["proven_count"] == 1
    assert 0 < result.metrics["rto_s"] < 120
    assert 0 <= result.metrics["rpo_s"] < 120
    (contents,) = by_id(result.findings, "drill.contents")
    assert isinstance(contents.observed, int | float)
    assert contents.observed >= ROWS
    (name,) = [name for name in one.files("second") if "proof-" in name]
    evidence = json.loads((one.home / "second" / name).read_bytes())
    assert evidence["passed"]
    assert evidence["rpo_from"] == "heartbeat"
    assert {check["name"].split()[0] for check in evidence["checks"]} == {
        "restore", "globals", "contents", "amcheck", "query",
    }  # fmt: skip


def test_an_old_one_takes_its_turn(one: Vault) -> None:
    for _ in range(3):
        backup(one.settings)
    newest, middle, oldest = one.catalog().backups
    policy = drill_policy(amcheck=False)

    planned = drill(one.settings, policy, check_mode=True)
    assert [newest.id in planned.actions[0], oldest.id in planned.actions[1]] == [True, True]
    drill(one.settings, policy)
    drill(one.settings, policy)

    assert all(taken.proven_at for taken in one.catalog().backups)
    assert middle.proven_at is None


def test_a_backup_whose_rows_are_others_than_its_manifest_says_is_not_proven(
    one: Vault, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = tables.measured

    def wrong(connection: Connection, *more: Any) -> list[Table]:
        return [
            msgspec.structs.replace(table, checksum="1") if table.name == "sample" else table
            for table in right(connection, *more)
        ]

    with monkeypatch.context() as patched:
        patched.setattr(tables, "measured", wrong)
        backup(one.settings)

    result = drill(one.settings, drill_policy(amcheck=False))

    (contents,) = by_id(result.findings, "drill.contents")
    assert contents.status is Status.CRIT
    assert "public.sample has the 5000 rows, but with other contents" in contents.summary
    assert one.catalog().backups[0].proven_at is None
    assert left(one.settings.name) == []
