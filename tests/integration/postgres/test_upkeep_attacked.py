"""The upkeep among odd objects and rude neighbours: it loses nothing, tells no values and does not lie."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from courtkeeper import database
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.postgres.upkeep import perform
from courtkeeper.postgres.upkeep import run as running
from courtkeeper.postgres.upkeep.settings import upkeep_settings_from
from support.findings import apply, only
from support.platform import wait_until
from support.upkeep import WAITING, Upkeep, another, invalid

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]
ODD = '"odd %s ""q"'


def about(result: Any, subject: str) -> Any:
    return only([finding for finding in result.findings if finding.subject == subject])


def test_our_sessions_end_with_their_client_and_not_by_waiting(upkeep: Upkeep, admin: Admin) -> None:
    admin.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_session_timeout = 5000', current_database());"
        "EXECUTE format('ALTER DATABASE %I SET transaction_timeout = 5000', current_database()); END $$"
    )
    ours = database.connect(upkeep.settings, purpose="test", lock_timeout_s=1, statement_timeout_s=1)
    with ours:
        shown = {
            name: ours.execute(f"SHOW {name}").fetchone()
            for name in ("client_connection_check_interval", "idle_session_timeout", "transaction_timeout")
        }
    assert shown == {
        "client_connection_check_interval": ("1s",),
        "idle_session_timeout": ("0",),
        "transaction_timeout": ("0",),
    }


def test_a_lock_taken_after_a_task_is_no_lost_server(
    upkeep: Upkeep, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.execute("CREATE TABLE busy AS SELECT generate_series(1, 100) AS n")
    admin.execute("CREATE TABLE other AS SELECT generate_series(1, 100) AS n")
    measured, holder, times = perform.measure, another(admin), []

    def locked(context: Any, task: Any) -> Any:
        if task.subject == "public.busy":
            times.append(task)
        if len(times) == 3 and task.subject == "public.busy":  # for the estimate, before, and after
            holder.execute("LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")
        return measured(context, task)

    monkeypatch.setattr(running, "measure", locked)
    monkeypatch.setattr(perform, "measure", locked)
    with holder:
        done = upkeep(duties=["analyze"], lock_timeout_s=0.2)
    assert len(times) == 3
    assert {finding.status for finding in done.findings} == {Status.OK}
    assert about(done, "public.busy").applied == "ANALYZE public.busy;"
    assert [action.split()[1] for action in done.actions[-2:]] == ["public.busy", "public.other"]


def test_what_cannot_be_asked_again_is_done_and_unknown(
    upkeep: Upkeep, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.execute("CREATE TABLE busy AS SELECT generate_series(1, 100) AS n")

    def again(*_: Any) -> None:
        raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout") from None

    with monkeypatch.context() as patch:
        patch.setattr(perform, "_again", again)
        patch.setattr(psycopg.errors.LockNotAvailable, "sqlstate", "55P03")
        done = upkeep(duties=["analyze"])
    finding = about(done, "public.busy")
    assert (finding.status, finding.applied) == (Status.UNKNOWN, "ANALYZE public.busy;")
    assert "could not be looked at: canceling statement due to lock timeout" in finding.summary
    assert done.changed


def test_a_session_that_is_ended_from_outside_leaves_what_was_done(upkeep: Upkeep, admin: Admin) -> None:
    invalid(admin, "first")
    invalid(admin, "second")
    caught: list[CourtkeeperError] = []

    def work() -> None:
        try:
            upkeep(duties=["invalid_indexes"], lock_timeout_s=30)
        except CourtkeeperError as error:
            caught.append(error)

    with another(admin) as holder:
        holder.execute("LOCK TABLE second IN SHARE UPDATE EXCLUSIVE MODE")
        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: admin.execute(WAITING, ["courtkeeper postgres_upkeep"]).fetchone() == (1,))
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'courtkeeper postgres_upkeep' AND wait_event_type = 'Lock'"
        )
        thread.join(120)
    (error,) = caught
    assert "was lost during the upkeep" in str(error)
    assert error.partial
    assert about(error.partial, "public.first_n").status is Status.OK
    assert about(error.partial, "public.second_n").status is Status.UNKNOWN
    assert "second" not in "".join(error.partial.actions)
    assert {finding.status for finding in upkeep(duties=["invalid_indexes"]).findings} == {Status.OK}
    assert upkeep(duties=["invalid_indexes"]).actions == []


def test_an_index_that_cannot_be_built_tells_no_value(upkeep: Upkeep, admin: Admin) -> None:
    admin.execute("CREATE TABLE cards (v text); CREATE INDEX cards_v ON cards ((v::int))")
    admin.execute(
        "UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'cards_v'::regclass"
    )
    admin.execute("INSERT INTO cards VALUES ('4111-secret')")
    done = upkeep(duties=["invalid_indexes"])
    assert only(done.findings).status is Status.UNKNOWN
    assert "invalid input syntax for type integer" in only(done.findings).summary
    notes = admin.execute("SELECT string_agg(note, '') FROM courtkeeper.upkeep_history").fetchone()
    assert "secret" not in f"{done} {notes}"


class TestOddIndexes:
    def test_one_of_an_exclusion_constraint_is_left_to_a_person(
        self, upkeep: Upkeep, ask: Any, admin: Admin
    ) -> None:
        admin.execute(f"CREATE TABLE {ODD} (r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&))")
        admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'apart'::regclass")
        done = upkeep(duties=["invalid_indexes"])
        assert "can only be built again while writers wait" in only(done.findings).summary
        assert not any("apart" in action for action in done.actions)
        assert only(ask("indexes.invalid")).fix == only(done.findings).fix
        apply(admin, only(done.findings).fix)
        assert only(ask("indexes.invalid")).status is Status.OK

    def test_that_of_another_sessions_temporary_table_is_not_ours(
        self, upkeep: Upkeep, ask: Any, admin: Admin
    ) -> None:
        with another(admin) as other:
            other.execute("CREATE TEMP TABLE mine (n int); CREATE INDEX mine_n ON mine (n)")
            other.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'mine_n'::regclass")
            other.commit()
            assert only(ask("indexes.invalid")).status is Status.OK
            assert {f.status for f in upkeep(duties=["invalid_indexes"]).findings} == {Status.OK}

    def test_one_that_could_not_be_built_goes_whatever_its_name(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("CREATE TABLE up (id int PRIMARY KEY)")
        admin.execute(f'CREATE TABLE {ODD} (up int CONSTRAINT "to %d up" REFERENCES up)')
        with another(admin) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM games")  # the last step of a build waits for old snapshots
            told = [f'public.{ODD}."to %d up"']
            done = upkeep(duties=["foreign_key_indexes"], create_indexes=told, lock_timeout_s=0.2)
        assert only(done.findings).status is Status.SKIPPED
        left = admin.execute("SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'odd%'").fetchone()
        assert left == (0,)
        done = upkeep(duties=["foreign_key_indexes"], create_indexes=told)
        assert only(done.findings).status is Status.OK
        apply(admin, only(done.findings).undo)

    def test_one_stays_whose_twin_has_gone_meanwhile(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute("CREATE TABLE t (n int); CREATE INDEX t_n ON t (n); CREATE INDEX t_again ON t (n)")

        def progress(_done: int, _total: int, text: str) -> None:
            if text.startswith("drop public.t_again"):
                admin.execute("DROP INDEX t_n")

        told = upkeep_settings_from({"duties": ["redundant_indexes"], "drop_indexes": ["public.t_again"]})
        done = running.upkeep(upkeep.settings, told, progress=progress)
        assert "not needed any more" in about(done, "public.t_again").summary
        assert not any("t_again" in action for action in done.actions)
        assert admin.execute("SELECT to_regclass('t_again') IS NULL").fetchone() == (False,)


class TestCollations:
    @pytest.fixture(autouse=True)
    def changed(self, admin: Admin) -> None:
        admin.execute("CREATE COLLATION cz (provider = builtin, locale = 'C.UTF-8')")
        admin.execute("UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'cz'")

    def test_in_an_expression_or_a_condition_counts(self, upkeep: Upkeep, ask: Any, admin: Admin) -> None:
        admin.execute("CREATE TABLE names (n int, a text, b text COLLATE cz)")
        admin.execute("CREATE INDEX by_expression ON names ((a < 'm' COLLATE cz))")
        admin.execute("CREATE INDEX by_condition ON names (n) WHERE b < 'm'")
        admin.execute("CREATE INDEX not_at_all ON names (n)")
        done = upkeep(duties=["collations"])
        built = [action.split()[1] for action in done.actions if action.startswith("build")]
        assert built == ["public.by_condition", "public.by_expression"]
        assert only(ask("structure.collation_version")).status is Status.OK

    def test_another_sessions_temporary_table_keeps_nothing_back(
        self, upkeep: Upkeep, ask: Any, admin: Admin
    ) -> None:
        admin.execute("CREATE TABLE names (b text COLLATE cz); CREATE INDEX names_b ON names (b)")
        with another(admin) as other:
            other.execute("CREATE TEMP TABLE mine (b text COLLATE cz); CREATE INDEX ON mine (b)")
            other.commit()
            assert {finding.status for finding in upkeep(duties=["collations"]).findings} == {Status.OK}
        assert only(ask("structure.collation_version")).status is Status.OK

    def test_under_an_exclusion_constraint_is_refreshed_by_a_person(
        self, upkeep: Upkeep, ask: Any, admin: Admin
    ) -> None:
        admin.execute("CREATE TABLE names (b text COLLATE cz, CONSTRAINT lone EXCLUDE (b WITH =))")
        admin.execute("CREATE INDEX names_b ON names (b)")
        done = upkeep(duties=["collations"])
        assert any("public.names_b" in action for action in done.actions)
        finding = about(done, "public.cz")
        assert finding.status is Status.CRIT
        assert "REINDEX INDEX public.lone;" in only(ask("structure.collation_version")).fix
        apply(admin, finding.fix)
        assert only(ask("structure.collation_version")).status is Status.OK
        assert upkeep(duties=["collations"]).actions == []


def test_old_multixact_ids_are_given_back_table_by_table(upkeep: Upkeep, ask: Any, admin: Admin) -> None:
    admin.execute("CREATE TABLE locked (id int PRIMARY KEY); INSERT INTO locked VALUES (1)")
    for _ in range(30):
        with admin.transaction():
            admin.execute("SELECT FROM locked FOR KEY SHARE")
            admin.execute("SAVEPOINT s")
            admin.execute("SELECT FROM locked FOR UPDATE")
    name = str(admin.info.dbname)
    told = {"duties": ["freeze"], "thresholds": {"capacity.multixact_age": {"crit": 25}}}
    planned = upkeep(check_mode=True, **told)
    done = upkeep(**told)
    of_tables = [[action.partition(" (")[0] for action in result.actions] for result in (planned, done)]
    assert of_tables[0] == of_tables[1]
    assert any(action.startswith("vacuum and freeze public.locked (") for action in done.actions)
    # Every other database of this server is as old; each wants an upkeep of its own.
    mine = [f for f in done.findings if "multixact" in f.id and "connected to" not in f.fix]
    assert mine
    assert {finding.status for finding in mine} == {Status.OK}, mine
    assert name not in {finding.subject for finding in ask("capacity.multixact_age", crit=25)}
    assert not any("freeze" in action for action in upkeep(**told).actions)


class TestSchema:
    def test_one_made_by_somebody_of_fewer_rights_is_not_entered(
        self, upkeep: Upkeep, database_dsn: str, admin: Admin
    ) -> None:
        """A view of theirs would run their function with the upkeep's rights."""
        admin.execute("CREATE TABLE touched (by text); GRANT INSERT ON touched TO courtkeeper")
        admin.execute("CREATE SCHEMA courtkeeper AUTHORIZATION courtkeeper")
        with psycopg.connect(database_dsn, autocommit=True) as other:
            other.execute(
                "CREATE FUNCTION courtkeeper.trap() RETURNS int LANGUAGE plpgsql AS "
                "$$ BEGIN INSERT INTO public.touched VALUES (current_user); RETURN 1; END $$;"
                "CREATE VIEW courtkeeper.schema_version AS "
                "SELECT 'upkeep' AS part, courtkeeper.trap() AS version"
            )
        with pytest.raises(ConfigurationError, match=r"belongs to another role \(courtkeeper\)"):
            upkeep(duties=["sequences"])
        assert admin.execute("SELECT count(*) FROM touched").fetchone() == (0,)

    def test_a_session_that_may_only_read_is_said_in_one_sentence(self, upkeep: Upkeep, admin: Admin) -> None:
        admin.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
            "current_database()); END $$"
        )
        with pytest.raises(ConfigurationError, match="may only read"):
            upkeep(duties=["sequences"])
