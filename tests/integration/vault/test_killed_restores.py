"""Restores and drills that are killed anywhere: what is in use is whole, and the next run clears away."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from courtkeeper.vault.backup import backup
from courtkeeper.vault.drill.run import drill
from courtkeeper.vault.restore import asides, sides
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from support.drills import ROWS, drill_policy, fill, left
from support.dying import killed_at, steps_of
from support.postgres import Server
from support.vault import Vault, files_source, postgres_source, vault

KEPT = 100


@pytest.fixture
def filled(postgres: Server, database_dsn: str) -> Iterator[str]:
    """The owner's way to a database; what restores leave is removed at the end."""
    dsn = postgres.admin_dsn_for(database_dsn)
    fill(dsn)
    yield dsn
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        for name in beside(dsn):
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def one(tmp_path: Path, postgres: Server, filled: str) -> Vault:
    """A vault of one database and one tree, with a backup of each."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "file").write_text("as it was")
    sources = [postgres_source(filled, postgres.postgres.bin_dir), files_source(tmp_path / "app")]
    made = vault(tmp_path, sources)
    made.told["name"] = f"k{tmp_path.name[-20:]}".lower().replace("_", "-")
    backup(made.settings)
    return made


def beside(dsn: str) -> dict[str, str]:
    """The databases beside one, and what their comments say of them."""
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(dsn) as connection:
        states = {each.name: each.side.state for each in sides.kept(connection)}
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (name + "_",)
        )
        return {str(found): states.get(str(found), "") for (found,) in rows}


def rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT count(*) FROM sample").fetchone()
        assert found
        return int(found[0])


def harm(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute('DELETE FROM "odd Name"')
        connection.execute(f"DELETE FROM sample WHERE n > {KEPT}")


@pytest.mark.slow
def test_a_database_is_as_it_was_or_swapped_whole(one: Vault, filled: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(filled)["dbname"])
    request = request_from({"source": "database", "database": name, "replace": [name]})
    work = lambda trace: restore(one.settings, request, trace=trace)  # noqa: E731
    steps = steps_of(work)
    assert len(set(steps)) >= 13, steps

    swapped = False
    for step in dict.fromkeys(steps):
        for occurrence in range(1, steps.count(step) + 1):
            harm(filled)
            killed_at(step, occurrence, work)
            swapped = swapped or step == "swapped"
            assert rows(filled) == (ROWS if step == "swapped" else KEPT), step
            states = list(beside(filled).values())
            assert states.count("restoring") + states.count("") <= 1, (step, beside(filled))
    assert swapped

    harm(filled)
    result = restore(one.settings, request)
    assert rows(filled) == ROWS
    assert set(beside(filled).values()) == {"former"}
    assert result.details["former"][name] in beside(filled)


@pytest.mark.slow
def test_a_table_has_its_rows_or_those_of_the_backup(one: Vault, filled: str) -> None:
    request = request_from({"source": "database", "table": "public.sample", "replace": ["public.sample"]})
    work = lambda trace: restore(one.settings, request, trace=trace)  # noqa: E731
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute('DELETE FROM "odd Name"')
        connection.execute(f"DELETE FROM sample WHERE n > {KEPT}")
    steps = list(dict.fromkeys(steps_of(work, most=1)))
    assert {"listed", "exchanging", "kept", "copied", "exchanged", "swapped", "dropped"} <= set(steps)
    before = len(former_tables(filled))

    for step in steps:
        with psycopg.connect(filled, autocommit=True) as connection:
            connection.execute(f"DELETE FROM sample WHERE n > {KEPT}")
        killed_at(step, 1, work)
        swapped = step in {"swapped", "dropped"}
        assert rows(filled) == (ROWS if swapped else KEPT), step
        # What it had is kept exactly where it was exchanged, and by nobody else.
        former = former_tables(filled)
        assert len(former) == before + swapped, (step, former)
        assert all(count in (KEPT, ROWS) for count in former.values()), (step, former)
        before = len(former)
        states = list(beside(filled).values())
        assert states.count("restoring") + states.count("") <= 1, (step, beside(filled))
        with psycopg.connect(filled) as connection:
            assert connection.execute("SELECT count(*) FROM even").fetchone()

    restore(one.settings, request)
    assert rows(filled) == ROWS
    assert beside(filled) == {}


def former_tables(dsn: str) -> dict[str, int]:
    """The tables in which restores kept former rows, and how many rows each has."""
    with psycopg.connect(dsn) as connection:
        names = [name for _, name, _, _ in sides.kept_tables(connection)]
        return {
            name: connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
            ).fetchone()[0]
            for name in names
        }


@pytest.mark.slow
def test_a_tree_is_as_it_was_or_swapped_whole(one: Vault) -> None:
    tree = one.home / "app"
    request = request_from({"source": "config", "replace": [str(tree)]})
    work = lambda trace: restore(one.settings, request, trace=trace)  # noqa: E731

    (tree / "file").write_text("as it is")
    for step in dict.fromkeys(steps_of(work)):
        (tree / "file").write_text("as it is")
        killed_at(step, 1, work)
        swapped = step.startswith("swapped:")
        assert (tree / "file").read_text() == ("as it was" if swapped else "as it is"), step
        for each in asides.noted(one.settings):
            content = (Path(each.path) / "file").read_text() if (Path(each.path) / "file").exists() else ""
            expected = {"former": "as it is", "checked": "as it was"}.get(each.state, content)
            assert content == expected, (step, each)

    (tree / "file").write_text("as it is")
    restore(one.settings, request)
    assert {each.state for each in asides.noted(one.settings)} == {"former"}
    paths = {each.path for each in asides.noted(one.settings)}
    assert {str(path) for path in one.home.glob("app.*")} == paths


@pytest.mark.slow
def test_a_killed_drill_leaves_one_scratch_that_the_next_removes(one: Vault) -> None:
    policy = drill_policy(amcheck=False, queries=[{"name": "one", "sql": "SELECT 1"}])
    work = partial(_drilled, one, policy)
    steps = list(dict.fromkeys(steps_of(work)))
    assert len(steps) >= 14, steps

    for step in steps:
        killed_at(step, 1, work)
        directories = [found for found in left(one.settings.name) if not found.startswith("process")]
        assert len(directories) <= 1, (step, directories)

    result = drill(one.settings, policy, sources=["database"])
    assert result.metrics["proven_count"] == 1
    assert left(one.settings.name) == []
    assert len(one.catalog().of("database")) == 1


def _drilled(one: Vault, policy, trace) -> None:
    drill(one.settings, policy, sources=["database"], trace=trace)
