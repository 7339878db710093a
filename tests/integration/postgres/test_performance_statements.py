"""The statements that cost most, on a real server."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from courtkeeper.findings import CourtkeeperError, Status
from support.findings import only
from support.performance import look, of
from support.postgres import Server

pytestmark = pytest.mark.slow

STATEMENTS = ["statements"]


@pytest.fixture
def dsn(postgres: Server, database_dsn: str, admin: psycopg.Connection[Any]) -> str:
    """The owner's way to a fresh database whose statements are counted from now on."""
    admin.execute("SELECT pg_stat_statements_reset()")
    return postgres.admin_dsn_for(database_dsn)


def test_a_slow_statement_is_named_with_its_numbers_and_without_its_literals(
    dsn: str, admin: psycopg.Connection[Any]
) -> None:
    assert only(of(look(dsn, parts=STATEMENTS), "slow_statement")).status is Status.OK
    for _ in range(3):
        admin.execute("SELECT /* hunter2 */ pg_sleep(0.03), 'hunter2' AS password")
    result = look(dsn, parts=STATEMENTS, slow_mean_ms=20, min_calls=3)
    finding = only(of(result, "slow_statement"))
    assert finding.status is Status.WARN
    assert isinstance(finding.observed, float)
    assert finding.observed >= 30
    assert "3 calls of courtkeeper_admin" in finding.summary
    assert "SELECT pg_sleep($1), $2 AS password" in finding.summary
    assert "hunter2" not in str(result.to_builtins())
    row = next(
        one
        for one in result.details["performance"]["statements"]
        if finding.subject == f"statement {one['queryid']}"
    )
    assert row["calls"] == 3
    assert "mean" in row["among"]


def test_a_statement_below_the_limit_is_slow_where_it_has_much_of_all_time(
    dsn: str, admin: psycopg.Connection[Any]
) -> None:
    for _ in range(3):
        admin.execute("SELECT pg_sleep(0.05)")
    assert only(of(look(dsn, parts=STATEMENTS, min_calls=3), "slow_statement")).status is Status.OK
    told = {"min_calls": 3, "busy_mean_ms": 40.0, "busy_share_pct": 10.0}
    finding = only(of(look(dsn, parts=STATEMENTS, **told), "slow_statement"))
    assert (finding.status, finding.threshold) == (Status.WARN, 40.0)


def test_utility_statements_and_few_calls_are_not_judged(dsn: str, admin: psycopg.Connection[Any]) -> None:
    for _ in range(3):
        admin.execute("DO $$ BEGIN PERFORM pg_sleep(0.03); END $$")
    admin.execute("SELECT pg_sleep(0.04)")
    told = {"min_calls": 3, "slow_mean_ms": 20.0, "busy_share_pct": 100.0}
    assert only(of(look(dsn, parts=STATEMENTS, **told), "slow_statement")).status is Status.OK


def test_without_the_extension_the_statements_are_skipped_with_what_helps(
    dsn: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("DROP EXTENSION pg_stat_statements")
    finding = only(look(dsn, parts=STATEMENTS).findings)
    assert finding.status is Status.SKIPPED
    assert "CREATE EXTENSION pg_stat_statements;" in finding.fix


def test_an_extension_in_a_schema_of_its_own_is_found(dsn: str, admin: psycopg.Connection[Any]) -> None:
    admin.execute('CREATE SCHEMA "Our Extensions"')
    admin.execute('ALTER EXTENSION pg_stat_statements SET SCHEMA "Our Extensions"')
    assert only(of(look(dsn, parts=STATEMENTS), "slow_statement")).status is Status.OK


def test_a_role_without_rights_is_told_the_grant(
    postgres: Server, database_dsn: str, admin: psycopg.Connection[Any]
) -> None:
    finding = only(look(database_dsn, parts=STATEMENTS).findings)
    assert finding.status is Status.SKIPPED
    assert finding.fix == "GRANT pg_monitor TO courtkeeper;"


def test_a_server_that_is_gone_is_said_in_one_sentence(dsn: str) -> None:
    with pytest.raises(CourtkeeperError, match="there is no database gone"):
        look(psycopg.conninfo.make_conninfo(dsn, dbname="gone"))
