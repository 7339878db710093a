"""Faults of disks, clocks, keys, manifests and neighbours: what is left is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.vault import keys
from courtkeeper.vault.backup import BusyError, backup
from courtkeeper.vault.pgbackrest import state as states
from courtkeeper.vault.pgbackrest.settings import stanza_from
from courtkeeper.vault.settings import vault_from
from courtkeeper.vault.sources import programs
from courtkeeper.vault.unseal import DamagedError, WrongKeyError, unseal
from support.postgres import Server
from support.vault import Vault, files_source, postgres_source, vault

pytestmark = pytest.mark.slow

PART = "data.tar.zst.age"


@pytest.fixture
def one(tmp_path: Path) -> Vault:
    """A vault of 6 MB that nothing compresses, on two directories."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(6 << 20))
    return vault(tmp_path, [files_source(root)], ["local", "second"])


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    directory.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("a small disk needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_destination_is_named_and_hides_no_other(one: Vault) -> None:
    with small_disk(one.home / "second", "3m"):
        result = backup(one.settings)
        (taken,) = one.catalog().backups
        assert taken.where == ("local",)
        assert one.plain(taken, PART)
        (failed,) = [finding for finding in result.findings if finding.status is Status.CRIT]
        assert "second" in failed.summary
        assert "make room" in failed.summary
        assert [name for name in one.files("second") if "manifest" in name] == []


def test_every_destination_full_leaves_nothing(one: Vault) -> None:
    one.told["destinations"].pop(0)
    with small_disk(one.home / "second", "3m"):
        with pytest.raises(CourtkeeperError, match="make room"):
            backup(one.settings)
        assert one.files("second") == []
        assert os.statvfs(one.home / "second").f_bavail * 4096 > 2 << 20, "what did not fit was left"


def test_a_full_disk_at_the_source_does_not_matter(one: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(one.home / "full", "2m"):
        content = os.urandom((2 << 20) - 8192)
        (one.home / "full" / "file").write_bytes(content)
        (one.home / "full" / "rest").write_bytes(b"")
        monkeypatch.setenv("TMPDIR", str(one.home / "full"))
        one.told["sources"] = [files_source(one.home / "full")]
        backup(one.settings)
        (taken,) = one.catalog().backups
        assert content in one.plain(taken, PART)


def test_two_at_once(one: Vault) -> None:
    second: list[BaseException] = []

    def again(step: str) -> None:
        if step.startswith("part:"):
            with pytest.raises(BusyError, match=r"another .* is at work") as raised:
                backup(one.settings)
            second.append(raised.value)

    backup(one.settings, trace=again)
    assert second
    assert len(one.catalog().backups) == 1
    backup(one.settings)
    assert len(one.catalog().backups) == 2


def test_a_lock_that_cannot_be_opened_is_named(one: Vault) -> None:
    """As where the first backup was another user's, which root in a test would not notice."""
    Path(one.settings.state_directory, "nba.lock").mkdir()
    with pytest.raises(ConfigurationError, match=r"nba\.lock cannot be opened .*mend state_directory"):
        backup(one.settings)
    stanza = stanza_from({"name": "nba", "state_directory": one.told["state_directory"]})
    with pytest.raises(ConfigurationError, match=r"nba\.lock cannot be opened"), states.alone(stanza):
        pass


def test_two_at_once_from_two_hosts(one: Vault) -> None:
    """Without a lock in common they share nothing but the destination."""
    told = [dict(one.told, state_directory=str(one.home / f"state-{number}")) for number in (1, 2)]
    threads = [threading.Thread(target=backup, args=(vault_from(each),)) for each in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    taken = one.catalog()
    assert not taken.problems
    assert [backup.where for backup in taken.backups] == [("local", "second")] * 2
    assert all(one.plain(backup, PART, place) for backup in taken.backups for place in backup.where)


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)])
def test_a_clock_that_jumps_is_named(one: Vault, jump: timedelta) -> None:
    times = iter([datetime(2026, 3, 1, tzinfo=UTC), *[datetime(2026, 3, 1, tzinfo=UTC) + jump] * 9])
    result = backup(one.settings, now=lambda: next(times))
    assert [finding.status for finding in result.findings if finding.id == "vault.clock.jumped"] == [
        Status.WARN
    ]
    (taken,) = one.catalog().backups
    assert taken.manifest.duration_s < 60
    assert one.plain(taken, PART)


def test_a_tampered_manifest_is_refused_by_name(one: Vault) -> None:
    backup(one.settings)
    (taken,) = one.catalog().backups
    path = one.home / "local" / taken.prefix / "manifest.json"
    told = json.loads(path.read_text())
    told["manifest"]["parts"][0]["plain_sha256"] = "0" * 64
    path.write_text(json.dumps(told, sort_keys=True, separators=(",", ":")))
    found = one.catalog()
    assert found.backups[0].where == ("second",)
    (problem,) = found.problems
    assert (problem.destination, problem.kind) == ("local", "manifest")
    assert "was changed after it was written" in problem.sentence
    assert taken.prefix in problem.sentence


def test_a_forged_manifest_is_refused_where_signers_are_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    one = vault(tmp_path, [files_source(tmp_path / "file")], signed=True)
    backup(one.settings)
    assert len(one.catalog().backups) == 1
    forged = vault(tmp_path / "forger", [files_source(tmp_path / "file")], signed=True)
    forged.told["destinations"] = one.told["destinations"]
    backup(forged.settings)
    unsigned = dict(forged.told, signing_key_file="", signers=[], state_directory=str(tmp_path / "third"))
    backup(vault_from(unsigned))
    found = one.catalog()
    assert len(found.backups) == 1
    assert sorted(problem.kind for problem in found.problems) == ["manifest", "manifest"]
    assert any("not signed" in problem.sentence for problem in found.problems)
    assert any("not among signers" in problem.sentence for problem in found.problems)


def test_a_wrong_key_opens_nothing_and_is_named(one: Vault, tmp_path: Path) -> None:
    backup(one.settings)
    (taken,) = one.catalog().backups
    keys.new_identity(tmp_path / "other.txt")
    one.identity_file = tmp_path / "other.txt"
    with pytest.raises(WrongKeyError, match="sealed for other recipients"):
        one.plain(taken, PART)


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "swap"])
def test_a_damaged_part_is_named(one: Vault, damage: str) -> None:
    backup(one.settings)
    backup(one.settings)
    newer, older = one.catalog().backups
    path = one.home / "local" / newer.prefix / PART
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[-70_000:]
    elif damage == "grow":
        content += b"more"
    else:
        content = bytearray((one.home / "local" / older.prefix / PART).read_bytes())
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=newer.id):
        one.plain(newer, PART, "local")
    assert one.plain(newer, PART, "second")


def test_plain_bytes_other_than_the_manifests_are_refused(one: Vault) -> None:
    """Sealed as they were written: a manifest that is of other bytes is found out by what they open to."""
    backup(one.settings)
    (taken,) = one.catalog().backups
    part = msgspec.structs.replace(taken.manifest.part(PART), plain_sha256="0" * 64)
    opening = keys.identities(str(one.identity_file))
    with pytest.raises(DamagedError, match="its SHA-256 is another"):
        unseal(one.destinations[0], taken.prefix, part, opening, lambda _: None)


def test_a_table_dropped_during_the_dump(tmp_path: Path, postgres: Server, database_dsn: str) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    source = postgres_source(dsn, postgres.postgres.bin_dir, globals=False)
    one = vault(tmp_path, [source])
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE doomed AS SELECT 1 x; CREATE TABLE stays AS SELECT 2 y")
    again: list[str] = []
    with psycopg.connect(dsn) as dropper:
        dropper.execute("LOCK TABLE doomed IN ACCESS EXCLUSIVE MODE")  # the dump will wait for it
        watching = threading.Thread(target=drop_when_waited_for, args=(dsn, dropper))
        watching.start()
        result = backup(one.settings, trace=lambda step: again.append(step) if "again" in step else None)
        watching.join(120)
    assert again, "the dump was not disturbed"
    assert {finding.status for finding in result.findings} == {Status.OK}
    (taken,) = one.catalog().backups
    names = {table.qualified for table in taken.manifest.parts[0].tables}
    assert "public.stays" in names
    assert "public.doomed" not in names
    assert one.plain(taken, taken.manifest.parts[0].name).count(b"doomed") == 0


def test_rows_written_during_the_dump_are_neither_dumped_nor_counted(
    tmp_path: Path, postgres: Server, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    one = vault(tmp_path, [postgres_source(dsn, postgres.postgres.bin_dir, globals=False)])
    with psycopg.connect(dsn, autocommit=True) as writer:
        writer.execute("CREATE TABLE lively AS SELECT 'early' AS word")
        stream = programs.stream

        def late(*arguments: Any) -> None:
            writer.execute("INSERT INTO lively VALUES ('late-word')")
            stream(*arguments)

        monkeypatch.setattr(programs, "stream", late)
        backup(one.settings)
    (taken,) = one.catalog().backups
    (part,) = taken.manifest.parts
    assert [table.rows for table in part.tables if table.qualified == "public.lively"] == [1]
    assert b"early" in one.plain(taken, part.name)
    assert b"late-word" not in one.plain(taken, part.name)


def drop_when_waited_for(dsn: str, dropper: psycopg.Connection[tuple[object, ...]]) -> None:
    with psycopg.connect(dsn, autocommit=True) as watcher:
        for _ in range(600):
            row = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'pg_dump|backup' "
                "AND wait_event_type = 'Lock' AND query ~* 'lock table'"
            ).fetchone()
            if row and row[0]:
                break
            threading.Event().wait(0.05)
    dropper.execute("DROP TABLE doomed")
    dropper.commit()


def test_secrets_are_nowhere(tmp_path: Path, postgres: Server, database_dsn: str) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE wide AS SELECT n, md5(n::text) t FROM generate_series(1, 60000) n")
    one = vault(tmp_path, [postgres_source(dsn, postgres.postgres.bin_dir)])
    one.told["pace"] = {"rate_mb_s": 2}
    script = (
        "import json, sys; from courtkeeper.vault.backup import backup;"
        "from courtkeeper.vault.settings import vault_from; settings = vault_from(json.load(sys.stdin));"
        "print(settings); print(json.dumps(backup(settings).to_builtins()))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    process.stdin.write(json.dumps(one.told))
    process.stdin.close()
    seen: set[str] = set()
    while process.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    said = process.stdout.read()
    assert process.returncode == 0, said
    password = one.told["sources"][0]["password"]
    assert any("pg_dump" in line and str(postgres.port) in line for line in seen)
    assert not [line for line in seen if password in line]
    assert password not in said
    identity = one.identity_file.read_text().splitlines()[1]
    assert identity not in said
    (taken,) = one.catalog().backups
    manifest = (one.home / "local" / taken.prefix / "manifest.json").read_text()
    assert password not in manifest


def test_a_dump_that_is_killed_leaves_no_backup(tmp_path: Path, postgres: Server, database_dsn: str) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE wide AS SELECT n, md5(n::text) t FROM generate_series(1, 100000) n")
    one = vault(tmp_path, [postgres_source(dsn, postgres.postgres.bin_dir, globals=False)])
    one.told["pace"] = {"rate_mb_s": 2, "attempts": 1}
    killed: list[int] = []

    def kill(step: str) -> None:
        if step.startswith("bytes:") and not killed:
            with psycopg.connect(dsn, autocommit=True) as connection:
                killed.append(
                    len(
                        connection.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE application_name ~ 'pg_dump|courtkeeper backup'"
                        ).fetchall()
                    )
                )

    with pytest.raises(CourtkeeperError, match="database could not be backed up"):
        backup(one.settings, trace=kill)
    assert killed
    assert one.files("local") == []
    assert one.catalog().backups == ()
