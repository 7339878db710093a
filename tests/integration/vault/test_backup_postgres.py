"""A database goes into the vault and comes out as it was, by our own pipe and by the plain tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from courtkeeper.findings import Status
from courtkeeper.vault import tables
from courtkeeper.vault.backup import backup
from support.postgres import Server, drop_database
from support.vault import Vault, postgres_source, vault

pytestmark = pytest.mark.slow


@pytest.fixture
def filled(postgres: Server, database_dsn: str) -> str:
    """The owner's way to a database with rows of many types."""
    dsn = postgres.admin_dsn_for(database_dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE sample AS SELECT n, md5(n::text) AS text, now() AS at, n / 7.0 AS number, "
            "jsonb_build_object('n', n) AS document, '\\x00ff'::bytea AS bytes "
            "FROM generate_series(1, 5000) n"
        )
        connection.execute("CREATE TABLE unhashable (value json, place point)")
        connection.execute("""INSERT INTO unhashable VALUES ('{"a": 1}', '(1,2)')""")
        connection.execute('CREATE TABLE "odd Name" (x int GENERATED ALWAYS AS IDENTITY, y text)')
    return dsn


@pytest.fixture
def one(tmp_path: Path, postgres: Server, filled: str) -> Vault:
    """A vault of one database and two directories."""
    return vault(tmp_path, [postgres_source(filled, postgres.postgres.bin_dir)], ["local", "second"])


def restored(postgres: Server, dump: bytes, name: str) -> str:
    """Restore a dump into a new database and return the way to it."""
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    dsn = psycopg.conninfo.make_conninfo(postgres.admin_dsn, dbname=name)
    done = subprocess.run(
        [postgres.postgres.bin_dir / "pg_restore", "--exit-on-error", "-d", dsn],
        input=dump,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dsn


def test_what_comes_out_is_what_went_in(one: Vault, postgres: Server) -> None:
    result = backup(one.settings)

    assert result.changed
    assert {finding.status for finding in result.findings} == {Status.OK}, result.findings
    found = one.catalog()
    (taken,) = found.backups
    assert taken.where == ("local", "second")
    assert not found.problems
    (dump,) = [part for part in taken.manifest.parts if part.kind == "pg_dump"]
    by_name = {table.qualified: table for table in dump.tables}
    assert by_name["public.sample"].rows == 5000
    assert {table.method for table in dump.tables} == {"columns"}
    assert by_name["public.odd Name"].rows == 0
    dsn = restored(postgres, one.plain(taken, dump.name, "second"), "restored_by_us")
    try:
        with psycopg.connect(dsn) as connection:
            assert tables.compared(dump.tables, tables.measured(connection)) == []
            connection.execute("UPDATE sample SET text = 'other' WHERE n = 17")
            connection.execute("DELETE FROM unhashable")
            differences = tables.compared(dump.tables, tables.measured(connection))
        assert differences == [
            "public.sample has the 5000 rows, but with other contents",
            "public.unhashable has 0 rows instead of 1",
        ]
    finally:
        drop_database(postgres, dsn)
    assert b"CREATE ROLE courtkeeper" in one.plain(taken, "globals.sql.zst.age")


@pytest.mark.skipif(not (shutil.which("age") and shutil.which("zstd")), reason="needs age and zstd")
def test_the_plain_tools_open_it(one: Vault) -> None:
    backup(one.settings)
    (taken,) = one.catalog().backups
    part = next(part for part in taken.manifest.parts if part.kind == "pg_dump")
    sealed = one.home / "local" / taken.prefix / part.name
    opened = subprocess.run(
        ["bash", "-c", 'age -d -i "$0" "$1" | zstd -dc', one.identity_file, sealed],
        capture_output=True,
        check=True,
    )
    assert opened.stdout == one.plain(taken, part.name)
    assert opened.stdout.startswith(b"PGDMP")
