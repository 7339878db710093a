"""Verification: what is missing, old, shrunk, damaged, forged or sealed for others is named."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, Finding, Result, Status
from courtkeeper.platform.postgres import wheel_bin_dir
from courtkeeper.vault import catalog, keys
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.destinations.base import DestinationError
from courtkeeper.vault.destinations.directory import DirectoryDestination
from courtkeeper.vault.policy import VaultPolicy, VerifyPolicy, policy_from
from courtkeeper.vault.verify import verify
from support.backups import DAY, NOW, flip, hollow, sealed
from support.postgres import Server
from support.vault import Vault, files_source, vault

pytestmark = pytest.mark.slow

SOURCE = {"name": "database", "kind": "postgres", "bin_directory": str(wheel_bin_dir())}
HOUR = timedelta(hours=1)


@pytest.fixture
def two(tmp_path: Path) -> Vault:
    """A vault of two directories with three sealed backups in both, the newest an hour old."""
    made = vault(tmp_path, [SOURCE], ("local", "offsite"))
    for n in range(3):
        sealed(made.destinations, NOW - HOUR - n * DAY, made.public, number=n)
    return made


def run(
    made: Vault, *, now: datetime = NOW, backup_id: str = "", check: bool = False, **policy: Any
) -> Result:
    return verify(
        made.settings,
        VaultPolicy(verify=VerifyPolicy(**policy)),
        now=now,
        backup_id=backup_id,
        check=check,
    )


def of(result: Result, name: str, status: Status | None = None) -> list[Finding]:
    return [each for each in result.findings if each.id == name and status in (None, each.status)]


def bad(result: Result) -> dict[str, str]:
    """Ids and subjects of what is wrong, but of what these vaults are: unproven, and of this machine."""
    return {
        f"{each.id} {each.subject}": each.summary
        for each in result.findings
        if each.status in (Status.WARN, Status.CRIT, Status.UNKNOWN)
        and each.id not in ("vault.proven", "vault.copies")
        and not each.id.startswith("vault.directory.")
    }


def test_a_vault_that_is_well_is_read_whole_and_opened_and_nothing_is_changed(two: Vault) -> None:
    before = two.files("local")
    result = run(two)
    assert bad(result) == {}
    assert not result.changed
    assert two.files("local") == before
    # The newest of each destination, and one older whose turn it is.
    assert len(of(result, "vault.read", Status.OK)) == 4
    assert all("all hashes" in each.summary for each in of(result, "vault.read"))
    assert result.metrics["copies_read_whole"] == 4


def test_without_an_identity_only_sealed_hashes_are_compared_and_it_says_so(two: Vault) -> None:
    two.told["identity_file"] = ""
    result = run(two)
    assert all(
        "sealed hashes" in each.summary and "not opened" in each.summary for each in of(result, "vault.read")
    )
    assert {each.status for each in of(result, "vault.archive")} == {Status.SKIPPED}


def test_each_older_one_has_its_turn(two: Vault) -> None:
    read: set[str] = set()
    for day in range(2):
        result = run(two, now=NOW + day * HOUR)
        read |= {each.subject for each in of(result, "vault.read")}
    assert len(read) == 6


@pytest.mark.parametrize("at", ["local", "offsite"])
def test_one_flipped_bit_is_found_and_nobody_counts_on_that_copy_any_more(two: Vault, at: str) -> None:
    newest = two.catalog().backups[0]
    place = next(each for each in two.destinations if each.name == at)
    flip(place, newest.prefix + "globals.sql.zst.age")
    planned = run(two, check=True)
    assert catalog.DAMAGED not in " ".join(two.files(at))
    result = run(two)
    assert result.actions == planned.actions == [f"mark {newest.prefix.rstrip('/')} on {at} as damaged"]
    (finding,) = of(result, "vault.read", Status.CRIT)
    assert "damaged" in finding.summary
    assert finding.fix.startswith("restore from")
    assert two.catalog().backups[0].where == tuple({"local", "offsite"} - {at})
    assert "vault.damaged" in " ".join(bad(run(two)))
    # Mended: asked for by its id, it is read again, and good again.
    flip(place, newest.prefix + "globals.sql.zst.age")
    assert run(two, backup_id=newest.id).changed
    assert set(two.catalog().backups[0].where) == {"local", "offsite"}


def test_where_a_destination_takes_no_mark_none_is_said_to_be_made(
    two: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = two.catalog().backups[0]
    local = two.destinations[0]

    def refused(place: DirectoryDestination, key: str, *_: bytes) -> None:
        raise DestinationError(f"destination {place.name}: Read-only file system", "denied")

    def untouched(backup_id: str = "") -> None:
        result = run(two, backup_id=backup_id)
        assert (result.changed, result.actions) == (False, [])
        (finding,) = of(result, "vault.destination", Status.CRIT)
        assert "Read-only" in finding.summary

    flip(local, newest.prefix + "globals.sql.zst.age")
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryDestination, "put", refused)
        untouched()
    assert run(two).changed
    flip(local, newest.prefix + "globals.sql.zst.age")
    monkeypatch.setattr(DirectoryDestination, "delete", refused)
    untouched(newest.id)


def test_a_tampered_manifest_is_critical_and_its_good_copy_is_still_seen(two: Vault) -> None:
    newest = two.catalog().backups[0]
    flip(two.destinations[0], newest.prefix + manifests.NAME, 70)
    result = run(two)
    assert f"vault.manifest {newest.prefix.rstrip('/')} on local" in bad(result)
    assert of(result, "vault.fresh")[0].status is Status.OK
    assert of(result, "vault.fresh")[0].summary.endswith("on offsite.")


def test_a_manifest_forged_with_a_right_digest_is_refused_where_signers_are_told(tmp_path: Path) -> None:
    made = vault(tmp_path, [SOURCE], ("local",), signed=True)
    key = keys.signing_key(str(tmp_path / "signing.key"))
    sealed(made.destinations, NOW - HOUR, made.public, key=key)
    assert bad(run(made)) == {}
    sealed(made.destinations, NOW, made.public, number=1)
    assert list(bad(run(made))) == [f"vault.manifest nba/database/{NOW:%Y%m%dT%H%M%SZ}-00000001 on local"]


@pytest.mark.parametrize(("fault", "word"), [("missing", "is missing"), ("truncated", "bytes instead of")])
def test_a_missing_or_truncated_object_is_named(two: Vault, fault: str, word: str) -> None:
    newest = two.catalog().backups[0]
    part = Path(two.destinations[1].where, newest.prefix, "globals.sql.zst.age")
    if fault == "missing":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-5])
    result = run(two)
    assert word in bad(result)[f"vault.parts {newest.prefix.rstrip('/')} on offsite"]
    assert of(result, "vault.fresh")[0].status is Status.OK


def test_a_wrong_key_is_critical_and_sealed_hashes_are_compared_all_the_same(two: Vault) -> None:
    other = two.home / "other.txt"
    keys.new_identity(other)
    two.told["identity_file"] = str(other)
    result = run(two)
    assert {each.status for each in of(result, "vault.archive")} == {Status.CRIT}
    assert all("sealed hashes" in each.summary for each in of(result, "vault.read"))


def test_an_identity_that_cannot_be_used_hides_no_missing_backup(two: Vault) -> None:
    two.identity_file.chmod(0o644)
    result = run(two, now=NOW + 3 * DAY)
    assert "chmod 600" in of(result, "vault.identity", Status.CRIT)[0].summary
    assert of(result, "vault.fresh", Status.CRIT)
    two.identity_file.unlink()
    assert of(run(two), "vault.identity", Status.WARN)
    assert all("sealed hashes" in each.summary for each in of(run(two), "vault.read"))


def test_a_destination_that_is_away_is_named_and_the_other_is_read(two: Vault) -> None:
    Path(two.destinations[0].where).rename(two.home / "away")
    result = run(two)
    assert [each.subject for each in of(result, "vault.destination", Status.CRIT)] == ["local"]
    assert [each.subject for each in of(result, "vault.destination", Status.OK)] == ["offsite"]
    assert len(of(result, "vault.read", Status.OK)) == 2
    assert of(result, "vault.fresh")[0].status is Status.OK


def test_where_no_destination_answers_nothing_is_said_to_be_well(two: Vault) -> None:
    for each in two.destinations:
        Path(each.where).rename(two.home / f"away-{each.name}")
    result = run(two)
    assert of(result, "vault.fresh")[0].status is Status.UNKNOWN
    assert len(of(result, "vault.destination", Status.CRIT)) == 2


def test_a_backup_that_is_missing_is_an_alert_for_each_declared_source(two: Vault) -> None:
    two.told["sources"] = [SOURCE, files_source(Path("/etc"))]
    result = run(two, now=NOW + DAY + 2 * HOUR)
    crit = {each.subject: each.summary for each in of(result, "vault.fresh", Status.CRIT)}
    assert crit == {
        "nba/database": "A backup is missing: the newest is 27 hours old.",
        "nba/config": "There is no backup of it.",
    }
    assert (
        of(run(two, now=NOW + DAY + 2 * HOUR, fresh={"database": 30}), "vault.fresh")[0].status is Status.OK
    )


def test_a_destination_that_lags_behind_is_named(two: Vault) -> None:
    newest = two.catalog().backups[0]
    shutil.rmtree(Path(two.destinations[1].where, newest.prefix))
    result = run(two, now=NOW + 3 * HOUR)
    assert list(bad(result)) == ["vault.copy nba/database on offsite"]


def test_a_clock_that_stands_in_the_past_is_named(two: Vault) -> None:
    result = run(two, now=datetime(2020, 1, 1, tzinfo=UTC))
    assert "vault.clock nba" in bad(result)
    assert of(result, "vault.fresh")[0].status is Status.CRIT


def test_a_backup_of_the_future_does_not_hide_that_one_is_missing(two: Vault) -> None:
    sealed(two.destinations, NOW + 900 * DAY, two.public, number=9)
    result = run(two, now=NOW + 3 * DAY)
    assert {"vault.clock nba", "vault.fresh nba/database"} <= bad(result).keys()


def test_a_dump_that_shrank_by_thirty_percent_is_a_finding(tmp_path: Path) -> None:
    made = vault(tmp_path, [SOURCE])
    for n, size in enumerate([1_000_000, 1_010_000, 990_000, 1_000_000]):
        hollow(made.destinations, NOW - (n + 1) * DAY, number=n, plain_size=size)
    hollow(made.destinations, NOW - HOUR, number=9, plain_size=710_000)
    assert of(run(made, read_mb=0, older=0), "vault.trend")[0].status is Status.OK
    hollow(made.destinations, NOW, number=10, plain_size=700_000)
    (finding,) = of(run(made, read_mb=0, older=0), "vault.trend", Status.WARN)
    assert finding.summary == "It is 30% smaller than usual: 700.0 kB instead of 1.0 MB."
    hollow(made.destinations, NOW, number=11, plain_size=5_000_000)
    assert "times as large" in of(run(made, read_mb=0, older=0), "vault.trend", Status.WARN)[0].summary


def test_a_table_that_is_gone_since_the_backup_before_is_a_finding(tmp_path: Path) -> None:
    made = vault(tmp_path, [SOURCE])
    hollow(made.destinations, NOW - DAY, tables=["games", "players"])
    hollow(made.destinations, NOW - HOUR, tables=["games"], number=1)
    (finding,) = of(run(made, read_mb=0, older=0), "vault.trend", Status.WARN)
    assert "nba: public.players" in finding.summary


def test_what_the_budget_does_not_reach_is_read_in_part_and_said_so(two: Vault) -> None:
    result = run(two, read_mb=0)
    assert all("in part" in each.summary for each in of(result, "vault.read", Status.OK))
    assert result.metrics["copies_read_whole"] == 0
    newest = two.catalog().backups[0]
    flip(two.destinations[0], newest.prefix + "globals.sql.zst.age", 3)
    assert "no file sealed by age" in " ".join(bad(run(two, read_mb=0)).values())


# --- Archives


def archive(made: Vault, content: bytes, kind: str, name: str, **more: Any) -> Result:
    sealed(made.destinations, NOW, made.public, content=content, kind=kind, name=name, **more)
    return run(made)


def test_a_dump_is_listed_through_the_pipe(tmp_path: Path, postgres: Server) -> None:
    made = vault(tmp_path, [SOURCE])
    dump = subprocess.run(
        [wheel_bin_dir() / "pg_dump", "-Fc", "-Z0", "--dbname", postgres.admin_dsn],
        capture_output=True,
        check=True,
    ).stdout
    tables = [manifests.Table(schema="public", name="games"), manifests.Table(schema="public", name="events")]
    result = archive(made, dump, "pg_dump", "nba.dump.zst.age", database="nba", tables=tables[:1])
    assert bad(result) == {}
    assert "entries listed" in of(result, "vault.read")[0].summary
    assert " 0 entries" not in of(result, "vault.read")[0].summary

    unknown = [*tables[:1], manifests.Table(schema="public", name="gone")]
    result = archive(made, dump, "pg_dump", "nba.dump.zst.age", database="nba", tables=unknown, number=1)
    assert "public.gone" in of(result, "vault.archive", Status.CRIT)[0].summary
    result = archive(made, b"not a dump" * 99, "pg_dump", "nba.dump.zst.age", number=2)
    assert "pg_restore cannot list it" in of(result, "vault.archive", Status.CRIT)[0].summary


def test_where_pg_restore_is_not_installed_the_hashes_are_compared_and_the_listing_is_skipped(
    tmp_path: Path,
) -> None:
    made = vault(tmp_path, [{**SOURCE, "bin_directory": str(tmp_path)}])
    result = archive(made, b"PGDMP", "pg_dump", "nba.dump.zst.age")
    assert of(result, "vault.archive")[0].status is Status.SKIPPED
    assert "all hashes" in of(result, "vault.read")[0].summary


@pytest.mark.parametrize(
    ("script", "word"), [("kill -9 $$", "killed by signal 9"), ("exit 3", "ended with 3 and said nothing")]
)
def test_a_listing_that_was_broken_off_says_nothing_of_the_archive(
    tmp_path: Path, script: str, word: str
) -> None:
    program = tmp_path / "pg_restore"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    made = vault(tmp_path, [{**SOURCE, "bin_directory": str(tmp_path)}])
    result = archive(made, b"PGDMP", "pg_dump", "nba.dump.zst.age")
    (finding,) = of(result, "vault.archive")
    assert finding.status is Status.SKIPPED
    assert word in finding.summary
    assert "all hashes" in of(result, "vault.read")[0].summary


def test_a_dump_is_listed_without_room_for_temporary_files(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = vault(tmp_path, [SOURCE])
    dump = subprocess.run(
        [wheel_bin_dir() / "pg_dump", "-Fc", "-Z0", "--dbname", postgres.admin_dsn],
        capture_output=True,
        check=True,
    ).stdout
    monkeypatch.setattr(tempfile, "tempdir", "/dev/full")
    result = archive(made, dump, "pg_dump", "nba.dump.zst.age", database="nba")
    assert bad(result) == {}
    assert "entries listed" in of(result, "vault.read")[0].summary


def tar(files: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for n in range(files):
            facts = tarfile.TarInfo(f"etc/{n}")
            facts.size = 5
            made.addfile(facts, io.BytesIO(b"hello"))
    return stream.getvalue()


RDB = b"REDIS0012" + b"\xfa\x09redis-ver\x057.0.15" + b"\xff" + b"\x00" * 8


@pytest.mark.parametrize(
    ("content", "kind", "name", "more", "wrong"),
    [
        (tar(300), "tar", "files.tar.zst.age", {"files": 300}, ""),
        (tar(3), "tar", "files.tar.zst.age", {"files": 4}, "3 entries"),
        (b"no tar" * 999, "tar", "files.tar.zst.age", {"files": 4}, "cannot list"),
        (RDB, "redis_rdb", "dump.rdb.zst.age", {"keys": {"0": 7}}, ""),
        (RDB[:-9], "redis_rdb", "dump.rdb.zst.age", {}, "does not end as an RDB"),
        (b"hello", "redis_rdb", "dump.rdb.zst.age", {}, "does not begin as an RDB"),
        (
            b"-- PostgreSQL database cluster dump\n",
            "pg_globals",
            "globals.sql.zst.age",
            {},
            "not begin and end",
        ),
    ],
)
def test_every_kind_of_archive_is_looked_into(
    tmp_path: Path, content: bytes, kind: str, name: str, more: dict[str, Any], wrong: str
) -> None:
    result = archive(vault(tmp_path, [SOURCE]), content, kind, name, **more)
    found = of(result, "vault.archive", Status.CRIT)
    assert (wrong in found[0].summary) if wrong else found == []
    assert len(of(result, "vault.read", Status.OK)) == 1


# --- The policy


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"retention": {"daily": 0, "weekly": 0, "monthly": 0}}, "policy.retention.daily"),
        ({"retention": {"dayly": 3}}, "policy.retention"),
        ({"verify": {"shrunk": 30}}, "policy.verify.shrunk"),
        ({"verify": {"fresh": {"database": 0}}}, "policy.verify.fresh.database"),
        ({"leftovers_hours": 0}, "policy.leftovers_hours"),
        ({"retention": {"window_days": 7}}, "points in time"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_key(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        policy_from(given)


def test_numbers_may_come_as_templates_give_them() -> None:
    assert policy_from({"retention": {"daily": "7"}, "verify": {"fresh_hours": "30"}}).retention.daily == 7
