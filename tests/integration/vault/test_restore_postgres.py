"""A database comes back: to the side, checked, swapped in at one moment, and what was there is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status
from courtkeeper.vault import catalog, tables
from courtkeeper.vault.backup import backup
from courtkeeper.vault.restore import sides
from courtkeeper.vault.restore.former import former
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.unseal import WrongKeyError
from support.backups import flip
from support.drills import ROWS, fill
from support.postgres import Server
from support.vault import Vault, postgres_source, vault

pytestmark = pytest.mark.slow


@pytest.fixture
def filled(postgres: Server, database_dsn: str) -> Iterator[str]:
    """The owner's way to a database with rows of many types; what restores leave is removed at the end."""
    dsn = postgres.admin_dsn_for(database_dsn)
    fill(dsn)
    yield dsn
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        for name in beside(dsn):
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def one(tmp_path: Path, postgres: Server, filled: str) -> Vault:
    """A vault of one database and two directories, with a backup in it."""
    made = vault(tmp_path, [postgres_source(filled, postgres.postgres.bin_dir)], ["local", "second"])
    backup(made.settings)
    return made


def name_of(dsn: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


def beside(dsn: str) -> list[str]:
    """The databases that lie beside one."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s ORDER BY 1",
            (name_of(dsn) + "_", name_of(dsn)),
        )
        return [str(name) for (name,) in rows]


def count(dsn: str, table: str = "sample", database: str = "") -> int:
    """Rows of a table."""
    way = psycopg.conninfo.make_conninfo(dsn, **({"dbname": database} if database else {}))
    with psycopg.connect(way) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row
        return int(row[0])


def harm(dsn: str) -> None:
    """What a person regrets a moment later."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute('DELETE FROM sample WHERE n > 100 AND n NOT IN (SELECT y FROM "odd Name")')
        connection.execute("CREATE TABLE since AS SELECT 1 AS n")


def asked(one: Vault, **more: Any) -> Result:
    """Restore as a request says."""
    return restore(one.settings, request_from({"source": "database", **more}))


def test_a_database_in_use_is_replaced_when_it_is_named(one: Vault, filled: str) -> None:
    name = name_of(filled)
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute(f"COMMENT ON DATABASE {name} IS 'the league'")
    harm(filled)
    with pytest.raises(ConfigurationError, match=f"say replace {name}"):
        asked(one)
    assert beside(filled) == []
    assert count(filled) == 100

    result = asked(one, replace=[name])

    assert count(filled) == ROWS
    (former,) = beside(filled)
    assert result.details["former"] == {name: former}
    assert count(filled, database=former) == 100
    assert count(filled, "since", former) == 1
    with psycopg.connect(filled) as connection:
        assert sides.description(connection, name) == "the league"
        (kept,) = [each for each in sides.kept(connection) if each.name == former]
        assert (kept.side.state, kept.side.of) == ("former", name)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO sample (n) VALUES (1)")


def test_where_the_disk_cannot_be_seen_it_is_said(one: Vault, filled: str) -> None:
    one.told["sources"][0] |= {"host": "another.example", "options": {"hostaddr": "127.0.0.1"}}
    for table in ({}, {"table": "public.sample"}):
        request = request_from({"source": "database", "beside": True, **table})
        planned = restore(one.settings, request, check_mode=True)
        (room,) = [finding for finding in planned.findings if finding.id == "restore.room"]
        assert room.status is Status.SKIPPED
        assert "it is another host" in room.summary
        assert "MB have to be free" in room.summary
    done = asked(one, beside=True)
    assert [finding.status for finding in done.findings if finding.id == "restore.room"] == [Status.SKIPPED]
    assert len(beside(filled)) == 1


def test_what_would_happen_is_said_and_nothing_done(one: Vault, filled: str) -> None:
    harm(filled)
    request = request_from({"source": "database", "replace": [name_of(filled)]})

    result = restore(one.settings, request, check_mode=True)

    assert [word in " ".join(result.actions) for word in ("beside", "swap it in", "former")] == [True] * 3
    assert "how long it takes is not known" in " ".join(result.actions)
    (lost,) = [finding for finding in result.findings if finding.id == "restore.lost"]
    assert f"public.sample: {ROWS - 100} rows fewer now" in lost.summary
    assert "public.since is not in the backup" in lost.summary
    assert beside(filled) == []
    restore(one.settings, request)
    again = restore(one.settings, request, check_mode=True)
    assert "by the last restores and drills" in " ".join(again.actions)


def test_sessions_end_only_when_told(one: Vault, filled: str) -> None:
    name = name_of(filled)
    with psycopg.connect(filled) as other:
        other.execute("SELECT 1")
        with pytest.raises(ConfigurationError, match="end the sessions"):
            asked(one, replace=[name])
        other.execute("SELECT 1")
        asked(one, replace=[name], end_sessions=True)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")
    assert count(filled) == ROWS


def test_a_crowd_that_comes_back_does_not_keep_it_from_being_swapped(one: Vault, filled: str) -> None:
    done = threading.Event()

    def press() -> None:
        while not done.is_set():
            try:
                with psycopg.connect(filled, connect_timeout=20) as connection:
                    connection.execute("SELECT pg_sleep(0.01)")
            except psycopg.Error:
                continue

    crowd = [threading.Thread(target=press) for _ in range(4)]
    for each in crowd:
        each.start()
    try:
        asked(one, replace=[name_of(filled)], end_sessions=True)
    finally:
        done.set()
        for each in crowd:
            each.join()
    assert len(beside(filled)) == 1


def test_it_stays_beside_when_told(one: Vault, filled: str) -> None:
    harm(filled)
    asked(one, beside=True)
    asked(one, beside=True)  # nor does the second remove the first, which is whole

    first, second = beside(filled)
    assert (count(filled), count(filled, database=first), count(filled, database=second)) == (100, ROWS, ROWS)


def test_a_database_that_is_gone_comes_back_as_it_was(one: Vault, postgres: Server, filled: str) -> None:
    name = name_of(filled)
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET search_path TO public, courtkeeper")
        connection.execute(f"ALTER ROLE courtkeeper IN DATABASE {name} SET work_mem TO '7MB'")
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO courtkeeper")
        before = properties(connection, name)
        backup(one.settings)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    asked(one)

    with psycopg.connect(postgres.admin_dsn) as connection:
        assert properties(connection, name) == before
    assert count(filled) == ROWS
    assert beside(filled) == []


def properties(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    return connection.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datlocprovider, datlocale, datdba, "
        "(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), "
        "(SELECT array_agg(setconfig::text ORDER BY setrole) FROM pg_db_role_setting s "
        " WHERE setdatabase = d.oid) "
        "FROM pg_database d WHERE datname = %s",
        (name,),
    ).fetchall()


def test_a_damaged_copy_is_left_for_a_good_one(one: Vault, filled: str) -> None:
    (taken,) = one.catalog().backups
    part = next(part for part in taken.manifest.parts if part.kind == "pg_dump")
    flip(one.destinations[0], taken.prefix + part.name, -2000)

    asked(one, beside=True)
    (whole,) = beside(filled)
    assert count(filled, database=whole) == ROWS

    flip(one.destinations[1], taken.prefix + part.name, -2000)
    with pytest.raises(CourtkeeperError, match=r"cannot be opened|not what its manifest says"):
        asked(one, replace=[name_of(filled)])
    assert beside(filled) == [whole]
    assert count(filled) == ROWS


def test_a_wrong_key_and_a_forged_manifest_are_refused_before_anything_is_made(
    one: Vault, filled: str, tmp_path: Path
) -> None:
    stranger = vault(tmp_path / "stranger", [], signed=False)
    one.told["identity_file"] = str(stranger.identity_file)
    with pytest.raises(WrongKeyError, match="none of the identities opens"):
        asked(one, beside=True)
    with pytest.raises(WrongKeyError):
        restore(one.settings, request_from({"source": "database", "beside": True}), check_mode=True)
    one.told["identity_file"] = str(one.identity_file)
    (taken,) = one.catalog().backups
    for place in one.destinations:
        path = Path(place.where, taken.prefix, "manifest.json")
        path.write_bytes(path.read_bytes().replace(b'"rows":5000', b'"rows":5001'))
    with pytest.raises(ConfigurationError, match="changed after it was written"):
        asked(one, beside=True)
    assert beside(filled) == []


def test_two_at_once_do_not_mix(one: Vault, filled: str, postgres: Server) -> None:
    refused: list[str] = []

    def again(step: str) -> None:
        if step.startswith("marked:"):
            one.told["state_directory"] = str(one.home / "another-host")
            with pytest.raises(CourtkeeperError, match="another restore is at work") as caught:
                asked(one, beside=True)
            refused.append(str(caught.value))

    restore(one.settings, request_from({"source": "database", "beside": True}), trace=again)

    assert len(refused) == 1
    assert len(beside(filled)) == 1


def test_what_a_dump_of_another_content_gives_is_not_swapped_in(
    one: Vault, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from courtkeeper.vault.restore import database

    monkeypatch.setattr(database.tables, "compared", lambda *_: ["public.sample has 1 rows instead of 2"])
    harm(filled)
    with pytest.raises(CourtkeeperError, match="did not come out as it was backed up"):
        asked(one, replace=[name_of(filled)])
    assert count(filled) == 100
    assert beside(filled) == []


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", "due to administrator command"),
        ("SELECT 1 / 0", "division by zero"),
    ],
)
def test_why_a_comparison_broke_off_is_said(
    one: Vault, filled: str, monkeypatch: pytest.MonkeyPatch, statement: LiteralString, why: str
) -> None:
    monkeypatch.setattr(tables, "measured", lambda inside, *_: inside.execute(statement))
    with pytest.raises(CourtkeeperError, match=why):
        asked(one, beside=True)
    assert beside(filled) == []


def test_the_moment_chooses_the_backup(one: Vault, filled: str) -> None:
    harm(filled)
    backup(one.settings)
    newest, oldest = one.catalog().backups
    chosen = asked(one, beside=True, until=oldest.taken_at.isoformat())
    assert chosen.details["backup"]["id"] == oldest.id
    with pytest.raises(ConfigurationError, match="taken by 2020-01-01"):
        asked(one, until="2020-01-01")
    assert newest.id != oldest.id
    assert isinstance(one.catalog(), catalog.Catalog)
    assert "password" not in repr(Target.of(one.settings.sources[0]))  # type: ignore[arg-type]


def test_a_table_gets_its_rows_back_and_keeps_what_hangs_on_it(one: Vault, filled: str) -> None:
    harm(filled)
    with pytest.raises(ConfigurationError, match=r"say replace public\.sample"):
        asked(one, table="public.sample")
    request = request_from({"source": "database", "table": "public.sample", "replace": ["public.sample"]})
    planned = restore(one.settings, request, check_mode=True)
    assert "replace the rows of public.sample" in planned.actions[1]

    result = restore(one.settings, request)

    assert count(filled) == ROWS
    assert count(filled, "even") == ROWS // 2
    assert count(filled, "since") == 1
    assert beside(filled) == []
    kept = former(one.settings, "database").details["beside"]
    assert [each["name"] for each in kept] == [result.details["former"]["public.sample"]]
    database, _, name = kept[0]["name"].partition(":")
    assert (database, count(filled, name)) == (name_of(filled), 100)
    former(one.settings, "database", remove=[kept[0]["name"]])
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(filled, name)


def test_rows_that_others_do_not_fit_are_not_swapped_in(one: Vault, filled: str) -> None:
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("INSERT INTO sample (n) VALUES (99999)")
        connection.execute('INSERT INTO "odd Name" (y) VALUES (99999)')
    with pytest.raises(CourtkeeperError, match=r'1 rows of "odd Name" refer to nothing'):
        asked(one, table="public.sample", replace=["public.sample"])
    assert count(filled) == ROWS + 1
    assert former(one.settings, "database").details["beside"] == []
    asked(one, table="public.odd Name", replace=["public.odd Name"])
    assert count(filled, '"odd Name"') == 10
    with pytest.raises(ConfigurationError, match="has no table"):
        asked(one, table="public.nothing")
