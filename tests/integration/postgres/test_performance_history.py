"""Statements against the snapshots that the upkeep takes, across a reset of the statistics."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from courtkeeper.database import MEND_FILES
from courtkeeper.findings import Status
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.upkeep import snapshots
from courtkeeper.postgres.upkeep.state import State
from support.damage import file_of, unreadable
from support.findings import only
from support.performance import look, of
from support.postgres import Server

pytestmark = pytest.mark.slow

TOLD = {"parts": ["statements"], "top": 100, "min_calls": 3}


@pytest.fixture
def dsn(postgres: Server, database_dsn: str, admin: psycopg.Connection[Any]) -> str:
    """The owner's way to a database in which a function is as slow as a table says."""
    admin.execute(
        "CREATE TABLE pace (s float8); INSERT INTO pace VALUES (0.002);"
        "CREATE FUNCTION work() RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(s) FROM pace'"
    )
    admin.execute("SELECT pg_stat_statements_reset()")
    return postgres.admin_dsn_for(database_dsn)


def snapshot(admin: psycopg.Connection[Any]) -> None:
    """Take a snapshot, as the upkeep does."""
    state = State(admin)
    if not state.exists:
        state.install()
    snapshots.take(admin, servers.look(admin))


def work(admin: psycopg.Connection[Any], pace_s: float) -> None:
    admin.execute("UPDATE pace SET s = %s", [pace_s])
    for _ in range(4):
        admin.execute("SELECT work()")


def test_without_snapshots_it_is_said_who_takes_them(dsn: str) -> None:
    finding = only(of(look(dsn, **TOLD), "regressed_statement"))
    assert finding.status is Status.SKIPPED
    assert finding.fix == "run database_upkeep, which takes them"


def test_a_statement_that_got_slower_is_named_even_after_a_reset(
    dsn: str, admin: psycopg.Connection[Any]
) -> None:
    work(admin, 0.02)
    snapshot(admin)
    work(admin, 0.02)
    assert only(of(look(dsn, **TOLD), "regressed_statement")).status is Status.OK
    admin.execute("SELECT pg_stat_statements_reset()")
    work(admin, 0.3)
    result = look(dsn, **TOLD)
    finding = only(of(result, "regressed_statement"))
    assert finding.status is Status.WARN
    assert "SELECT work()" in finding.summary
    assert isinstance(finding.observed, float)
    assert finding.observed >= 300
    (row,) = (
        one for one in result.details["performance"]["statements"] if one["text"].startswith("SELECT work()")
    )
    assert len(row["trend"]) == 2
    assert row["trend"][0][1] < row["trend"][1][1]


def test_a_role_that_may_not_read_the_snapshots_is_told(
    postgres: Server, database_dsn: str, dsn: str, admin: psycopg.Connection[Any]
) -> None:
    snapshot(admin)
    admin.execute("GRANT pg_monitor TO courtkeeper")
    try:
        finding = only(of(look(database_dsn, **TOLD), "regressed_statement"))
    finally:
        admin.execute("REVOKE pg_monitor FROM courtkeeper")
    assert finding.status is Status.SKIPPED
    assert "may not read the upkeep's snapshots" in finding.summary


def test_snapshots_that_the_server_may_not_read_are_critical(
    postgres: Server, dsn: str, admin: psycopg.Connection[Any]
) -> None:
    snapshot(admin)
    with unreadable(file_of(postgres, dsn, "courtkeeper.statistics_snapshots")):
        (finding,) = (one for one in look(dsn, **TOLD).findings if one.status is Status.CRIT)
    assert finding.fix == MEND_FILES
    assert "was not found out: could not open file" in finding.summary
