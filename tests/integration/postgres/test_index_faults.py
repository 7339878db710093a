"""Faults of the group `indexes`: the right finding, and a remedy and an undo that work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from courtkeeper import database
from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.check import Context, choose
from courtkeeper.postgres.integrity import run
from support.findings import apply, only
from support.postgres import Server

CLEAN = ["bloat", "duplicate", "invalid", "missing", "overlapping"]


@pytest.fixture
def ask_later(postgres: Server, database_dsn: str) -> Callable[..., list[Finding]]:
    """Ask one check of a server that believes its statistics to be as old as told."""
    settings = DatabaseSettings.from_dsn(postgres.admin_dsn_for(database_dsn))

    def asked(name: str, days: float, **limits: float) -> list[Finding]:
        (check,) = choose(names=[name], thresholds={name: limits})
        with database.connect(
            settings, purpose="test", lock_timeout_s=2, statement_timeout_s=20
        ) as connection:
            connection.read_only = True
            server = servers.look(connection)
            long_ago = server.now - timedelta(days=days)
            server = msgspec.structs.replace(server, stats_reset=long_ago)
            context = Context(connection=connection, database=settings, server=server)
            return list(run(check, context))

    return asked


def definitions(admin: psycopg.Connection[Any], table: str) -> set[str]:
    """Every index of a table, as the server defines it."""
    rows = admin.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
    return {definition for (definition,) in rows}


def flush(admin: psycopg.Connection[Any]) -> None:
    """Have the statistics of what this session did counted now."""
    admin.execute("SELECT pg_stat_force_next_flush()")


@pytest.mark.parametrize("name", CLEAN)
def test_the_platforms_own_schema_is_clean(ask: Any, name: str) -> None:
    assert only(ask(f"indexes.{name}")).status is Status.OK


def test_an_index_that_could_not_be_built(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE TABLE twice (n int); INSERT INTO twice VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute('CREATE UNIQUE INDEX CONCURRENTLY "Once" ON twice (n)')
    finding = only(ask("indexes.invalid"))
    assert (finding.status, finding.subject) == (Status.CRIT, 'public."Once"')
    admin.execute("DELETE FROM twice WHERE ctid = '(0,1)'")
    apply(admin, finding.fix)
    assert only(ask("indexes.invalid")).status is Status.OK


class TestDuplicate:
    def test_the_younger_of_two_goes_and_comes_back(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE t (a int, b text)")
        admin.execute("CREATE INDEX older ON t (a, lower(b)) WHERE a > 3")
        admin.execute('CREATE INDEX "Younger" ON t (a, lower(b)) WHERE a > 3')
        before = definitions(admin, "t")
        finding = only(ask("indexes.duplicate"))
        assert (finding.status, finding.subject) == (Status.WARN, 'public."Younger"')
        assert "the same as public.older" in finding.summary
        apply(admin, finding.fix)
        assert only(ask("indexes.duplicate")).status is Status.OK
        apply(admin, finding.undo)
        assert definitions(admin, "t") == before

    def test_the_one_that_a_constraint_stands_on_stays(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        admin.execute("CREATE TABLE t (a int)")
        admin.execute("CREATE INDEX plain ON t (a)")
        admin.execute("ALTER TABLE t ADD PRIMARY KEY (a)")
        finding = only(ask("indexes.duplicate"))
        assert finding.subject == "public.plain"
        assert "public.t_pkey" in finding.summary

    @pytest.mark.parametrize(
        "other",
        [
            "CREATE INDEX ON t (a DESC)",
            "CREATE INDEX ON t (a) WHERE a > 4",
            "CREATE INDEX ON t USING hash (a)",
            "CREATE INDEX ON t (a) INCLUDE (b)",
            "CREATE INDEX ON t (b)",
        ],
    )
    def test_what_is_not_the_same(self, ask: Any, admin: psycopg.Connection[Any], other: str) -> None:
        admin.execute("CREATE TABLE t (a int, b text)")
        admin.execute(
            "CREATE INDEX first ON t (a) WHERE a > 3" if "WHERE" in other else "CREATE INDEX ON t (a)"
        )
        admin.execute(other)
        assert only(ask("indexes.duplicate")).status is Status.OK

    def test_two_by_constraints_are_nobodys_to_drop(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE t (a int PRIMARY KEY)")
        admin.execute("ALTER TABLE t ADD UNIQUE (a)")
        assert only(ask("indexes.duplicate")).status is Status.OK

    def test_of_a_partitioned_table_once(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE t (a int) PARTITION BY RANGE (a)")
        admin.execute("CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10)")
        admin.execute("CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (10) TO (20)")
        admin.execute("CREATE INDEX older ON t (a)")
        admin.execute("CREATE INDEX younger ON t (a)")
        finding = only(ask("indexes.duplicate"))
        assert finding.subject == "public.younger"
        apply(admin, finding.fix)
        assert only(ask("indexes.duplicate")).status is Status.OK
        apply(admin, finding.undo)
        assert len(definitions(admin, "t_1")) == len(definitions(admin, "t_2")) == 2


class TestOverlapping:
    def test_the_shorter_goes_and_comes_back(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE t (a int, b int, c int)")
        admin.execute("CREATE INDEX short ON t (a, b DESC)")
        admin.execute("CREATE INDEX long ON t (a, b DESC, c)")
        before = definitions(admin, "t")
        finding = only(ask("indexes.overlapping"))
        assert (finding.status, finding.subject) == (Status.WARN, "public.short")
        assert "the beginning of public.long" in finding.summary
        apply(admin, finding.fix)
        assert only(ask("indexes.overlapping")).status is Status.OK
        apply(admin, finding.undo)
        assert definitions(admin, "t") == before

    @pytest.mark.parametrize(
        "shorter",
        [
            "CREATE UNIQUE INDEX ON t (a)",
            "ALTER TABLE t ADD PRIMARY KEY (a)",
            "ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)",
            "CREATE INDEX ON t (a DESC)",
            "CREATE INDEX ON t (b)",
            "CREATE INDEX ON t (a) WHERE a > 3",
            "CREATE INDEX ON t (a) INCLUDE (c)",
            "CREATE INDEX ON t USING hash (a)",
            "CREATE INDEX ON t (b, a)",
            "CREATE INDEX clustered ON t (a); ALTER TABLE t CLUSTER ON clustered",
        ],
    )
    def test_what_is_not_redundant(self, ask: Any, admin: psycopg.Connection[Any], shorter: str) -> None:
        admin.execute("CREATE TABLE t (a int NOT NULL, b int, c int)")
        admin.execute("CREATE INDEX ON t (a, b)")
        admin.execute(shorter)
        assert only(ask("indexes.overlapping")).status is Status.OK

    def test_the_replica_identity_stays(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE t (a int NOT NULL, b int)")
        admin.execute("CREATE UNIQUE INDEX named ON t (a)")
        admin.execute("ALTER TABLE t REPLICA IDENTITY USING INDEX named")
        admin.execute("CREATE INDEX ON t (a, b)")
        assert only(ask("indexes.overlapping")).status is Status.OK


class TestUnused:
    @pytest.fixture
    def unused(self, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE INDEX nobody ON t (a)")
        admin.execute("INSERT INTO t SELECT n, n FROM generate_series(1, 100000) n")
        admin.execute("VACUUM ANALYZE t")

    @pytest.mark.usefixtures("unused")
    def test_nothing_is_said_by_young_statistics(self, ask_later: Any) -> None:
        finding = only(ask_later("indexes.unused", 6.9))
        assert finding.status is Status.SKIPPED
        assert "6.9 days only, 7 are needed" in finding.summary

    @pytest.mark.usefixtures("unused")
    def test_an_index_that_no_query_used_in_a_week(
        self, ask_later: Any, admin: psycopg.Connection[Any]
    ) -> None:
        before = definitions(admin, "t")
        finding = only(ask_later("indexes.unused", 7.1))
        assert (finding.status, finding.subject, finding.observed) == (Status.WARN, "public.nobody", 0)
        apply(admin, finding.fix)
        assert only(ask_later("indexes.unused", 7.1)).status is Status.OK
        apply(admin, finding.undo)
        assert definitions(admin, "t") == before

    @pytest.mark.usefixtures("unused")
    def test_one_that_is_used_often_enough(self, ask_later: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("SET enable_seqscan = off")
        for _ in range(51):
            admin.execute("SELECT FROM t WHERE a = 7")
        flush(admin)
        assert only(ask_later("indexes.unused", 8)).status is Status.OK

    @pytest.mark.usefixtures("unused")
    def test_one_that_a_foreign_key_needs(self, ask_later: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES t")
        assert only(ask_later("indexes.unused", 8)).status is Status.OK


def test_a_table_that_is_read_whole_again_and_again(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE TABLE scanned (id int PRIMARY KEY, a int)")
    admin.execute("INSERT INTO scanned SELECT n, n FROM generate_series(1, 20000) n")
    flush(admin)
    admin.execute("ANALYZE scanned")
    for _ in range(60):
        admin.execute("SELECT FROM scanned WHERE a = 7")
    flush(admin)
    finding = only(ask("indexes.missing"))
    assert (finding.status, finding.subject) == (Status.WARN, "public.scanned")
    assert "20,000 rows" in finding.summary
    seen = admin.execute(finding.fix).fetchall()
    assert any("WHERE a = $1" in query for _, _, query in seen)
    admin.execute("CREATE INDEX ON scanned (a)")
    admin.execute("SELECT pg_stat_reset_single_table_counters('scanned'::regclass)")
    admin.execute("ANALYZE scanned")
    for _ in range(60):
        admin.execute("SELECT FROM scanned WHERE a = 7")
    flush(admin)
    assert only(ask("indexes.missing")).status is Status.OK


class TestBloat:
    @pytest.fixture
    def bloated(self, admin: psycopg.Connection[Any]) -> None:
        """Nine of ten entries are gone, spread over all pages, so that none of them could be freed."""
        admin.execute("CREATE TABLE t (id int)")
        admin.execute("INSERT INTO t SELECT n FROM generate_series(1, 200000) n")
        admin.execute('CREATE INDEX "Airy" ON t (id)')
        admin.execute("DELETE FROM t WHERE id %% 10 <> 0", [])
        admin.execute("VACUUM ANALYZE t")

    @pytest.mark.usefixtures("bloated")
    def test_a_bloated_index_is_confirmed_and_built_again(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        finding = only(ask("indexes.bloat", min_mb=1))
        assert (finding.status, finding.subject) == (Status.CRIT, 'public."Airy"')
        assert 85 <= finding.observed <= 95
        apply(admin, finding.fix)
        assert only(ask("indexes.bloat", min_mb=1)).status is Status.OK

    @pytest.mark.usefixtures("bloated")
    def test_without_the_tool_it_is_an_estimate_only(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("DROP EXTENSION pgstattuple")
        finding = only(ask("indexes.bloat", min_mb=1))
        assert finding.status is Status.UNKNOWN
        assert "By estimate" in finding.summary
        apply(admin, finding.fix)
        assert only(ask("indexes.bloat", min_mb=1)).status is Status.CRIT

    @pytest.mark.usefixtures("bloated")
    def test_what_is_too_big_to_be_read_stays_an_estimate(self, ask: Any) -> None:
        finding = only(ask("indexes.bloat", min_mb=1, confirm_mb=2))
        assert finding.status is Status.UNKNOWN
        assert "over 2 MB" in finding.summary

    def test_without_statistics_and_without_the_tool_nothing_is_claimed(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        admin.execute("CREATE TABLE t (id int) WITH (autovacuum_enabled = off)")
        admin.execute("INSERT INTO t SELECT n FROM generate_series(1, 200000) n")
        admin.execute("CREATE INDEX fresh ON t (id)")
        assert only(ask("indexes.bloat", min_mb=1)).status is Status.OK  # measured instead
        admin.execute("DROP EXTENSION pgstattuple")
        finding = only(ask("indexes.bloat", min_mb=1))
        assert finding.status is Status.UNKNOWN
        apply(admin, finding.fix)
        assert only(ask("indexes.bloat", min_mb=1)).status is Status.OK
