"""Upkeep of indexes: a fault made in a real database is mended, and the check that found it finds no more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.postgres.upkeep.disk import Room
from support.findings import apply, only
from support.postgres import Server
from support.upkeep import Upkeep

Admin = psycopg.Connection[Any]


def broken_unique_index(admin: Admin) -> None:
    """A unique index that could not be built, as two rows are the same."""
    admin.execute("CREATE TABLE twice (n int); INSERT INTO twice VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute('CREATE UNIQUE INDEX CONCURRENTLY "Once" ON twice (n)')


def invalidate(admin: Admin, name: str) -> None:
    admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [name])


def indexes(admin: Admin, table: str) -> dict[str, str]:
    rows = admin.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
    return dict(rows.fetchall())


class TestInvalid:
    def test_is_built_again_and_the_second_run_does_nothing(
        self, upkeep: Upkeep, ask: Any, admin: Admin
    ) -> None:
        broken_unique_index(admin)
        admin.execute("DELETE FROM twice WHERE ctid = '(0,1)'")
        planned = upkeep(duties=["invalid_indexes"], check_mode=True)
        assert only(ask("indexes.invalid")).status is Status.CRIT  # planning changes nothing
        assert admin.execute("SELECT to_regnamespace('courtkeeper')").fetchone() == (None,)
        done = upkeep(duties=["invalid_indexes"])
        assert planned.actions == done.actions
        assert planned.changed
        finding = only(done.findings)
        assert (finding.id, finding.subject) == ("postgres.indexes.invalid", 'public."Once"')
        assert finding.status is Status.OK
        assert finding.applied == 'REINDEX INDEX CONCURRENTLY public."Once";'
        assert finding.undo.startswith("-- nothing to take back")
        assert only(ask("indexes.invalid")).status is Status.OK
        again = upkeep(duties=["invalid_indexes"])
        assert (again.changed, again.actions) == (False, [])

    def test_that_cannot_be_built_leaves_nothing_behind(self, upkeep: Upkeep, admin: Admin) -> None:
        broken_unique_index(admin)
        result = upkeep(duties=["invalid_indexes"])
        finding = only(result.findings)
        assert finding.status is Status.CRIT
        assert "could not create unique index" in finding.summary
        assert set(indexes(admin, "twice")) == {"Once"}

    def test_a_leftover_of_reindex_is_dropped_and_the_good_one_stays(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        admin.execute("CREATE TABLE t (a int, b int)")
        for name in ("t_a", "t_a_ccnew", "t_a_ccold1"):
            admin.execute(f"CREATE INDEX {name} ON t (a) WHERE b > 0")
        invalidate(admin, "t_a_ccnew")
        invalidate(admin, "t_a_ccold1")
        result = upkeep(duties=["invalid_indexes"])
        assert {finding.status for finding in result.findings} == {Status.OK}
        assert set(indexes(admin, "t")) == {"t_a"}

    def test_one_that_is_only_called_like_a_leftover_is_built_again(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        admin.execute(
            "CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a); CREATE INDEX t_a_ccnew ON t (b)"
        )
        invalidate(admin, "t_a_ccnew")
        assert only(upkeep(duties=["invalid_indexes"]).findings).applied.startswith("REINDEX")
        assert set(indexes(admin, "t")) == {"t_a", "t_a_ccnew"}


def bloated_index(admin: Admin) -> None:
    """An index of 10 MB and more of which nearly all is air."""
    admin.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    admin.execute("CREATE TABLE airy (n int) WITH (autovacuum_enabled = off)")
    admin.execute("INSERT INTO airy SELECT generate_series(1, 600000)")
    admin.execute("CREATE INDEX airy_n ON airy (n)")
    admin.execute("DELETE FROM airy WHERE n % 20 > 0")
    admin.execute("VACUUM (ANALYZE) airy")


class TestBloat:
    def test_that_was_measured_is_built_again(self, upkeep: Upkeep, ask: Any, admin: Admin) -> None:
        bloated_index(admin)
        result = upkeep(duties=["bloated_indexes"])
        finding = only(result.findings)
        assert (finding.subject, finding.status) == ("public.airy_n", Status.OK)
        assert "MB before" in finding.summary
        assert result.metrics["bytes_freed"] > 5_000_000
        assert only(ask("indexes.bloat")).status is Status.OK
        assert upkeep(duties=["bloated_indexes"]).actions == []

    def test_that_is_only_estimated_is_left(self, upkeep: Upkeep, admin: Admin) -> None:
        bloated_index(admin)
        admin.execute("DROP EXTENSION pgstattuple")
        before = admin.execute("SELECT pg_relation_size('airy_n')").fetchone()
        finding = only(upkeep(duties=["bloated_indexes"]).findings)
        assert (finding.status, finding.fix) == (Status.UNKNOWN, "CREATE EXTENSION pgstattuple;")
        assert admin.execute("SELECT pg_relation_size('airy_n')").fetchone() == before

    def test_without_room_on_the_disk_is_left(self, upkeep: Upkeep, admin: Admin) -> None:
        bloated_index(admin)
        full = Room(name="pg_default", free=12_000_000, total=100_000_000)
        result = upkeep(duties=["bloated_indexes"], room=lambda *_: full)
        finding = only(result.findings)
        assert finding.status is Status.SKIPPED
        assert "the tablespace pg_default has 11.4 MB free" in finding.summary


def test_the_room_on_the_disk_of_a_server_here_is_known(upkeep: Upkeep, admin: Admin) -> None:
    from courtkeeper import database
    from courtkeeper.postgres import server as servers
    from courtkeeper.postgres.check import Context
    from courtkeeper.postgres.upkeep.disk import room

    with database.connect(
        upkeep.settings, purpose="t", lock_timeout_s=2, statement_timeout_s=9
    ) as connection:
        context = Context(connection=connection, database=upkeep.settings, server=servers.look(connection))
        here = room(context, "public.games")
    assert here
    assert here.name == "pg_default"
    assert 0 < here.free < here.total


FOREIGN_KEY = "public.child.child_parent_id_fkey"


class TestForeignKey:
    @pytest.fixture(autouse=True)
    def tables(self, admin: Admin) -> None:
        admin.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        admin.execute("CREATE TABLE child (parent_id int REFERENCES parent)")

    def test_gets_an_index_only_when_named_and_loses_it_by_undo(self, upkeep: Upkeep, admin: Admin) -> None:
        assert upkeep(duties=["foreign_key_indexes"]).findings[0].id == "postgres.upkeep"
        assert indexes(admin, "child") == {}
        finding = only(upkeep(duties=["foreign_key_indexes"], create_indexes=[FOREIGN_KEY]).findings)
        assert (finding.subject, finding.status) == (FOREIGN_KEY, Status.OK)
        assert len(indexes(admin, "child")) == 1
        assert not upkeep(duties=["foreign_key_indexes"], create_indexes=[FOREIGN_KEY]).changed
        apply(admin, finding.undo)
        assert indexes(admin, "child") == {}

    def test_that_is_not_there_is_said(self, upkeep: Upkeep) -> None:
        finding = only(upkeep(create_indexes=["public.child.no"], duties=["foreign_key_indexes"]).findings)
        assert finding.status is Status.SKIPPED
        assert "There is no foreign key public.child.no" in finding.summary

    def test_a_name_that_cannot_be_read_is_refused_before_anything_is_changed(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        with pytest.raises(ConfigurationError, match="create_indexes holds a name that cannot be read"):
            upkeep(create_indexes=['public."child.x'])
        assert admin.execute("SELECT to_regnamespace('courtkeeper')").fetchone() == (None,)


class TestRedundant:
    @pytest.fixture(autouse=True)
    def table(self, admin: Admin) -> None:
        admin.execute("CREATE TABLE t (a int, b int)")
        for name, columns in (("one", "a"), ("same", "a"), ("longer", "b, a"), ("short", "b")):
            admin.execute(f'CREATE INDEX "{name}" ON t ({columns})')

    def test_goes_only_when_named_and_comes_back_by_undo(self, upkeep: Upkeep, admin: Admin) -> None:
        before = indexes(admin, "t")
        assert not upkeep(duties=["redundant_indexes"]).findings[0].applied
        told = {"duties": ["redundant_indexes"], "drop_indexes": ["same", "public.short"]}
        findings = upkeep(**told).findings
        assert {(finding.subject, finding.status) for finding in findings} == {
            ("public.same", Status.OK),
            ("public.short", Status.OK),
        }
        assert set(indexes(admin, "t")) == {"one", "longer"}
        again = upkeep(**told)
        assert (again.changed, only(again.findings).id) == (False, "postgres.upkeep")
        for finding in findings:
            apply(admin, finding.undo)
        assert indexes(admin, "t") == before

    def test_one_that_nothing_repeats_stays(self, upkeep: Upkeep, admin: Admin) -> None:
        finding = only(upkeep(duties=["redundant_indexes"], drop_indexes=["longer"]).findings)
        assert finding.status is Status.SKIPPED
        assert "public.longer stays" in finding.summary
        assert "longer" in indexes(admin, "t")


def test_the_owner_may_do_it_without_being_a_superuser(
    upkeep: Upkeep, postgres: Server, database_dsn: str, admin: Admin
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database_dsn)["dbname"])
    admin.execute(
        f'GRANT CREATE ON DATABASE "{name}" TO courtkeeper; GRANT CREATE ON SCHEMA public TO courtkeeper'
    )
    with psycopg.connect(database_dsn, autocommit=True) as own:
        own.execute("CREATE TABLE mine (n int); CREATE INDEX mine_n ON mine (n)")
    invalidate(admin, "mine_n")
    broken_unique_index(admin)
    statuses = {f.subject: f for f in Upkeep(database_dsn)(duties=["invalid_indexes"]).findings}
    assert statuses["public.mine_n"].status is Status.OK
    assert statuses['public."Once"'].status is Status.SKIPPED
    assert "permission denied" in statuses['public."Once"'].summary
