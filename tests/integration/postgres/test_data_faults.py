"""Faults of the group `data`: games, orphans and declared rules that are broken, and bad rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from courtkeeper.database import MEND_FILES, DatabaseSettings
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from courtkeeper.postgres.settings import IntegritySettings, Rule
from support.damage import file_of, unreadable
from support.findings import apply, only
from support.postgres import Server

pytestmark = pytest.mark.slow

Ruled = Callable[..., list[Finding]]


@pytest.fixture
def unguarded(admin: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection with all triggers off, as a careless restore has it."""
    admin.execute("SET session_replication_role = replica")
    return admin


@pytest.fixture
def ruled(postgres: Server, database_dsn: str) -> Ruled:
    """Hold the database against one rule: `ruled(sql="SELECT …")`."""
    settings = DatabaseSettings.from_dsn(postgres.admin_dsn_for(database_dsn))

    def asked(statement_timeout_s: float = 30, **rule: Any) -> list[Finding]:
        told = IntegritySettings(
            rules=(Rule(**({"name": "teams"} | rule)),), statement_timeout_s=statement_timeout_s
        )
        return integrity(settings, choose(names=["data.rules"]), told).findings

    return asked


@pytest.mark.parametrize("name", ["integrity", "orphans"])
def test_an_empty_platform_is_clean(ask: Any, name: str) -> None:
    assert only(ask(f"data.{name}")).status is Status.OK


class TestVerifyDataIntegrity:
    def test_games_without_events_are_one_finding(self, ask: Any, admin: psycopg.Connection[Any]) -> None:
        admin.execute(
            "INSERT INTO teams SELECT n, 'City', 'Name', 'ABC', '2026-01-01' FROM generate_series(1, 2) n"
        )
        admin.execute(
            "INSERT INTO games (game_id, season, season_type, game_date, status, home_team_id, away_team_id,"
            " home_score, away_score, source) SELECT '00225000' || lpad(n::text, 2, '0'), 2025, 'regular',"
            " '2026-01-01', 'final', 1, 2, 100, 90, 'test' FROM generate_series(1, 7) n"
        )
        finding = only(ask("data.integrity"))
        assert (finding.status, finding.subject, finding.observed) == (Status.CRIT, "insufficient_events", 7)
        assert "0022500001: Final game has 0 events" in finding.summary
        assert finding.summary.endswith("and 2 more.")
        assert len(admin.execute(finding.fix).fetchall()) == 7
        admin.execute("UPDATE games SET status = 'scheduled'")
        assert only(ask("data.integrity")).status is Status.OK

    def test_a_database_without_the_function_was_not_verified(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        admin.execute("DROP FUNCTION verify_data_integrity()")
        assert only(ask("data.integrity")).status is Status.SKIPPED

    def test_a_role_that_may_not_call_it_is_told_the_grant(
        self, database_dsn: str, admin: psycopg.Connection[Any]
    ) -> None:
        admin.execute("REVOKE EXECUTE ON FUNCTION verify_data_integrity() FROM courtkeeper")
        settings, checks = DatabaseSettings.from_dsn(database_dsn), choose(names=["data.integrity"])
        finding = only(integrity(settings, checks).findings)
        assert finding.status is Status.SKIPPED
        apply(admin, finding.fix)
        assert only(integrity(settings, checks).findings).status is Status.OK

    def test_a_function_of_somebody_with_other_rights_is_not_called(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        """It would run with ours."""
        admin.execute("DROP FUNCTION verify_data_integrity()")
        admin.execute(
            "CREATE FUNCTION verify_data_integrity() "
            "RETURNS TABLE (issue_type text, game_id text, description text) LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'called'; END $$; "
            "ALTER FUNCTION verify_data_integrity() OWNER TO platform_api"
        )
        finding = only(ask("data.integrity"))
        assert finding.status is Status.SKIPPED
        assert "belongs to the role platform_api" in finding.summary
        assert "check the group data as platform_api" in finding.fix

    def test_what_lies_in_public_is_not_called_by_our_own_statements(
        self, ask: Any, admin: psycopg.Connection[Any]
    ) -> None:
        """CVE-2018-1058: a better fitting overload of what a check calls, in a schema of the search_path."""
        admin.execute(
            "CREATE FUNCTION format(text, name) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'called'; END $$; "
            "CREATE FUNCTION format(text, name, name) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'called'; END $$; "
            "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (of int REFERENCES parent)"
        )
        assert only(ask("structure.foreign_key_index")).subject == "public.child.child_of_fkey"


def orphanage(ask: Any, connection: psycopg.Connection[Any], count: int, name: str) -> Finding:
    """Expect the orphans of one foreign key, move them aside, and expect none."""
    finding = only(ask("data.orphans"))
    assert (finding.status, finding.subject, finding.observed) == (Status.CRIT, name, count)
    apply(connection, finding.fix)
    assert only(ask("data.orphans")).status is Status.OK
    return finding


class TestOrphans:
    def test_let_in_with_the_triggers_off(self, ask: Any, unguarded: psycopg.Connection[Any]) -> None:
        unguarded.execute('CREATE TABLE "Parent" (id int PRIMARY KEY)')
        unguarded.execute('CREATE TABLE "Child" (id int PRIMARY KEY, "of" int REFERENCES "Parent")')
        unguarded.execute('INSERT INTO "Parent" VALUES (1)')
        unguarded.execute('INSERT INTO "Child" VALUES (1, 1), (2, NULL)')
        assert only(ask("data.orphans")).status is Status.OK
        unguarded.execute('INSERT INTO "Child" SELECT n, n FROM generate_series(3, 10) n')
        finding = orphanage(ask, unguarded, 8, 'public."Child"."Child_of_fkey"')
        assert "[3], [4], [5], [6], [7] and 3 more" in finding.summary
        assert unguarded.execute('SELECT count(*) FROM "Child"').fetchone() == (2,)
        # The parents come back, and so do the rows.
        unguarded.execute('INSERT INTO "Parent" SELECT generate_series(3, 10)')
        apply(unguarded, finding.undo)
        assert only(ask("data.orphans")).status is Status.OK
        assert unguarded.execute('SELECT count(*) FROM "Child"').fetchone() == (10,)

    def test_of_a_constraint_that_was_never_validated(
        self, ask: Any, unguarded: psycopg.Connection[Any]
    ) -> None:
        unguarded.execute("CREATE TABLE child (id int PRIMARY KEY); INSERT INTO child VALUES (5)")
        unguarded.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        unguarded.execute(
            "ALTER TABLE child ADD CONSTRAINT late FOREIGN KEY (id) REFERENCES parent NOT VALID"
        )
        orphanage(ask, unguarded, 1, "public.child.late")

    def test_match_simple_lets_a_null_pass_and_match_full_does_not(
        self, ask: Any, unguarded: psycopg.Connection[Any]
    ) -> None:
        unguarded.execute("CREATE TABLE parent (a int, b int, PRIMARY KEY (a, b))")
        unguarded.execute("INSERT INTO parent VALUES (1, 1)")
        for name, match in (("simple", "SIMPLE"), ("full_", "FULL")):
            unguarded.execute(
                sql.SQL(
                    "CREATE TABLE {} (x int, y int, FOREIGN KEY (y, x) REFERENCES parent (b, a) MATCH {})"
                ).format(sql.Identifier(name), sql.SQL(match))
            )
            unguarded.execute(
                sql.SQL("INSERT INTO {} VALUES (1, 1), (NULL, NULL), (1, NULL), (NULL, 7)").format(
                    sql.Identifier(name)
                )
            )
        finding = orphanage(ask, unguarded, 2, "public.full_.full__y_x_fkey")
        assert "(y, x) = [null, 1], [7, null]" in finding.summary
        unguarded.execute("INSERT INTO simple VALUES (1, 2)")
        orphanage(ask, unguarded, 1, "public.simple.simple_y_x_fkey")

    def test_of_partitioned_tables_once(self, ask: Any, unguarded: psycopg.Connection[Any]) -> None:
        for name in ("parent", "child"):
            of = " REFERENCES parent" if name == "child" else ""
            unguarded.execute(f"CREATE TABLE {name} (id int PRIMARY KEY{of}) PARTITION BY RANGE (id)")
            for low in (0, 10):
                unguarded.execute(
                    f"CREATE TABLE {name}_{low} PARTITION OF {name} FOR VALUES FROM ({low}) TO ({low + 10})"
                )
        unguarded.execute("INSERT INTO parent VALUES (1), (11); INSERT INTO child VALUES (1), (11), (12)")
        orphanage(ask, unguarded, 1, "public.child.child_id_fkey")

    def test_by_the_constraints_own_operators_and_collation(
        self, ask: Any, unguarded: psycopg.Connection[Any]
    ) -> None:
        unguarded.execute('CREATE TABLE parent (word text COLLATE "C" PRIMARY KEY, n bigint UNIQUE)')
        unguarded.execute(
            'CREATE TABLE child (word text COLLATE "POSIX" REFERENCES parent, n int REFERENCES parent (n))'
        )
        unguarded.execute("INSERT INTO parent VALUES ('a', 1); INSERT INTO child VALUES ('a', 1), ('A', 1)")
        orphanage(ask, unguarded, 1, "public.child.child_word_fkey")

    def test_rows_of_an_heir_are_no_business_of_the_constraint(
        self, ask: Any, unguarded: psycopg.Connection[Any]
    ) -> None:
        unguarded.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        unguarded.execute("CREATE TABLE child (id int REFERENCES parent)")
        unguarded.execute("CREATE TABLE heir () INHERITS (child); INSERT INTO heir VALUES (1)")
        assert only(ask("data.orphans")).status is Status.OK

    def test_what_the_time_did_not_reach_is_skipped_and_named(self, ask: Any) -> None:
        finding = only(ask("data.orphans", budget_s=0))
        assert finding.status is Status.SKIPPED
        assert "and 7 more" in finding.summary
        assert "public.login_attempts.login_attempts_user_id_fkey" in finding.summary

    def test_a_locked_table_is_skipped_and_the_others_are_not(
        self, ask: Any, unguarded: psycopg.Connection[Any]
    ) -> None:
        unguarded.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        unguarded.execute("CREATE TABLE child (id int REFERENCES parent); INSERT INTO child VALUES (1)")
        with unguarded.transaction():
            unguarded.execute("LOCK TABLE jobs, api_keys IN ACCESS EXCLUSIVE MODE")
            found = {finding.subject: finding for finding in ask("data.orphans")}
        assert found.pop("public.child.child_id_fkey").status is Status.CRIT
        assert {finding.status for finding in found.values()} == {Status.SKIPPED}
        assert all("api_keys" in subject or "api_requests" in subject for subject in found)

    def test_a_file_that_the_server_may_not_read_is_no_right_of_the_role(
        self, ask: Any, ruled: Ruled, postgres: Server, database_dsn: str
    ) -> None:
        dsn = postgres.admin_dsn_for(database_dsn)
        with unreadable(file_of(postgres, dsn, "teams")):
            found = [f for f in ask("data.orphans") if f.status is not Status.OK]
            found += ruled(sql="SELECT * FROM teams")
        with unreadable(file_of(postgres, dsn, "pg_sequence")):
            found += ask("capacity.sequence")
        assert len(found) >= 3
        assert {(f.status, f.fix) for f in found} == {(Status.CRIT, MEND_FILES)}
        assert all("could not open file" in f.summary for f in found)

    def test_row_security_never_falsifies_the_answer(
        self, database_dsn: str, admin: psycopg.Connection[Any]
    ) -> None:
        """A role that a policy hides the parents from would take every child for an orphan."""
        admin.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        admin.execute("CREATE TABLE child (id int REFERENCES parent)")
        admin.execute("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)")
        admin.execute("ALTER TABLE parent ENABLE ROW LEVEL SECURITY")
        admin.execute("GRANT SELECT ON parent, child TO courtkeeper")
        settings = DatabaseSettings.from_dsn(database_dsn)
        found = {f.subject: f for f in integrity(settings, choose(names=["data.orphans"])).findings}
        assert found["public.child.child_id_fkey"].status is Status.SKIPPED
        assert "row-level security" in found["public.child.child_id_fkey"].summary


class TestRules:
    def test_the_first_rows_that_offend_are_shown(self, ruled: Ruled) -> None:
        finding = only(
            ruled(
                sql="SELECT n AS team, 'x' AS name FROM generate_series(1, 25) n;",
                severity="crit",
                summary="Teams without a name.",
                fix="UPDATE teams SET name = '?';",
                limit=2,
            )
        )
        assert (finding.status, finding.subject, finding.observed) == (Status.CRIT, "teams", 25)
        assert (
            finding.summary
            == "Teams without a name (25 rows): (team=1, name=x), (team=2, name=x) and others."
        )
        assert finding.fix == "UPDATE teams SET name = '?';"

    def test_a_rule_that_nothing_offends(self, ruled: Ruled) -> None:
        assert only(ruled(sql="SELECT * FROM teams WHERE name LIKE '%x%'")).status is Status.OK

    def test_without_a_rule_there_is_nothing_to_do(self, ask: Any) -> None:
        finding = only(ask("data.rules"))
        assert (finding.status, finding.fix) == (Status.OK, "")
        assert finding.summary == "No rules of the platform's own are declared."

    @pytest.mark.parametrize(
        ("statement", "why"),
        [
            ("DELETE FROM teams", "it has to be one statement that reads"),
            ("WITH d AS (DELETE FROM teams RETURNING *) SELECT * FROM d", "one statement that reads"),
            ("SELECT setval('cache_outbox_outbox_id_seq', 9)", "it writes"),
            ("SELECT lo_create(0)", "it writes"),
            ("SELECT 1; SELECT 2", "one statement that reads"),
            ("SELECT 1; COMMIT; DROP TABLE cache_outbox", "one statement that reads"),
            ("SELECT set_config('transaction_read_only', 'off', false)", "it cannot be run"),
            ("SELECT * FROM nothing_here", "it cannot be run"),
            ("SELECT 1 / 0", "it cannot be run"),
            ("", "one statement that reads"),
            ("SELECT '\\", "one statement that reads"),
        ],
    )
    def test_a_rule_that_does_more_than_read_is_refused(
        self, ruled: Ruled, admin: psycopg.Connection[Any], statement: str, why: str
    ) -> None:
        admin.execute("INSERT INTO teams VALUES (1, 'City', 'Name', 'ABC', '2026-01-01')")
        finding = only(ruled(sql=statement))
        assert finding.status is Status.UNKNOWN, finding
        assert why in finding.summary
        assert admin.execute("SELECT count(*) FROM teams").fetchone() == (1,)
        assert admin.execute("SELECT to_regclass('cache_outbox') IS NOT NULL").fetchone() == (True,)

    def test_a_rule_that_never_ends_is_cut_off(self, ruled: Ruled) -> None:
        finding = only(ruled(0.3, sql="SELECT pg_sleep(3600)"))
        assert finding.status is Status.SKIPPED
        assert "took longer than statement_timeout_s" in finding.summary

    def test_a_rule_without_end_that_already_offended(self, ruled: Ruled) -> None:
        finding = only(ruled(0.3, sql="SELECT generate_series(1, 1000000000000) AS n", limit=2))
        assert finding.status is Status.WARN
        assert "more than 2 rows): (n=1), (n=2) and others" in finding.summary

    def test_the_next_rule_is_asked_all_the_same(self, postgres: Server, database_dsn: str) -> None:
        told = IntegritySettings(
            rules=(Rule(name="bad", sql="SELEKT"), Rule(name="good", sql="SELECT 1 AS one"))
        )
        settings = DatabaseSettings.from_dsn(postgres.admin_dsn_for(database_dsn))
        found = integrity(settings, choose(names=["data.rules"]), told).findings
        assert [(f.subject, f.status) for f in found] == [("good", Status.WARN), ("bad", Status.UNKNOWN)]
