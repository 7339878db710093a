"""Faults of the group `structure`: the right finding, and a remedy that works."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from support.findings import apply, only

GROUP = ["collation_version", "disabled_trigger", "foreign_key_index", "not_valid", "primary_key"]


@pytest.mark.parametrize("name", GROUP)
def test_the_platforms_own_schema_is_clean(ask: Any, name: str) -> None:
    assert only(ask(f"structure.{name}")).status is Status.OK


def test_a_foreign_key_that_was_never_validated(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute('CREATE TABLE "Order" (id int PRIMARY KEY, parent int)')
    admin.execute('ALTER TABLE "Order" ADD CONSTRAINT "Of" FOREIGN KEY (parent) REFERENCES "Order" NOT VALID')
    finding = only(ask("structure.not_valid"))
    assert (finding.status, finding.subject) == (Status.WARN, 'public."Order"."Of"')
    assert "foreign key" in finding.summary
    apply(admin, finding.fix)
    assert only(ask("structure.not_valid")).status is Status.OK


def test_a_check_is_reported_with_the_parent_that_hands_it_down(
    ask: Any, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE TABLE measured (n int) PARTITION BY RANGE (n)")
    admin.execute("CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM (0) TO (10)")
    admin.execute("ALTER TABLE measured ADD CONSTRAINT small CHECK (n < 5) NOT VALID")
    finding = only(ask("structure.not_valid"))
    assert finding.subject == "public.measured.small"
    apply(admin, finding.fix)
    assert only(ask("structure.not_valid")).status is Status.OK


def test_a_domain_constraint_that_was_never_validated(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE DOMAIN percent AS int")
    admin.execute("ALTER DOMAIN percent ADD CONSTRAINT range CHECK (VALUE <= 100) NOT VALID")
    finding = only(ask("structure.not_valid"))
    assert finding.subject == "public.percent.range"
    apply(admin, finding.fix)
    assert only(ask("structure.not_valid")).status is Status.OK


class TestForeignKeyWithoutIndex:
    def test_of_two_columns_in_any_order(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE parent (a int, b int, PRIMARY KEY (a, b))")
        admin.execute(
            "CREATE TABLE child (id int PRIMARY KEY, x int, y int, FOREIGN KEY (x, y) REFERENCES parent)"
        )
        admin.execute("CREATE INDEX ON child (y, id)")  # leads with one of the two only
        finding = only(ask("structure.foreign_key_index"))
        assert (finding.status, finding.subject) == (Status.WARN, "public.child.child_x_y_fkey")
        assert "begins with x, y" in finding.summary
        apply(admin, finding.fix)
        assert only(ask("structure.foreign_key_index")).status is Status.OK
        apply(admin, finding.undo)
        admin.execute("CREATE INDEX ON child (y, x, id)")
        assert only(ask("structure.foreign_key_index")).status is Status.OK

    def test_an_index_that_leaves_out_more_than_nulls_will_not_do(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        admin.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        admin.execute("CREATE TABLE child (id int PRIMARY KEY, of int REFERENCES parent)")
        admin.execute("CREATE INDEX half ON child (of) WHERE of > 10")
        assert only(ask("structure.foreign_key_index")).subject == "public.child.child_of_fkey"
        admin.execute("CREATE INDEX ON child (of) WHERE of IS NOT NULL")
        assert only(ask("structure.foreign_key_index")).status is Status.OK

    def test_keys_of_one_name_get_an_index_each(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        for table in ("one", "two"):
            admin.execute(
                sql.SQL("CREATE TABLE {} (n int PRIMARY KEY, of int CONSTRAINT it REFERENCES parent)").format(
                    sql.Identifier(table)
                )
            )
        findings = ask("structure.foreign_key_index")
        assert [f.subject for f in findings] == ["public.one.it", "public.two.it"]
        for finding in findings:
            apply(admin, finding.fix)
        assert only(ask("structure.foreign_key_index")).status is Status.OK

    def test_of_a_partitioned_table_once(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        admin.execute(
            "CREATE TABLE child (n int PRIMARY KEY, of int REFERENCES parent) PARTITION BY RANGE (n)"
        )
        for number in range(3):
            admin.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF child FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(f"child_{number}"), number, number + 1
                )
            )
        finding = only(ask("structure.foreign_key_index"))
        assert finding.subject == "public.child.child_of_fkey"
        apply(admin, finding.fix)
        assert only(ask("structure.foreign_key_index")).status is Status.OK


def test_a_table_without_a_primary_key(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE TABLE loose (word text)")
    finding = only(ask("structure.primary_key"))
    assert (finding.status, finding.subject) == (Status.WARN, "public.loose")
    apply(admin, finding.fix)
    assert only(ask("structure.primary_key")).status is Status.OK


def test_a_unique_index_that_could_be_the_primary_key_is_named(
    ask: Any, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE TABLE loose (word text NOT NULL, maybe text)")
    admin.execute("CREATE UNIQUE INDEX loose_maybe ON loose (maybe)")
    admin.execute("CREATE UNIQUE INDEX loose_word ON loose (word)")
    finding = only(ask("structure.primary_key"))
    assert finding.fix == "ALTER TABLE public.loose ADD PRIMARY KEY USING INDEX loose_word;"
    apply(admin, finding.fix)
    assert only(ask("structure.primary_key")).status is Status.OK


def test_an_archive_table_from_before_its_mark_has_no_key_on_purpose(
    ask: Any, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE SCHEMA archive")
    admin.execute("CREATE TABLE archive.jobs (LIKE jobs, archived_at timestamptz NOT NULL)")
    assert only(ask("structure.primary_key")).status is Status.OK
    # A table of somebody else's with a column of that name.
    admin.execute("CREATE TABLE loose (n int, archived_at timestamptz NOT NULL DEFAULT now())")
    assert only(ask("structure.primary_key")).subject == "public.loose"


def test_a_partition_of_a_table_without_a_primary_key_is_not_named_again(
    ask: Any, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE TABLE loose (n int) PARTITION BY RANGE (n)")
    admin.execute("CREATE TABLE loose_1 PARTITION OF loose FOR VALUES FROM (0) TO (10)")
    assert only(ask("structure.primary_key")).subject == "public.loose"


def test_the_disabled_triggers_of_a_foreign_key_are_one_finding(
    ask: Any, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE TABLE parent (id int PRIMARY KEY)")
    admin.execute("CREATE TABLE child (id int PRIMARY KEY REFERENCES parent)")
    admin.execute("ALTER TABLE child DISABLE TRIGGER ALL")
    finding = only(ask("structure.disabled_trigger"))
    assert (finding.status, finding.subject) == (Status.CRIT, "public.child.child_id_fkey")
    apply(admin, finding.fix)
    assert only(ask("structure.disabled_trigger")).status is Status.OK
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        admin.execute("INSERT INTO child VALUES (1)")
    apply(admin, finding.undo)
    assert only(ask("structure.disabled_trigger")).subject == finding.subject


def test_a_disabled_trigger_of_the_users(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TABLE stamped (id int PRIMARY KEY);"
        'CREATE TRIGGER "Stamp" BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();'
        "ALTER TABLE stamped DISABLE TRIGGER USER"
    )
    finding = only(ask("structure.disabled_trigger"))
    assert (finding.status, finding.subject) == (Status.WARN, 'public.stamped."Stamp"')
    apply(admin, finding.fix)
    assert only(ask("structure.disabled_trigger")).status is Status.OK


def test_a_collation_that_sorts_otherwise_now(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE COLLATION \"Sorting\" (provider = builtin, locale = 'C.UTF-8')")
    admin.execute('CREATE TABLE words (word text COLLATE "Sorting" PRIMARY KEY)')
    assert only(ask("structure.collation_version")).status is Status.OK
    # Written by hand, because the library itself cannot be exchanged under a running server.
    admin.execute("UPDATE pg_collation SET collversion = '1.2' WHERE collname = 'Sorting'")
    finding = only(ask("structure.collation_version"))
    assert (finding.status, finding.subject) == (Status.CRIT, 'public."Sorting"')
    assert finding.threshold == "1.2"
    assert "REINDEX INDEX CONCURRENTLY public.words_pkey;" in finding.fix
    apply(admin, finding.fix)
    assert only(ask("structure.collation_version")).status is Status.OK


def test_a_database_that_sorts_otherwise_now(postgres: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute(
        "CREATE DATABASE \"Sorted\" TEMPLATE template0 LOCALE 'C' "
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
    )
    try:
        admin.execute("UPDATE pg_database SET datcollversion = '1.2' WHERE datname = 'Sorted'")
        dsn = psycopg.conninfo.make_conninfo(postgres.admin_dsn, dbname="Sorted")
        checks = choose(names=["structure.collation_version"])
        finding = only(integrity(DatabaseSettings.from_dsn(dsn), checks).findings)
        assert (finding.status, finding.subject) == (Status.CRIT, '"Sorted"')
        with psycopg.connect(dsn, autocommit=True) as there:
            apply(there, finding.fix)
        assert only(integrity(DatabaseSettings.from_dsn(dsn), checks).findings).status is Status.OK
    finally:
        admin.execute('DROP DATABASE "Sorted" WITH (FORCE)')
