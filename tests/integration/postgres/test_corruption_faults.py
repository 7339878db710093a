"""Damage in a real cluster's files: the relation that has it is named, and nothing else is blamed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.corruption import pieces
from courtkeeper.postgres.integrity import integrity
from courtkeeper.postgres.settings import IntegritySettings
from support.damage import file_of, flip, last_tuple, set_checksums, stopped
from support.findings import only
from support.postgres import Server, drop_database, fresh_database, postgres_server

pytestmark = pytest.mark.slow

CHECK = "corruption.amcheck"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of our own: it is stopped and damaged. Nothing but the tests touches its pages."""
    with postgres_server(tmp_path_factory.mktemp("damaged"), {"autovacuum": "off"}) as made:
        yield made


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """A database with a table of a few pages, an index beside its key, and long values."""
    name = fresh_database(server)
    dsn = server.admin_dsn_for(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE shots (id int PRIMARY KEY, minute int, note text)")
        connection.execute("ALTER TABLE shots ALTER note SET STORAGE EXTERNAL")
        connection.execute(
            "INSERT INTO shots SELECT i, i % 48, CASE WHEN i % 500 = 0 THEN repeat(i::text, 2000) END"
            " FROM generate_series(1, 5000) i"
        )
        connection.execute("CREATE INDEX shots_minute ON shots (minute)")
        connection.execute("VACUUM ANALYZE shots")
    yield dsn
    drop_database(server, name)


def checked(dsn: str, **told: Any) -> list[Finding]:
    """What the check finds."""
    told.setdefault("jobs", 2)
    settings = DatabaseSettings.from_dsn(dsn)
    return integrity(settings, choose(names=[CHECK]), IntegritySettings(**told)).findings


def critical(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status is Status.CRIT]


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def no_checksums(server: Server) -> Iterator[None]:
    """The cluster without checksums for one test: only amcheck's own rules can see damage."""
    with stopped(server):
        set_checksums(server, enabled=False)
    yield
    with stopped(server):
        set_checksums(server, enabled=True)


def test_a_sound_database_is_read_whole(dsn: str) -> None:
    finding = only(checked(dsn))
    assert finding.status is Status.OK
    with psycopg.connect(dsn) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 't', 'm') OR relkind = 'i' "
            "AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree')"
        ).fetchone()
    assert finding.observed == count


def test_a_flipped_byte_in_a_heap_page_fails_its_checksum(server: Server, dsn: str) -> None:
    path = file_of(server, dsn, "shots")
    with stopped(server):
        flip(path, 7, 4000)
    findings = checked(dsn)
    finding = only(critical(findings))
    assert finding.subject == "public.shots"
    assert "The table public.shots is damaged in block 7: invalid page in block 7" in finding.summary
    assert "ctid >= '(7,0)'" in finding.fix
    assert "backup" in finding.fix
    # Its indexes could not be compared with it: that is said, and is no damage of theirs.
    hidden = only([finding for finding in findings if finding.status is not Status.CRIT])
    assert hidden.status is Status.SKIPPED
    assert "shots_minute" in hidden.summary
    with stopped(server):
        flip(path, 7, 4000)  # the sound page, as from a backup
    assert only(checked(dsn)).status is Status.OK


@pytest.mark.usefixtures("no_checksums")
def test_a_flipped_byte_in_a_heap_page_without_checksums(server: Server, dsn: str) -> None:
    path = file_of(server, dsn, "shots")
    with stopped(server):
        sound = path.read_bytes()
        flip(path, 3, 24, 0x01)  # where the first tuple begins
    (finding, *others) = critical(checked(dsn))
    assert finding.subject == "public.shots"
    assert "in block 3" in finding.summary
    assert "not maximally aligned" in finding.summary
    # An index built again now would be built from a damaged table.
    assert all("only when public.shots is mended" in other.fix for other in others)
    with stopped(server):
        path.write_bytes(sound)  # not the byte alone: reading a damaged row sets hint bits in wrong places
    assert only(checked(dsn)).status is Status.OK


def test_a_flipped_byte_in_a_btree_page_fails_its_checksum(server: Server, dsn: str) -> None:
    path = file_of(server, dsn, "shots_minute")
    with stopped(server):
        flip(path, 1, 5000)
    finding = only(checked(dsn))
    assert finding.status is Status.CRIT
    assert finding.subject == "public.shots_minute"
    assert "The index public.shots_minute of public.shots is damaged in block 1" in finding.summary
    assert finding.fix == "REINDEX INDEX CONCURRENTLY public.shots_minute;"
    execute(dsn, finding.fix)
    assert only(checked(dsn)).status is Status.OK


@pytest.mark.usefixtures("no_checksums")
def test_a_flipped_byte_in_a_btree_key_without_checksums(server: Server, dsn: str) -> None:
    path = file_of(server, dsn, "shots_pkey")
    with stopped(server):
        flip(path, 1, last_tuple(path, 1) + 8 + 3, 0x40)  # behind the tuple's header, a high byte of the key
    finding = only(checked(dsn))
    assert finding.status is Status.CRIT
    assert finding.subject == "public.shots_pkey"
    execute(dsn, finding.fix)
    assert only(checked(dsn)).status is Status.OK


def test_a_damaged_toast_page_is_laid_to_its_table(server: Server, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        (toast,) = connection.execute(
            "SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'shots'"
        ).fetchone()
    path = file_of(server, dsn, toast)
    with stopped(server):
        flip(path, 2, 3000)
    finding = only(critical(checked(dsn)))
    assert finding.subject == toast
    assert "The TOAST table of public.shots is damaged in block 2" in finding.summary
    assert "public.shots" in finding.fix


def test_an_index_that_misses_a_row(dsn: str) -> None:
    mine = "WHERE indexrelid = 'shots_minute'::regclass"
    execute(
        dsn,
        f"UPDATE pg_index SET indisready = false {mine}",
        "INSERT INTO shots VALUES (9001, 7, 'nobody tells the index')",
        f"UPDATE pg_index SET indisready = true {mine}",
    )
    finding = only(checked(dsn))
    assert finding.status is Status.CRIT
    assert finding.subject == "public.shots_minute"
    assert "lacks matching index tuple" in finding.summary
    execute(dsn, finding.fix)
    assert only(checked(dsn)).status is Status.OK


def test_a_unique_index_that_holds_a_value_twice(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_APART_PAGES", 1)
    mine = "WHERE indexrelid = 'shots_minute'::regclass"
    execute(dsn, f"UPDATE pg_index SET indisunique = true {mine}")  # minutes are there many times
    assert only(checked(dsn)).status is Status.OK  # nobody asked
    finding = only(checked(dsn, corruption_unique=True))
    assert finding.status is Status.CRIT
    assert finding.subject == "public.shots_minute"
    assert "uniqueness" in finding.summary
    execute(dsn, f"UPDATE pg_index SET indisunique = false {mine}")
    assert only(checked(dsn)).status is Status.OK


def test_without_time_all_is_skipped_and_nothing_is_ok(dsn: str, tmp_path: Path) -> None:
    finding = only(checked(dsn, corruption_budget_s=0, state_directory=str(tmp_path)))
    assert finding.status is Status.SKIPPED
    assert "not reached in 0 s" in finding.summary
    assert "more" in finding.summary
    assert "corruption_budget_s" in finding.fix


def test_what_was_not_reached_is_first_in_line(dsn: str, tmp_path: Path) -> None:
    assert only(checked(dsn, state_directory=str(tmp_path))).status is Status.OK
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    memory = json.loads(file.read_bytes())
    del memory["turns"]["public.shots_minute"]  # as if the time had ended before it
    file.write_text(json.dumps(memory))
    told: list[str] = []
    with psycopg.connect(dsn) as locker:
        locker.execute("LOCK TABLE shots IN ACCESS EXCLUSIVE MODE")  # a single reader stays at it for a while
        integrity(
            DatabaseSettings.from_dsn(dsn),
            choose(names=[CHECK]),
            IntegritySettings(jobs=1, lock_timeout_s=1.2, state_directory=str(tmp_path)),
            progress=lambda _done, _total, text: told.append(text),
        )
    assert any(": 0 of " in text for text in told), told
    assert "public.shots_minute" not in json.loads(file.read_bytes())["turns"]  # its turn is still to come
    assert only(checked(dsn, state_directory=str(tmp_path))).status is Status.OK
    assert "public.shots_minute" in json.loads(file.read_bytes())["turns"]


def test_a_locked_table_is_skipped_and_never_waited_for(dsn: str) -> None:
    with psycopg.connect(dsn) as locker:
        locker.execute("LOCK TABLE shots IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        finding = only(checked(dsn, lock_timeout_s=0.2))
        assert time.monotonic() - began < 60
    assert finding.status is Status.SKIPPED
    assert "locked by somebody else" in finding.summary
    assert "public.shots" in finding.summary
    assert only(checked(dsn)).status is Status.OK


def test_a_big_table_is_read_in_pieces(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_PAGES", 4)
    assert only(checked(dsn)).status is Status.OK
    execute(dsn, "TRUNCATE shots")  # shorter than the statistics say
    assert only(checked(dsn)).status is Status.OK


def test_damage_is_found_in_whatever_piece_has_it(
    server: Server, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_PAGES", 4)
    path = file_of(server, dsn, "shots")
    with stopped(server):
        flip(path, 9, 4000)
    finding = only(critical(checked(dsn)))
    assert (finding.subject, "block 9" in finding.summary) == ("public.shots", True)


def test_a_role_without_rights_is_told_the_grant_that_helps(server: Server, dsn: str) -> None:
    settings = DatabaseSettings.from_dsn(dsn)
    role = DatabaseSettings(
        host=settings.host,
        port=settings.port,
        name=settings.name,
        user="courtkeeper",
        password=server.password,
    )
    finding = only(integrity(role, choose(names=[CHECK])).findings)
    assert finding.status is Status.SKIPPED
    execute(dsn, *filter(None, finding.fix.split(";")))
    try:
        assert only(integrity(role, choose(names=[CHECK])).findings).status is Status.OK
    finally:
        execute(dsn, "DROP EXTENSION amcheck", "CREATE EXTENSION amcheck")


def test_without_the_extension_it_is_named(dsn: str) -> None:
    execute(dsn, "DROP EXTENSION amcheck")
    finding = only(checked(dsn))
    assert finding.status is Status.SKIPPED
    execute(dsn, finding.fix)
    assert only(checked(dsn)).status is Status.OK


def test_the_extension_may_lie_in_any_schema(dsn: str) -> None:
    execute(
        dsn, "DROP EXTENSION amcheck", 'CREATE SCHEMA "Odd one"', 'CREATE EXTENSION amcheck SCHEMA "Odd one"'
    )
    assert only(checked(dsn)).status is Status.OK
