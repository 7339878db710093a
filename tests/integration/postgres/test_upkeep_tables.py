"""Upkeep of tables, constraints, collations and extensions in a real database."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from courtkeeper.findings import Status
from support.findings import apply, only
from support.postgres import Server
from support.upkeep import Upkeep

Admin = psycopg.Connection[Any]


def dead_rows(admin: Admin, name: str = "dead") -> None:
    """A table of 1,000 rows beside 4,000 dead ones."""
    admin.execute(f"CREATE TABLE {name} (n int) WITH (autovacuum_enabled = off)")
    admin.execute(f"INSERT INTO {name} SELECT generate_series(1, 5000)")
    admin.execute(f"DELETE FROM {name} WHERE n > 1000")
    admin.execute("SELECT pg_stat_force_next_flush()")


class TestVacuum:
    def test_of_what_is_due_and_of_nothing_else(self, upkeep: Upkeep, admin: Admin) -> None:
        dead_rows(admin)
        admin.execute("CREATE TABLE fine AS SELECT generate_series(1, 5000) AS n")
        done = upkeep(duties=["vacuum"])
        finding = only(done.findings)
        assert (finding.subject, finding.status) == ("public.dead", Status.OK)
        assert "4,000 dead rows before, 0 now" in finding.summary
        assert upkeep(duties=["vacuum"]).actions == []

    def test_a_tables_own_threshold_counts(self, upkeep: Upkeep, admin: Admin) -> None:
        dead_rows(admin)
        admin.execute("ALTER TABLE dead SET (autovacuum_vacuum_threshold = 5000)")
        assert only(upkeep(duties=["vacuum"]).findings).id == "postgres.upkeep"

    def test_that_an_old_snapshot_makes_vain_says_so(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("CREATE TABLE other (n int)")
        with psycopg.connect(admin.info.dsn, password=admin.info.password) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM other")
            dead_rows(admin)
            finding = only(upkeep(duties=["vacuum"]).findings)
        assert finding.status is Status.WARN
        assert "to no avail" in finding.summary
        assert "activity.old_transaction" in finding.fix


class TestAnalyze:
    def test_of_what_was_never_analyzed_or_has_changed(self, upkeep: Upkeep, admin: Admin) -> None:
        upkeep(duties=["analyze"])
        admin.execute("CREATE TABLE fresh AS SELECT generate_series(1, 100) AS n")
        admin.execute("CREATE TABLE moved AS SELECT generate_series(1, 100) AS n; ANALYZE moved")
        admin.execute("UPDATE moved SET n = n + 1")
        admin.execute("SELECT pg_stat_force_next_flush()")
        done = upkeep(duties=["analyze"])
        assert {(f.subject, f.status) for f in done.findings} == {
            ("public.fresh", Status.OK),
            ("public.moved", Status.OK),
        }
        assert upkeep(duties=["analyze"]).actions == []

    def test_a_partitioned_table_is_analyzed_once_as_a_whole(self, upkeep: Upkeep, admin: Admin) -> None:
        upkeep(duties=["analyze"])
        admin.execute("CREATE TABLE parted (n int) PARTITION BY RANGE (n)")
        admin.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000)")
        admin.execute("INSERT INTO parted SELECT generate_series(0, 999)")
        admin.execute("SELECT pg_stat_force_next_flush()")
        done = upkeep(duties=["analyze"])
        assert only(done.findings).subject == "public.parted"
        seen = admin.execute("SELECT count(*) FROM pg_stats WHERE tablename LIKE 'parted%'").fetchone()
        assert seen == (2,)
        assert upkeep(duties=["analyze"]).actions == []


class TestConstraint:
    @pytest.fixture(autouse=True)
    def tables(self, admin: Admin) -> None:
        admin.execute("CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1)")
        admin.execute("CREATE TABLE child (id int, at int); INSERT INTO child VALUES (1, 1)")
        admin.execute(
            'ALTER TABLE child ADD CONSTRAINT "Fk" FOREIGN KEY (id) REFERENCES parent NOT VALID, '
            "ADD CONSTRAINT late CHECK (at > 0) NOT VALID"
        )

    def test_is_validated(self, upkeep: Upkeep, ask: Any) -> None:
        done = upkeep(duties=["constraints"])
        assert {(f.subject, f.status) for f in done.findings} == {
            ('public.child."Fk"', Status.OK),
            ("public.child.late", Status.OK),
        }
        assert only(ask("structure.not_valid")).status is Status.OK
        assert upkeep(duties=["constraints"]).actions == []

    def test_with_orphans_is_named_and_left(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("SET session_replication_role = replica; INSERT INTO child VALUES (7, 7)")
        admin.execute("SET session_replication_role = DEFAULT")
        found = {f.subject: f for f in upkeep(duties=["constraints"]).findings}
        assert found["public.child.late"].status is Status.OK
        orphan = found['public.child."Fk"']
        assert orphan.status is Status.CRIT
        assert 'violates foreign key constraint "Fk"' in orphan.summary
        assert "7" not in orphan.summary


class TestCollation:
    @pytest.fixture(autouse=True)
    def changed(self, admin: Admin) -> None:
        """A collation whose indexes were built by another version of it."""
        admin.execute("CREATE COLLATION \"Cz\" (provider = builtin, locale = 'C.UTF-8')")
        admin.execute('CREATE TABLE names (a text COLLATE "Cz", b text)')
        admin.execute("CREATE INDEX names_a ON names (a); CREATE INDEX names_lower ON names (lower(a))")
        admin.execute("INSERT INTO names SELECT n::text, n FROM generate_series(1, 2000) n")
        admin.execute("UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'Cz'")

    def rebuilt(self, admin: Admin) -> dict[str, int]:
        """The files of the indexes, which are others after a rebuild."""
        files = "SELECT relname, relfilenode::int FROM pg_class WHERE relname LIKE 'names\\_%'"
        return dict(admin.execute(files).fetchall())

    def test_is_refreshed_after_its_indexes(self, upkeep: Upkeep, ask: Any, admin: Admin) -> None:
        before = self.rebuilt(admin)
        done = upkeep(duties=["collations"])
        assert {f.status for f in done.findings} == {Status.OK}
        assert [action.split()[0] for action in done.actions[-3:]] == ["build", "build", "note"]
        after = self.rebuilt(admin)
        assert all(after[name] != before[name] for name in before)
        assert only(ask("structure.collation_version")).status is Status.OK
        assert upkeep(duties=["collations"]).actions == []

    def test_is_not_refreshed_while_an_index_could_not_be_built(
        self, upkeep: Upkeep, ask: Any, admin: Admin
    ) -> None:
        with psycopg.connect(admin.info.dsn, password=admin.info.password) as holder:
            holder.execute("LOCK TABLE names IN SHARE UPDATE EXCLUSIVE MODE")
            stopped = upkeep(duties=["collations"], lock_timeout_s=0.2)
        assert {f.status for f in stopped.findings} == {Status.SKIPPED}
        assert only(ask("structure.collation_version")).status is Status.CRIT
        assert {f.status for f in upkeep(duties=["collations"]).findings} == {Status.OK}

    def test_goes_on_where_the_last_run_ended(self, upkeep: Upkeep, ask: Any, admin: Admin) -> None:
        with psycopg.connect(admin.info.dsn, password=admin.info.password) as holder:
            holder.execute('CREATE TABLE second (a text COLLATE "Cz")')
            holder.execute("CREATE INDEX second_a ON second (a)")
            holder.commit()
            holder.execute("LOCK TABLE second IN SHARE UPDATE EXCLUSIVE MODE")
            first = upkeep(duties=["collations"], lock_timeout_s=0.2)
        assert [action.split()[0] for action in first.actions[-2:]] == ["build", "build"], first.findings
        before = self.rebuilt(admin)
        done = upkeep(duties=["collations"])
        assert [action.split()[0] for action in done.actions] == ["build", "note"]
        assert self.rebuilt(admin) == before  # these were built by the first run
        assert only(ask("structure.collation_version")).status is Status.OK

    def test_of_the_database_itself(self, postgres: Server, admin: Admin) -> None:
        admin.execute(
            "CREATE DATABASE \"Kept\" TEMPLATE template0 LOCALE 'C' "
            "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        )
        try:
            dsn = psycopg.conninfo.make_conninfo(postgres.admin_dsn, dbname="Kept")
            with psycopg.connect(dsn, autocommit=True) as there:
                there.execute("CREATE TABLE names (b text); CREATE INDEX names_b ON names (b)")
                before = self.rebuilt(there)
                admin.execute("UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'Kept'")
                done = Upkeep(dsn)(duties=["collations"])
                assert [action.split()[0] for action in done.actions[-2:]] == ["build", "note"]
                assert self.rebuilt(there) != before
                assert Upkeep(dsn)(duties=["collations"]).actions == []
        finally:
            admin.execute('DROP DATABASE "Kept" WITH (FORCE)')


class TestExtension:
    @pytest.fixture(autouse=True)
    def old(self, admin: Admin) -> None:
        admin.execute("DROP EXTENSION IF EXISTS pgstattuple")
        admin.execute("CREATE EXTENSION pgstattuple VERSION '1.4'")

    def version(self, admin: Admin) -> Any:
        return admin.execute("SELECT extversion FROM pg_extension WHERE extname = 'pgstattuple'").fetchone()

    def test_is_updated_only_by_name(self, upkeep: Upkeep, admin: Admin) -> None:
        finding = only(upkeep(duties=["extensions"]).findings)
        assert (finding.subject, finding.status) == ("pgstattuple", Status.SKIPPED)
        assert self.version(admin) == ("1.4",)
        finding = only(upkeep(duties=["extensions"], extensions=["pgstattuple"]).findings)
        assert finding.status is Status.OK
        assert finding.undo.startswith("-- the extension has no script from")
        assert self.version(admin) != ("1.4",)
        assert upkeep(duties=["extensions"], extensions=["*"]).actions == []


def test_a_full_sequence_is_advice_and_nothing_is_done(upkeep: Upkeep, admin: Admin) -> None:
    admin.execute("CREATE TABLE tickets (id serial PRIMARY KEY)")
    admin.execute("SELECT setval('tickets_id_seq', (2147483647 * 0.95)::bigint)")
    finding = only(upkeep(duties=["sequences"]).findings)
    assert (finding.status, finding.applied) == (Status.CRIT, "")
    apply(admin, finding.fix)
    assert only(upkeep(duties=["sequences"]).findings).id == "postgres.upkeep"
