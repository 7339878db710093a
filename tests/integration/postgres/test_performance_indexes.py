"""Plans, and the indexes that would help: tried by hypopg where Debian's Postgres has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import Status
from support.findings import apply, only
from support.performance import look, of
from support.postgres import Server, postgres_server

pytestmark = pytest.mark.slow

PARTS = ["statements", "indexes"]
DEBIAN = sorted(
    path.parents[2] / path.parents[1].name
    for path in Path("/usr/share/postgresql").glob("*/extension/hypopg.control")
)

SHOTS = """
CREATE TABLE shots (id int PRIMARY KEY, player int NOT NULL, zone int NOT NULL, taken_at date NOT NULL);
INSERT INTO shots SELECT n, n % 2000, n % 5, date '2026-01-01' + n % 300 FROM generate_series(1, 60000) n;
ANALYZE shots;
"""
SLOW = "SELECT count(*) FROM shots WHERE player = 7 AND zone = 2"


@pytest.fixture
def dsn(postgres: Server, database_dsn: str, admin: psycopg.Connection[Any]) -> str:
    """The owner's way to a database with a table that is read whole."""
    admin.execute(SHOTS)
    admin.execute("SELECT pg_stat_statements_reset()")
    return postgres.admin_dsn_for(database_dsn)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of Debian's programs, which have hypopg."""
    if not DEBIAN:
        pytest.skip("no Debian Postgres with hypopg on this machine (postgresql-15-hypopg)")
    version = DEBIAN[-1].name
    with postgres_server(
        tmp_path_factory.mktemp("debian"), bin_dir=Path(f"/usr/lib/postgresql/{version}/bin")
    ) as server:
        yield server


@pytest.fixture
def other(debian: Server) -> Iterator[psycopg.Connection[Any]]:
    """Its owner, with the table; what a test leaves is gone afterwards."""
    with psycopg.connect(debian.admin_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
        yield connection
        connection.execute("DROP TABLE IF EXISTS shots CASCADE")
        connection.execute("DROP EXTENSION IF EXISTS hypopg")


def row_of(result: Any, text: str) -> dict[str, Any]:
    """The row of the statement that begins so."""
    (row,) = (one for one in result.details["performance"]["statements"] if one["text"].startswith(text))
    found: dict[str, Any] = row
    return found


def test_without_hypopg_the_tables_read_whole_are_named_and_the_package(
    dsn: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute(SLOW)
    result = look(dsn, parts=PARTS, top=100)
    finding = only(of(result, "missing_index"))
    assert finding.status is Status.SKIPPED
    assert "public.shots whole" in finding.summary
    assert "-hypopg) and run this again" in finding.fix
    plan = row_of(result, "SELECT count(*) FROM shots")["plan"]
    assert any("Seq Scan on public.shots" in line for line in plan)
    assert any("Filter: ((shots.player = $1) AND (shots.zone = $2))" in line for line in plan)


def test_a_plan_is_made_with_the_rights_and_names_of_who_runs_the_statement(
    postgres: Server, database_dsn: str, dsn: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE SCHEMA hidden; CREATE TABLE hidden.secrets (a int)")
    admin.execute(
        "GRANT USAGE ON SCHEMA hidden TO courtkeeper; GRANT SELECT ON hidden.secrets TO courtkeeper"
    )
    with psycopg.connect(database_dsn, autocommit=True) as connection:
        connection.execute("SET search_path = hidden")
        connection.execute("SELECT a FROM secrets WHERE a = 1")
    without = row_of(look(dsn, parts=PARTS, top=100), "SELECT a FROM secrets")
    assert without["plan"] == 'relation "secrets" does not exist'
    admin.execute("ALTER ROLE courtkeeper SET search_path = hidden")
    try:
        assert (
            "Seq Scan on hidden.secrets"
            in row_of(look(dsn, parts=PARTS, top=100), "SELECT a FROM secrets")["plan"][0]
        )
        admin.execute("REVOKE SELECT ON hidden.secrets FROM courtkeeper")
        denied = row_of(look(dsn, parts=PARTS, top=100), "SELECT a FROM secrets")
    finally:
        admin.execute("ALTER ROLE courtkeeper RESET search_path")
    assert denied["plan"] == "permission denied for table secrets"


def test_only_reading_statements_without_parameters_are_run_and_only_when_told(
    dsn: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE SEQUENCE drawn; CREATE TABLE marks (a int)")
    for statement in ("SELECT max(id) FROM shots", "SELECT nextval('drawn')", "DELETE FROM marks"):
        admin.execute(statement)
    admin.execute("INSERT INTO marks VALUES (1)")
    admin.execute(
        "CREATE VIEW acts AS SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity "
        "WHERE application_name = 'victim' AND datname = current_database()"
    )
    admin.execute("SELECT ended FROM acts")
    victim = psycopg.connect(dsn, application_name="victim")
    untold = look(dsn, parts=PARTS, top=100)
    assert not any("took" in str(one["plan"]) for one in untold.details["performance"]["statements"])
    told = look(dsn, parts=PARTS, top=100, analyze=True)
    assert "took" in row_of(told, "SELECT max(id)")["plan"][0]
    assert "took" not in str(row_of(told, "DELETE FROM marks")["plan"])
    assert "took" not in str(row_of(told, "SELECT nextval")["plan"])
    assert "took" not in str(row_of(told, "SELECT ended FROM acts")["plan"])
    assert victim.execute("SELECT 1").fetchone() == (1,)  # an ended session cannot be taken back
    victim.close()
    assert admin.execute("SELECT last_value FROM drawn").fetchone() == (1,)
    assert admin.execute("SELECT count(*) FROM marks").fetchone() == (1,)


def test_an_index_that_helps_is_advised_with_its_gain_and_nothing_of_the_trial_stays(
    debian: Server, other: psycopg.Connection[Any]
) -> None:
    other.execute(SHOTS)
    other.execute(SLOW)
    result = look(debian.admin_dsn, parts=PARTS, top=100)
    assert not result.changed
    finding = only(of(result, "missing_index"))
    assert finding.status is Status.WARN
    assert finding.subject == "public.shots (player, zone)"
    assert isinstance(finding.observed, float)
    assert finding.observed > 90
    assert "it takes about" in finding.summary
    assert "as for the 1 it has" in finding.summary
    gone = "SELECT count(*) FROM pg_extension WHERE extname = 'hypopg'"
    assert other.execute(gone).fetchone() == (0,)
    assert other.execute("SELECT to_regnamespace('courtkeeper_hypopg')").fetchone() == (None,)

    before = other.execute(f"EXPLAIN {SLOW}").fetchall()
    apply(other, finding.fix)
    assert "shots_player_zone_idx" in str(other.execute(f"EXPLAIN {SLOW}").fetchall())
    assert only(of(look(debian.admin_dsn, parts=PARTS, top=100), "missing_index")).status is Status.OK
    apply(other, finding.undo)
    assert other.execute(f"EXPLAIN {SLOW}").fetchall() == before


def test_an_index_that_gains_little_is_not_advised(debian: Server, other: psycopg.Connection[Any]) -> None:
    other.execute("CREATE EXTENSION hypopg")
    other.execute(SHOTS)
    other.execute("SELECT sum(id) FROM shots WHERE zone > 0")
    finding = only(of(look(debian.admin_dsn, parts=PARTS, top=100), "missing_index"))
    assert finding.status is Status.OK
    assert "tried" in finding.summary


def test_a_partitioned_table_gets_one_index_for_all_its_partitions(
    debian: Server, other: psycopg.Connection[Any]
) -> None:
    other.execute(
        "CREATE TABLE shots (id int, player int NOT NULL, season int NOT NULL) PARTITION BY LIST (season);"
        "CREATE TABLE shots_1 PARTITION OF shots FOR VALUES IN (1);"
        "CREATE TABLE shots_2 PARTITION OF shots FOR VALUES IN (2);"
        "INSERT INTO shots SELECT n, n / 30, 1 + n % 2 FROM generate_series(1, 60000) n; ANALYZE shots"
    )
    other.execute("SELECT count(*) FROM shots WHERE player = 7")
    finding = only(of(look(debian.admin_dsn, parts=PARTS, top=100), "missing_index"))
    assert finding.subject == "public.shots (player)"
    apply(other, finding.fix)
    assert only(of(look(debian.admin_dsn, parts=PARTS, top=100), "missing_index")).status is Status.OK
    apply(other, finding.undo)
    assert only(of(look(debian.admin_dsn, parts=PARTS, top=100), "missing_index")).status is Status.WARN


def test_a_role_without_a_superusers_rights_is_told_to_have_hypopg_made(
    debian: Server, other: psycopg.Connection[Any]
) -> None:
    other.execute(SHOTS)
    other.execute("GRANT SELECT ON shots TO courtkeeper; GRANT pg_monitor TO courtkeeper")
    with psycopg.connect(debian.dsn, autocommit=True) as connection:
        connection.execute(SLOW)
    try:
        finding = only(of(look(debian.dsn, parts=PARTS, top=100), "missing_index"))
    finally:
        other.execute("REVOKE pg_monitor FROM courtkeeper")
    assert finding.status is Status.SKIPPED
    assert finding.fix.startswith("CREATE EXTENSION hypopg;")
