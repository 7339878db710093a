"""The plan of indexes to drop: reviewed, followed by name, gated by the plans, and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.database import MEND_FILES
from courtkeeper.findings import ConfigurationError, Status
from support.damage import file_of, unreadable
from support.findings import apply
from support.performance import look
from support.postgres import Server

pytestmark = pytest.mark.slow

PLAN = ["redundant_indexes"]


@pytest.fixture
def dsn(postgres: Server, database_dsn: str, admin: psycopg.Connection[Any]) -> str:
    """The owner's way to a database with an index that repeats another."""
    admin.execute(
        "CREATE TABLE marks (a int, b int); CREATE INDEX marks_a ON marks (a);"
        "CREATE INDEX marks_again ON marks (a); CREATE INDEX marks_a_b ON marks (a, b)"
    )
    admin.execute("SELECT pg_stat_statements_reset()")
    return postgres.admin_dsn_for(database_dsn)


def indexes(admin: psycopg.Connection[Any]) -> set[str]:
    query = "SELECT indexdef FROM pg_indexes WHERE tablename = 'marks'"
    return {definition for (definition,) in admin.execute(query)}


def planned(dsn: str) -> set[str]:
    return {entry["index"] for entry in look(dsn, parts=PLAN).details["plan"]}


def test_nothing_of_the_plan_is_dropped_untold(dsn: str, admin: psycopg.Connection[Any]) -> None:
    before = indexes(admin)
    result = look(dsn, parts=PLAN)
    assert (result.changed, result.actions) == (False, [])
    (entry,) = (one for one in result.details["plan"] if one["index"] == "public.marks_again")
    assert entry["drop"] == "DROP INDEX CONCURRENTLY public.marks_again;"
    assert entry["recreate"] == "CREATE INDEX CONCURRENTLY marks_again ON public.marks USING btree (a);"
    assert indexes(admin) == before


def test_exactly_the_named_index_is_dropped_once_and_its_undo_brings_it_back(
    dsn: str, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    before = indexes(admin)
    told = {"parts": PLAN, "drop_indexes": ["public.marks_again"], "state_directory": str(tmp_path / "state")}
    check = look(dsn, check_mode=True, **told)
    assert indexes(admin) == before
    done = look(dsn, **told)
    assert done.changed
    assert done.actions == check.actions == ["drop the index public.marks_again"]
    assert len(indexes(admin)) == len(before) - 1
    (finding,) = (one for one in done.findings if one.subject == "public.marks_again")
    assert (finding.status, finding.applied) == (Status.OK, "DROP INDEX public.marks_again;")
    (saved,) = (tmp_path / "state").iterdir()
    assert finding.undo in saved.read_text()
    assert saved.stat().st_mode & 0o777 == 0o600

    again = look(dsn, **told)
    assert (again.changed, again.actions) == (False, [])

    apply(admin, finding.undo)
    assert indexes(admin) == before


def test_an_index_that_stays_for_another_is_not_in_the_plan(dsn: str, admin: psycopg.Connection[Any]) -> None:
    # marks_again goes for marks_a, which therefore stays this time although marks_a_b begins with the same.
    assert planned(dsn) & {"public.marks_a", "public.marks_again"} == {"public.marks_again"}
    admin.execute("DROP INDEX marks_again")
    assert "public.marks_a" in planned(dsn)


def test_a_name_that_is_not_in_the_plan_is_refused_before_anything_is_done(
    dsn: str, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    before = indexes(admin)
    for wrong in ("public.marks_agian", "public.marks_a_b", "nonsense (", "public.games_pkey"):
        with pytest.raises(ConfigurationError, match="not in the plan of indexes to drop"):
            look(
                dsn, drop_indexes=["public.marks_again", wrong], state_directory=str(tmp_path), memory_mb=4096
            )
    assert indexes(admin) == before


def test_an_index_is_kept_that_a_costly_statement_needs(
    dsn: str, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    admin.execute(
        "INSERT INTO marks SELECT n, n FROM generate_series(1, 30000) n;"
        # The narrow one is what the index-only scans of the whole table are quick by.
        "DROP INDEX marks_again; DROP INDEX marks_a_b; ALTER TABLE marks ADD c text DEFAULT repeat('x', 400);"
        "CREATE INDEX marks_a_c ON marks (a, c); UPDATE marks SET b = b"
    )
    admin.execute("VACUUM FULL ANALYZE marks")
    admin.execute("VACUUM marks")
    admin.execute("SELECT count(a) FROM marks")
    before = indexes(admin)
    result = look(dsn, parts=PLAN, top=100, drop_indexes=["public.marks_a"], state_directory=str(tmp_path))
    (finding,) = (one for one in result.findings if one.subject == "public.marks_a")
    assert (result.changed, finding.status) == (False, Status.WARN)
    assert "was kept: without it the plan of statement" in finding.summary
    assert indexes(admin) == before


def test_a_busy_table_is_not_waited_for(dsn: str, admin: psycopg.Connection[Any], tmp_path: Path) -> None:
    before = indexes(admin)
    with psycopg.connect(dsn) as busy:
        busy.execute("SELECT * FROM marks")
        told = {"drop_indexes": ["public.marks_again"], "state_directory": str(tmp_path)}
        result = look(dsn, parts=PLAN, lock_timeout_s=0.1, **told)
    (finding,) = (one for one in result.findings if one.subject == "public.marks_again")
    assert (result.changed, finding.status) == (False, Status.SKIPPED)
    assert indexes(admin) == before
    # Its definition was written down; it is dropped all the same when the table is free.
    assert look(dsn, parts=PLAN, **told).changed


def test_a_directory_that_cannot_be_written_to_is_refused_before_the_drop(
    dsn: str, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    before = indexes(admin)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="state_directory"):
        look(dsn, parts=PLAN, drop_indexes=["public.marks_again"], state_directory=str(tmp_path / "file"))
    assert indexes(admin) == before


def test_a_drop_that_a_file_of_the_server_stops_is_critical(
    postgres: Server, dsn: str, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    before = indexes(admin)
    with unreadable(file_of(postgres, dsn, "pg_description_o_c_o_index")):
        result = look(dsn, parts=PLAN, drop_indexes=["public.marks_again"], state_directory=str(tmp_path))
    (finding,) = (one for one in result.findings if one.subject == "public.marks_again")
    assert (result.changed, finding.status, finding.fix) == (False, Status.CRIT, MEND_FILES)
    assert "was not dropped: could not open file" in finding.summary
    assert indexes(admin) == before
