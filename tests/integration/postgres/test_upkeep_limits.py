"""What the upkeep never does: wait, hold others up, run over its window, lose or double what it did."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from courtkeeper.database import MEND_FILES
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status
from courtkeeper.postgres.upkeep import snapshots
from support.damage import file_of, unreadable
from support.findings import only
from support.platform import wait_until
from support.postgres import Server
from support.upkeep import WAITING, Upkeep, another, invalid

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]


class TestLocks:
    @pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"])
    def test_what_somebody_holds_is_skipped_in_time(self, upkeep: Upkeep, admin: Admin, mode: str) -> None:
        invalid(admin, "held")
        invalid(admin, "free")
        with another(admin) as holder:
            holder.execute(f"LOCK TABLE held IN {mode} MODE")
            started = time.monotonic()
            result = upkeep(duties=["invalid_indexes"], lock_timeout_s=0.3)
            assert time.monotonic() - started < 60
        found = {f.subject: f.status for f in result.findings}
        assert found == {"public.held_n": Status.SKIPPED, "public.free_n": Status.OK}
        done = upkeep(duties=["invalid_indexes"])
        assert {f.status for f in done.findings} == {Status.OK}

    def test_nobody_waits_behind_us_for_longer_than_our_lock_timeout(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        """The drop of an index is what takes the strongest lock."""
        admin.execute("CREATE TABLE parted (a int) PARTITION BY RANGE (a)")
        admin.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)")
        admin.execute("CREATE INDEX older ON parted (a); CREATE INDEX younger ON parted (a)")
        results: list[Result] = []
        with another(admin) as reader, another(admin) as writer:
            reader.execute("SELECT count(*) FROM parted")  # holds ACCESS SHARE until it ends
            ours = threading.Thread(
                target=lambda: results.append(
                    upkeep(duties=["redundant_indexes"], drop_indexes=["younger"], lock_timeout_s=0.5)
                )
            )
            ours.start()
            wait_until(lambda: admin.execute(WAITING, ["courtkeeper postgres_upkeep"]).fetchone() == (1,))
            started = time.monotonic()
            writer.execute("INSERT INTO parted VALUES (1)")
            waited = time.monotonic() - started
            ours.join(120)
        assert waited < 5
        assert only(results[0].findings).status is Status.SKIPPED
        assert not results[0].metrics["actions_done"]

    def test_an_old_transaction_makes_a_rebuild_give_up_and_leave_nothing(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        invalid(admin)
        admin.execute("CREATE TABLE elsewhere (n int)")
        with another(admin) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM elsewhere")
            result = upkeep(duties=["invalid_indexes"], lock_timeout_s=0.3)
        assert only(result.findings).status is Status.SKIPPED
        assert {f.status for f in upkeep(duties=["invalid_indexes"]).findings} == {Status.OK}
        left = admin.execute(
            "SELECT array_agg(indexname::text) FROM pg_indexes WHERE tablename = 't'"
        ).fetchone()
        assert left == (["t_n"],)


class TestFiles:
    """What the server may not do with its own files is no right that a role lacks."""

    def test_of_a_table(self, upkeep: Upkeep, postgres: Server, database_dsn: str, admin: Admin) -> None:
        invalid(admin)
        with unreadable(file_of(postgres, postgres.admin_dsn_for(database_dsn), "t")):
            finding = only(upkeep(duties=["invalid_indexes"]).findings)
        assert (finding.subject, finding.status, finding.fix) == ("public.t_n", Status.CRIT, MEND_FILES)
        assert "could not open file" in finding.summary

    def test_of_what_a_duty_looks_at(self, upkeep: Upkeep, postgres: Server, database_dsn: str) -> None:
        upkeep(duties=["vacuum"])
        with unreadable(file_of(postgres, postgres.admin_dsn_for(database_dsn), "pg_sequence")):
            finding = only(upkeep(duties=["sequences"]).findings)
        assert (finding.status, finding.fix) == (Status.CRIT, MEND_FILES)

    def test_of_its_own_notes(self, upkeep: Upkeep, postgres: Server, database_dsn: str) -> None:
        upkeep(duties=["sequences"])
        owner = postgres.admin_dsn_for(database_dsn)
        for table in ("courtkeeper.schema_version", "courtkeeper.upkeep_history"):
            with (
                unreadable(file_of(postgres, owner, table)),
                pytest.raises(CourtkeeperError, match=r"broken off .*: mend owner, mode and mount") as broken,
            ):
                upkeep(duties=["sequences"])
            assert type(broken.value) is CourtkeeperError


class TestWindow:
    def rated(self, upkeep: Upkeep, admin: Admin, kind: str, bytes_per_s: int) -> None:
        upkeep(duties=["sequences"])
        admin.execute(
            "INSERT INTO courtkeeper.upkeep_history (action, object, outcome, seconds, bytes, before, "
            "statements, undo) VALUES (%s, 'x', 'done', 1, %s, '{}', '{}', '')",
            [kind, bytes_per_s],
        )

    def test_what_does_not_fit_by_the_speed_seen_here_is_put_off(self, upkeep: Upkeep, admin: Admin) -> None:
        self.rated(upkeep, admin, "reindex", 100)
        invalid(admin)
        told = {"duties": ["invalid_indexes"], "window_s": 60}
        planned, done = upkeep(check_mode=True, **told), upkeep(**told)
        assert (planned.actions, done.actions, done.changed) == ([], [], False)
        finding = only(done.findings)
        assert finding.status is Status.SKIPPED
        assert "of the window of 60 s" in finding.summary
        assert done.metrics["actions_deferred"] == 1
        noted = "SELECT object, times FROM courtkeeper.upkeep_deferred"
        upkeep(**told)
        assert admin.execute(noted).fetchall() == [("public.t_n", 2)]
        assert upkeep(duties=["invalid_indexes"]).metrics["actions_done"] == 1
        assert admin.execute(noted).fetchall() == []

    def test_what_is_smaller_and_fits_is_still_done(self, upkeep: Upkeep, admin: Admin) -> None:
        self.rated(upkeep, admin, "reindex", 2000)
        invalid(admin, "small")
        invalid(admin, "a_big")
        admin.execute("INSERT INTO a_big SELECT generate_series(1, 20000)")
        done = upkeep(duties=["invalid_indexes"], window_s=30)
        assert {f.subject: f.status for f in done.findings} == {
            "public.small_n": Status.OK,
            "public.a_big_n": Status.SKIPPED,
        }

    def test_a_statement_is_ended_with_its_time_and_leaves_nothing(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        admin.execute("CREATE TABLE slow (n int)")
        admin.execute(
            "CREATE FUNCTION slowly(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
            "$$ BEGIN PERFORM pg_sleep(0.01); RETURN n; END $$"
        )
        admin.execute("CREATE INDEX slow_n ON slow (slowly(n))")
        admin.execute(
            "UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'slow_n'::regclass"
        )
        admin.execute("INSERT INTO slow SELECT generate_series(1, 2000)")  # 20 s for the index
        started = time.monotonic()
        result = upkeep(duties=["invalid_indexes"], statement_timeout_s=1)
        assert time.monotonic() - started < 60
        finding = only(result.findings)
        assert finding.status is Status.SKIPPED
        assert "longer than its time" in finding.summary
        left = admin.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'slow'").fetchone()
        assert left == (1,)


class TestState:
    def test_nobody_else_may_look_into_it(self, upkeep: Upkeep, database_dsn: str) -> None:
        upkeep(duties=["sequences"])
        with psycopg.connect(database_dsn) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("SELECT * FROM courtkeeper.upkeep_history")
        with psycopg.connect(database_dsn) as other:  # whose name is that of the schema
            assert other.execute("SELECT current_schema()").fetchone() == ("public",)
        with pytest.raises(ConfigurationError, match="belongs to another role"):
            Upkeep(database_dsn)(duties=["sequences"])

    def test_one_of_a_newer_library_is_refused(self, upkeep: Upkeep, admin: Admin) -> None:
        upkeep(duties=["sequences"])
        admin.execute("UPDATE courtkeeper.schema_version SET version = 99")
        with pytest.raises(ConfigurationError, match="version 99, this library knows 1"):
            upkeep(duties=["sequences"])

    def test_a_schema_of_another_origin_is_refused_and_left(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("CREATE SCHEMA courtkeeper; CREATE TABLE courtkeeper.upkeep_history (n int)")
        with pytest.raises(ConfigurationError, match="of another origin"):
            upkeep(duties=["sequences"])
        tables = admin.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'courtkeeper'").fetchone()
        assert tables == (1,)

    def test_a_role_that_may_not_make_it_is_told_what_helps(self, database_dsn: str) -> None:
        with pytest.raises(ConfigurationError, match="GRANT CREATE ON DATABASE"):
            Upkeep(database_dsn)(duties=["sequences"])

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"dbname": "gone"}, "there is no database gone"),
            ({"user": "nobody_here"}, "the database refuses the password of nobody_here"),
            ({"port": "1"}, "cannot be reached"),
        ],
    )
    def test_where_it_cannot_be_done_is_said_in_a_sentence(
        self, admin: Admin, change: dict[str, str], sentence: str
    ) -> None:
        told = {**admin.info.get_parameters(), "password": admin.info.password, **change}
        with pytest.raises(CourtkeeperError, match=sentence) as caught:
            Upkeep(psycopg.conninfo.make_conninfo(**told))(duties=["vacuum"])
        assert admin.info.password not in str(caught.value)

    @pytest.mark.parametrize(
        ("installed", "taken"),
        [
            (False, "CREATE SCHEMA courtkeeper"),
            (True, "LOCK TABLE courtkeeper.statistics_snapshots IN EXCLUSIVE MODE"),
        ],
    )
    def test_what_broke_off_is_not_said_to_be_done(
        self, upkeep: Upkeep, admin: Admin, installed: bool, taken: str
    ) -> None:
        if installed:
            upkeep(duties=["sequences"])
        with another(admin) as holder:
            holder.execute(taken)
            with pytest.raises(CourtkeeperError, match="lock timeout") as broken:
                upkeep(duties=["sequences"], snapshot_interval_h=0, lock_timeout_s=0.2)
            holder.rollback()
        assert broken.value.partial
        assert (broken.value.partial.changed, broken.value.partial.actions) == (False, [])

    def test_two_at_a_time_are_one_too_many(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("SELECT pg_advisory_lock(hashtext('courtkeeper postgres_upkeep'))")
        finding = only(upkeep(duties=["sequences"]).findings)
        assert finding.status is Status.SKIPPED
        assert "another upkeep of this database is at work" in finding.summary

    def test_a_second_run_of_all_duties_does_nothing_at_all(self, upkeep: Upkeep) -> None:
        first = upkeep()
        assert first.changed
        second = upkeep()
        assert (second.changed, second.actions) == (False, []), second.actions


class TestSnapshots:
    def test_growth_survives_a_reset_and_ignores_what_was_before(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("CREATE TABLE read (n int PRIMARY KEY); INSERT INTO read SELECT generate_series(1, 9)")

        def scans(count: int) -> None:
            for _ in range(count):
                admin.execute("SELECT FROM read WHERE n = 1")
            admin.execute("SELECT pg_stat_force_next_flush()")

        admin.execute("SET enable_seqscan = off")
        told = {"duties": ["sequences"], "snapshot_interval_h": 0}
        scans(7)
        upkeep(**told)
        scans(5)
        upkeep(**told)
        admin.execute("SELECT pg_stat_reset()")
        scans(20)
        upkeep(**told)
        since = datetime.now().astimezone() - timedelta(days=1)
        grown = snapshots.growth(admin, "index", since)
        assert grown.objects["public.read_pkey"]["idx_scan"] == 25
        assert grown.since
        assert grown.until
        assert grown.since < grown.until

    def test_they_are_taken_once_a_day_and_forgotten_after_their_time(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        upkeep(duties=["sequences"])
        assert upkeep(duties=["sequences"]).actions == []
        admin.execute("UPDATE courtkeeper.statistics_snapshots SET taken_at = now() - interval '100 days'")
        assert upkeep(duties=["sequences"]).actions == ["take a snapshot of the usage statistics"]
        kept = admin.execute("SELECT count(*) FROM courtkeeper.statistics_snapshots").fetchone()
        assert kept == (1,)

    def test_they_are_forgotten_by_a_run_that_takes_none_and_the_newest_stays(
        self, upkeep: Upkeep, admin: Admin
    ) -> None:
        rarely = {"duties": ["sequences"], "snapshot_interval_h": 8760, "snapshot_keep_days": 1}
        upkeep(**rarely)
        admin.execute(
            "INSERT INTO courtkeeper.statistics_snapshots (taken_at) VALUES (now() - interval '2 days')"
        )
        admin.execute("UPDATE courtkeeper.statistics_snapshots SET taken_at = taken_at - interval '2 days'")
        assert upkeep(check_mode=True, **rarely).actions == []
        assert admin.execute("SELECT count(*) FROM courtkeeper.statistics_snapshots").fetchone() == (2,)
        assert upkeep(**rarely).actions == []
        (left,) = admin.execute("SELECT id FROM courtkeeper.statistics_snapshots").fetchall()
        assert left == (2,)

    def test_actions_are_forgotten_that_a_later_one_has_replaced(self, upkeep: Upkeep, admin: Admin) -> None:
        upkeep(duties=["sequences"])
        for action, name, youngest in (("vacuum", "public.games", 0), ("drop", "public.old", 200)):
            admin.execute(
                "INSERT INTO courtkeeper.upkeep_history "
                "(action, object, at, outcome, bytes, before, statements, undo) "
                "SELECT %s, %s, now() - n * interval '1 day', 'done', 1, '{}', '{}', '' "
                "FROM generate_series(300, %s, -100) n",
                [action, name, youngest],
            )
        upkeep(duties=["sequences"])
        left = admin.execute(
            "SELECT object, count(*), min(at) < now() - interval '150 days' "
            "FROM courtkeeper.upkeep_history GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert left == [("public.games", 1, False), ("public.old", 1, True)]
