"""Rows past their time in real tables: they move, whole and once, and come back by the undo line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from courtkeeper.postgres.retention.pace import Pace
from support.findings import only
from support.postgres import Server
from support.retention import EVENTS, NOW, TICKETS, content, rule, run

Admin = psycopg.Connection[Any]
OWN = "ticket_id, status, payload, length, made_at"


@pytest.fixture
def dsn(postgres: Server, database_dsn: str) -> str:
    return postgres.admin_dsn_for(database_dsn)


@pytest.fixture
def tickets(admin: Admin) -> Admin:
    admin.execute(TICKETS)
    return admin


def about(result: Result, subject: str) -> Finding:
    """The one finding of a run on the rows of a table."""
    return only([f for f in result.findings if f.subject == subject and f.id == "postgres.retention.rows"])


def count(admin: Admin, table: str) -> int:
    return admin.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_old_rows_move_and_the_undo_line_puts_them_back(tickets: Admin, dsn: str) -> None:
    before = content(tickets, "tickets")
    old = [row for row in before if row[-1] < NOW - timedelta(days=30)]
    result = run(dsn, rule(batch_rows=7))
    assert result.changed
    assert result.metrics["rows_moved"] == len(old) == 70
    assert result.metrics["batches"] == 10
    assert content(tickets, "archive.tickets", OWN) == old
    assert content(tickets, "tickets") == [row for row in before if row not in old]
    finding = about(result, "public.tickets")
    assert finding.status is Status.OK
    assert "70 rows of public.tickets older than 30 days were moved to archive.tickets" in finding.summary
    tickets.execute(finding.undo)
    assert content(tickets, "tickets") == before
    assert count(tickets, "archive.tickets") == 0


def test_check_mode_names_the_same_actions_and_changes_nothing(tickets: Admin, dsn: str) -> None:
    planned = run(dsn, rule(), check=True)
    assert planned.changed
    assert count(tickets, "tickets") == 100
    assert tickets.execute("SELECT to_regnamespace('archive')").fetchone() == (None,)
    finding = about(planned, "public.tickets")
    assert (finding.status, finding.observed) == (Status.WARN, 70)
    assert "2026-08-15" in finding.summary  # the oldest
    done = run(dsn, rule())
    assert done.actions == planned.actions
    assert len(done.actions) == 2
    assert done.diff == planned.diff


def test_the_second_run_has_nothing_to_do(tickets: Admin, dsn: str) -> None:
    run(dsn, rule())
    again = run(dsn, rule())
    assert not again.changed
    assert again.actions == []
    assert about(again, "public.tickets").status is Status.OK
    planned = run(dsn, rule(), check=True)
    assert (planned.changed, planned.actions) == (False, [])


def test_the_archive_tables_missing_key_is_no_fault(tickets: Admin, dsn: str) -> None:
    run(dsn, rule())
    tickets.execute("CREATE TABLE archive.keyless (a int)")
    found = integrity(DatabaseSettings.from_dsn(dsn), choose(names=["structure.primary_key"])).findings
    assert [finding.subject for finding in found] == ["archive.keyless"]


def test_only_rows_that_meet_the_condition_go_and_a_null_is_never_old(tickets: Admin, dsn: str) -> None:
    tickets.execute("UPDATE tickets SET made_at = NULL WHERE ticket_id = 99")
    run(dsn, rule(where="tickets.status IN ('done', 'x%') -- ended"))
    assert count(tickets, "archive.tickets") == 55
    assert tickets.execute(
        "SELECT count(*) FROM tickets WHERE made_at < '2026-10-23 12:00+00' AND status = 'done'"
    ).fetchone() == (0,)
    assert tickets.execute("SELECT count(*) FROM tickets WHERE made_at IS NULL").fetchone() == (1,)


def test_rows_are_deleted_for_good_where_told(tickets: Admin, dsn: str) -> None:
    result = run(dsn, rule(to="delete", batch_rows=30))
    assert (result.metrics["rows_deleted"], result.metrics["rows_moved"]) == (70, 0)
    assert count(tickets, "tickets") == 30
    finding = about(result, "public.tickets")
    assert finding.undo == ""
    assert "deleted for good" in finding.summary


def test_days_are_compared_as_days(admin: Admin, dsn: str) -> None:
    admin.execute("CREATE TABLE nights (night date)")
    admin.execute("INSERT INTO nights VALUES ('2026-10-22'), ('2026-10-23'), ('-infinity'), ('infinity')")
    assert run(dsn, rule("nights", "night")).metrics["rows_moved"] == 2
    assert {str(row[0]) for row in admin.execute("SELECT night::text FROM nights")} == {
        "2026-10-23",
        "infinity",
    }


def test_without_an_index_all_rows_go_too_and_the_index_is_advised(tickets: Admin, dsn: str) -> None:
    tickets.execute("DROP INDEX tickets_made_at_idx")
    tickets.execute(
        "INSERT INTO tickets (made_at) SELECT timestamptz '2026-01-01' + n % 400 * interval '1 day'"
        " FROM generate_series(1, 12000) n"
    )
    tickets.execute("ANALYZE tickets")
    due = tickets.execute("SELECT count(*) FROM tickets WHERE made_at < '2026-10-23 12:00+00'").fetchone()[0]
    result = run(dsn, rule(batch_rows=1000))
    assert result.metrics["rows_moved"] == due > 8000
    warning = only([f for f in result.findings if f.id == "postgres.retention.index"])
    assert warning.status is Status.WARN
    assert "no index on made_at" in warning.summary
    tickets.execute("INSERT INTO tickets (made_at) SELECT now() FROM generate_series(1, 12000)")
    tickets.execute("ANALYZE tickets")
    assert [f.id for f in run(dsn, rule()).findings].count("postgres.retention.index") == 1
    tickets.execute(warning.fix)
    assert [f.id for f in run(dsn, rule()).findings].count("postgres.retention.index") == 0


def test_rows_of_a_partitioned_table_move_from_where_they_lie(admin: Admin, dsn: str) -> None:
    admin.execute(EVENTS)
    before = content(admin, "events")
    result = run(dsn, rule("events", "happened_at", 60, batch_rows=4))
    assert result.metrics["rows_moved"] == count(admin, "archive.events") == 90
    assert count(admin, "events") == 20
    admin.execute(about(result, "public.events").undo)
    assert content(admin, "events") == before


class TestFindsTheTable:
    """A name is data, never SQL."""

    def test_odd_names_are_only_names(self, admin: Admin, dsn: str) -> None:
        admin.execute('CREATE TABLE "a""; DROP TABLE users; --%s{}" ("made at" timestamptz, "x""%" int)')
        admin.execute('INSERT INTO "a""; DROP TABLE users; --%s{}" VALUES (\'2020-01-01\', 1)')
        result = run(dsn, rule('"a""; DROP TABLE users; --%s{}"', '"made at"'))
        assert result.metrics["rows_moved"] == 1
        assert count(admin, "users") == 0
        admin.execute(only(result.findings).undo.encode())
        assert count(admin, '"a""; DROP TABLE users; --%s{}"') == 1


def test_after_the_window_the_rest_is_skipped_and_done_next_time(tickets: Admin, dsn: str) -> None:
    ticks = iter(range(1000))

    def hurried(settings: Any) -> Pace:
        return Pace(settings, clock=lambda: float(next(ticks)))

    result = run(dsn, rule(batch_rows=10), window_s=6, max_replica_lag_mb=0, pace=hurried)
    finding = about(result, "public.tickets")
    assert finding.status is Status.SKIPPED
    moved = result.metrics["rows_moved"]
    assert 0 < moved < 70
    assert finding.observed == result.metrics["rows_left"] == 70 - moved
    assert "the time window of 6 s is over" in finding.summary
    assert count(tickets, "archive.tickets") == moved
    assert run(dsn, rule()).metrics["rows_moved"] == 70 - moved


def test_a_row_that_somebody_holds_stays_and_is_named_as_left(tickets: Admin, dsn: str) -> None:
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM tickets WHERE ticket_id IN (50, 100) FOR KEY SHARE")
        result = run(dsn, rule(batch_rows=9))
        assert result.metrics["rows_moved"] == 68
        finding = about(result, "public.tickets")
        assert (finding.status, finding.observed) == (Status.SKIPPED, 2)
    assert run(dsn, rule()).metrics["rows_moved"] == 2


def test_a_locked_table_is_skipped_and_the_next_one_done(tickets: Admin, dsn: str) -> None:
    tickets.execute("CREATE TABLE others (made_at timestamptz); INSERT INTO others VALUES ('2020-01-01')")
    stopped: list[psycopg.Connection[Any]] = []

    def lock(step: str) -> None:
        if step == "archive created" and not stopped:
            other = psycopg.connect(dsn)
            other.execute("LOCK TABLE tickets IN EXCLUSIVE MODE")
            stopped.append(other)

    result = run(dsn, rule(), rule("others"), trace=lock)
    stopped[0].close()
    assert about(result, "public.tickets").status is Status.SKIPPED
    assert "locked by somebody else" in about(result, "public.tickets").summary
    assert result.metrics["rows_moved"] == 1
    assert result.metrics["duration_s"] < 10


@pytest.mark.parametrize(
    ("table", "event"), [("tickets", "DELETE"), ("archive.tickets", "INSERT")], ids=["source", "archive"]
)
def test_a_trigger_that_swallows_rows_loses_and_doubles_nothing(
    tickets: Admin, dsn: str, table: str, event: str
) -> None:
    run(dsn, rule(keep_days=99))  # the archive is there
    before = count(tickets, "tickets"), count(tickets, "archive.tickets")
    tickets.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    tickets.execute(
        f"CREATE TRIGGER swallow BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION nothing()"
    )
    result = run(dsn, rule())
    assert (count(tickets, "tickets"), count(tickets, "archive.tickets")) == before
    finding = about(result, "public.tickets")
    assert finding.status is Status.CRIT
    assert "trigger" in finding.fix
    assert not result.changed


class TestForeignKeys:
    """Rows that others refer to are never taken from under them."""

    @pytest.fixture
    def notes(self, tickets: Admin) -> Admin:
        tickets.execute(
            "CREATE TABLE notes (note_id int PRIMARY KEY, written_at timestamptz,"
            " ticket_id bigint REFERENCES tickets ON DELETE CASCADE)"
        )
        # Old tickets 90 and 100 with an old and a young note.
        tickets.execute("INSERT INTO notes VALUES (1, '2020-01-01', 90), (2, '2026-11-20', 100)")
        return tickets

    def test_a_young_row_keeps_what_it_refers_to(self, notes: Admin, dsn: str) -> None:
        rules = rule(), rule("notes", "written_at")
        planned = run(dsn, *rules, check=True)
        result = run(dsn, *rules)
        assert result.actions == planned.actions
        assert content(notes, "notes", "note_id") == [(2,)]
        assert notes.execute("SELECT count(*) FROM tickets WHERE ticket_id = 100").fetchone() == (1,)
        assert result.metrics["rows_moved"] == 69 + 1
        assert "1 row more is as old and still referred to" in about(result, "public.tickets").summary
        assert not run(dsn, *rules).changed

    def test_a_row_that_comes_to_refer_meanwhile_keeps_what_it_refers_to(
        self, notes: Admin, dsn: str
    ) -> None:
        held: list[psycopg.Connection[Any]] = []
        refused: list[Exception] = []

        def refer(step: str) -> None:
            if step == "archive created" and not held:  # counted, and not yet locked
                notes.execute("INSERT INTO notes VALUES (3, '2026-11-21', 80)")
                held.append(psycopg.connect(dsn))
                held[0].execute("INSERT INTO notes VALUES (4, '2026-11-21', 70)")  # not yet committed
            if step == "locked" and not refused:
                with (
                    psycopg.connect(dsn, options="-c lock_timeout=200") as late,
                    pytest.raises(psycopg.errors.LockNotAvailable) as error,
                ):
                    late.execute("INSERT INTO notes VALUES (5, '2026-11-21', 95)")
                refused.append(error.value)

        run(dsn, rule("notes", "written_at", to="delete"), rule(), trace=refer)
        held[0].commit()
        held[0].close()
        assert refused
        assert content(notes, "notes", "note_id") == [(2,), (3,), (4,)]
        kept = notes.execute("SELECT count(*) FROM tickets WHERE ticket_id IN (70, 80, 100)").fetchone()
        assert kept == (3,)

    def test_a_table_that_refers_to_itself_goes_from_the_leaves(self, admin: Admin, dsn: str) -> None:
        admin.execute("CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, made_at timestamptz)")
        admin.execute(
            "INSERT INTO tree SELECT n, nullif(n - 1, 0), '2020-01-01' FROM generate_series(1, 5) n"
        )
        admin.execute("INSERT INTO tree VALUES (11, NULL, '2020-01-01'), (12, 11, '2026-11-20')")
        for _ in range(5):
            run(dsn, rule("tree"))
        assert content(admin, "tree", "id") == [(11,), (12,)]
        assert count(admin, "archive.tree") == 5

    def test_references_that_become_null_are_announced(self, tickets: Admin, dsn: str) -> None:
        tickets.execute(
            "CREATE TABLE links (ticket_id bigint REFERENCES tickets ON DELETE SET NULL);"
            "INSERT INTO links VALUES (90)"
        )
        planned = run(dsn, rule(), check=True)
        assert "references to them in links (ticket_id) become null" in planned.actions[-1]
        assert run(dsn, rule()).metrics["rows_moved"] == 70
        assert content(tickets, "links") == [(None,)]


def test_two_runs_at_once_do_not_meet(tickets: Admin, dsn: str) -> None:
    said: list[str] = []

    def second(step: str) -> None:
        if step == "taken" and not said:
            with pytest.raises(CourtkeeperError) as error:
                run(dsn, rule())
            said.append(str(error.value))

    run(dsn, rule(batch_rows=10), trace=second)
    assert "another run of the retention is at work" in only(said)
    assert count(tickets, "archive.tickets") == 70
