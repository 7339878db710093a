"""pg_repack, where it is installed beside a server: a bloated table made small, a broken off run removed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import Status
from courtkeeper.platform import database, processes
from courtkeeper.platform.ports import free_port
from courtkeeper.platform.postgres import ADMIN, Postgres, place_home
from support.findings import only
from support.platform import wait_until
from support.upkeep import Killed, Upkeep

Admin = psycopg.Connection[Any]


def program() -> Path | None:
    """pg_repack beside the programs of a server."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_repack"))
    found = str(debian[-1]) if debian else shutil.which("pg_repack")
    beside = Path(found).parent if found else None
    return Path(found) if found and beside and (beside / "postgres").is_file() else None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        program() is None, reason="no pg_repack beside a server here: install postgresql-15-repack"
    ),
]


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """The owner's connection string to a bare server that pg_repack belongs to."""
    path = program()
    assert path
    elsewhere = Path(tempfile.mkdtemp(prefix="courtkeeper-test-"))
    elsewhere.chmod(0o755)
    password = secrets.token_urlsafe(24)
    account = processes.unprivileged_account()
    postgres = Postgres(
        home=place_home(elsewhere / "postgres", lambda: elsewhere / "postgres", account),
        log=elsewhere / "postgres.log",
        port=free_port(),
        bin_dir=path.parent,
        account=account,
        settings={"fsync": "off", "autovacuum": "off"},
    )
    try:
        postgres.initialise(password)
        postgres.start()
        words = database.Address("127.0.0.1", postgres.port).dsn(ADMIN, password, "postgres")
        deadline = time.monotonic() + 120
        while database.answers(words):
            assert time.monotonic() < deadline, postgres.log.read_text()
            time.sleep(0.05)
        yield words
    finally:
        if identity := postgres.running():
            assert postgres.stop(identity)
        shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.fixture
def admin(dsn: str) -> Iterator[Admin]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_repack")
        connection.execute('DROP TABLE IF EXISTS "Airy"')
        connection.execute('CREATE TABLE "Airy" (n int PRIMARY KEY, t text)')
        connection.execute("INSERT INTO \"Airy\" SELECT n, repeat('x', 200) FROM generate_series(1, 20000) n")
        connection.execute('DELETE FROM "Airy" WHERE n % 20 > 0')
        connection.execute('VACUUM (ANALYZE) "Airy"')
        yield connection


TOLD = {"duties": ["bloated_tables"], "thresholds": {"capacity.table_bloat": {"min_mb": 1}}}


def test_a_bloated_table_is_made_small_only_where_that_is_allowed(dsn: str, admin: Admin) -> None:
    upkeep = Upkeep(dsn)
    named = only(upkeep(**TOLD).findings)
    assert (named.subject, named.applied) == ('public."Airy"', "")
    assert named.status in (Status.WARN, Status.CRIT)
    done = upkeep(repack=True, **TOLD)
    finding = only(done.findings)
    assert finding.status is Status.OK, finding
    assert str(psycopg.conninfo.conninfo_to_dict(dsn)["password"]) not in str(done)
    assert done.metrics["bytes_freed"] > 1_000_000
    assert admin.execute('SELECT count(*) FROM "Airy"').fetchone() == (1000,)
    assert not upkeep(repack=True, **TOLD).changed


def test_a_table_that_somebody_reads_is_left_in_time(dsn: str, admin: Admin) -> None:
    with psycopg.connect(dsn) as reader:
        reader.execute('SELECT count(*) FROM "Airy"')
        started = time.monotonic()
        result = Upkeep(dsn)(repack=True, statement_timeout_s=3, lock_timeout_s=1, **TOLD)
        assert time.monotonic() - started < 30
        assert reader.execute("SELECT 1").fetchone() == (1,)  # its session was not ended for it
    assert only(result.findings).status is not Status.OK
    left = admin.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'repack_trigger'").fetchone()
    assert left == (0,)
    assert only(Upkeep(dsn)(repack=True, **TOLD).findings).status is Status.OK


def test_killed_with_its_upkeep_it_stops_and_leaves_nothing(dsn: str, admin: Admin) -> None:
    """Without us nobody would bound its time any more, nor count its work."""
    repacking = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_repack'"
    with psycopg.connect(dsn) as reader:
        reader.execute('SELECT count(*) FROM "Airy"')
        killed = Killed(dsn, repack=True, lock_timeout_s=60, **TOLD)
        wait_until(lambda: admin.execute(repacking).fetchone() != (0,), 60)
        killed.kill()
        wait_until(lambda: admin.execute(repacking).fetchone() == (0,), 30)
    assert {f.status for f in Upkeep(dsn)(repack=True, **TOLD).findings} == {Status.OK}
    left = admin.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^log_[0-9]+$'").fetchone()
    assert left == (0,)


def test_what_a_killed_one_left_is_removed_first(dsn: str, admin: Admin) -> None:
    oid = admin.execute("SELECT '\"Airy\"'::regclass::oid").fetchone()
    assert oid
    admin.execute(f"CREATE TYPE repack.pk_{oid[0]} AS (n int)")
    admin.execute(
        f'CREATE TABLE repack.log_{oid[0]} (id bigserial PRIMARY KEY, pk repack.pk_{oid[0]}, row "Airy")'
    )
    admin.execute(
        'CREATE TRIGGER repack_trigger AFTER INSERT OR DELETE OR UPDATE ON "Airy" '
        "FOR EACH ROW EXECUTE FUNCTION repack.repack_trigger('n')"
    )
    done = Upkeep(dsn)(repack=True, **TOLD)
    assert {finding.status for finding in done.findings} == {Status.OK}, done.findings
    assert done.actions[-2].startswith("remove what a broken off pg_repack left")
    left = admin.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^log_[0-9]+$'").fetchone()
    assert left == (0,)


def test_a_table_without_a_key_is_named(dsn: str, admin: Admin) -> None:
    admin.execute('ALTER TABLE "Airy" DROP CONSTRAINT "Airy_pkey"')
    finding = only(Upkeep(dsn)(repack=True, **TOLD).findings)
    assert (finding.status, finding.fix) == (Status.SKIPPED, "give it a primary key")


def test_all_duties_go_with_this_version_and_the_second_run_does_nothing(dsn: str, admin: Admin) -> None:
    admin.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int)")
    admin.execute("ALTER TABLE child ADD FOREIGN KEY (id) REFERENCES parent NOT VALID")
    admin.execute('CREATE INDEX broken ON "Airy" (t)')
    admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")
    admin.execute('UPDATE "Airy" SET t = n')
    admin.execute("SELECT pg_stat_force_next_flush()")
    upkeep, told = Upkeep(dsn), {"create_indexes": ["public.child.child_id_fkey"], "extensions": ["*"]}
    done = upkeep(**told)
    assert {finding.status for finding in done.findings} == {Status.OK}, done.findings
    assert {action.split()[0] for action in done.actions} >= {"build", "validate", "vacuum", "analyze"}
    again = upkeep(**told)
    assert (again.changed, again.actions) == (False, []), again.actions
