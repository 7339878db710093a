"""An upkeep that is broken off: by a kill, by the server's end; and the servers that it is not for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.platform import processes
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.upkeep import perform, snapshots
from courtkeeper.postgres.upkeep.state import State
from support.findings import only
from support.platform import wait_until
from support.postgres import Server, fresh_database, postgres_server
from support.upkeep import WAITING, Killed, Upkeep, another, invalid

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]


OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'courtkeeper postgres_upkeep'"


def test_a_run_that_is_killed_in_the_middle_is_ended_by_the_next(
    upkeep: Upkeep, postgres: Server, database_dsn: str, admin: Admin
) -> None:
    """The rebuild waits at its last step for an old snapshot: its leftover is there when it is killed."""
    invalid(admin)
    admin.execute("CREATE TABLE elsewhere (n int)")
    begun = "SELECT count(*) FROM pg_indexes WHERE tablename = 't' AND indexname <> 't_n'"
    with another(admin) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM elsewhere")
        killed = Killed(postgres.admin_dsn_for(database_dsn), lock_timeout_s=60)
        wait_until(lambda: admin.execute(WAITING, ["courtkeeper postgres_upkeep"]).fetchone() == (1,), 60)
        assert admin.execute(begun).fetchone() == (1,)
        killed.kill()
        # The server looks once a second whether its client is still there.
        wait_until(lambda: admin.execute(OURS).fetchone() == (0,), 30)
        assert admin.execute(begun).fetchone() == (1,)
        assert admin.execute(
            "SELECT outcome FROM courtkeeper.upkeep_history WHERE action = 'reindex'"
        ).fetchall() == [("begun",)]
    done = upkeep()
    assert {f.status for f in done.findings} == {Status.OK}, done.findings
    assert admin.execute(begun).fetchone() == (0,)
    outcomes = admin.execute(
        "SELECT outcome FROM courtkeeper.upkeep_history WHERE action = 'reindex' ORDER BY id"
    ).fetchall()
    assert outcomes == [("interrupted",), ("done",)]
    assert upkeep().actions == []


class Broken(BaseException):
    """The end of a process, as far as the server can tell."""


# Where, what, and for which of the two tasks.
STEPS: list[tuple[Any, str, int]] = [
    (State, "install", 1),
    (State, "close_interrupted", 1),
    (snapshots, "take", 1),
    (State, "defer", 1),
    *(
        (place, name, time)
        for place, name in ((State, "begin"), (perform, "bounded"), (perform, "_again"), (State, "finish"))
        for time in (1, 2)
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("place", "name", "time"), STEPS, ids=[f"{name}-{time}" for _, name, time in STEPS])
def test_broken_off_at_any_step_the_next_run_comes_to_the_same_end(
    upkeep: Upkeep,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    time: int,
    after: bool,
) -> None:
    invalid(admin)
    admin.execute("CREATE INDEX t_n_ccnew ON t (n)")
    admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_n_ccnew'::regclass")
    step, calls = getattr(place, name), []

    def breaks(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == time and not after:
            raise Broken
        result = step(*arguments, **named)
        if len(calls) == time:
            raise Broken
        return result

    with monkeypatch.context() as patch:
        patch.setattr(place, name, breaks)
        with pytest.raises(Broken):
            upkeep()
    upkeep()
    assert admin.execute("SELECT indexname FROM pg_indexes WHERE tablename = 't'").fetchall() == [("t_n",)]
    ended = admin.execute("SELECT action, object, outcome FROM courtkeeper.upkeep_history").fetchall()
    done = [(action, what) for action, what, outcome in ended if outcome == "done"]
    assert len(done) == len(set(done)), ended
    assert not [row for row in ended if row[2] == "begun"]
    assert admin.execute("SELECT count(*) FROM courtkeeper.statistics_snapshots").fetchone() == (1,)
    assert upkeep().actions == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, that freezes early and by itself does nothing."""
    settings = {"autovacuum": "off", "autovacuum_freeze_max_age": "100000"}
    with postgres_server(tmp_path_factory.mktemp("upkeep"), settings) as server:
        yield server


def test_a_table_near_the_freeze_limit_is_frozen_before_all_else(small: Server) -> None:
    dsn = small.admin_dsn_for(fresh_database(small))
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE old AS SELECT generate_series(1, 10) AS n; CREATE TABLE burnt (n int)")
        admin.execute(
            "DO $$ BEGIN FOR n IN 1..3000 LOOP BEGIN INSERT INTO burnt VALUES (n); "
            "EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
        )
        others = admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relname <> 'old'"
        ).fetchall()
        admin.execute("VACUUM (FREEZE) " + ", ".join(name for (name,) in others))
        told = {"duties": ["freeze", "analyze"], "thresholds": {"capacity.freeze": {"warn": 2, "crit": 50}}}
        done = Upkeep(dsn)(**told)
        assert done.actions[2].startswith("vacuum and freeze public.old")
        frozen = next(f for f in done.findings if f.subject == "public.old" and "freeze" in f.id)
        assert frozen.status is Status.OK
        assert not any("public.old" in action for action in Upkeep(dsn)(**told).actions)


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_leaves_what_was_done(tmp_path: Path) -> None:
    with postgres_server(tmp_path, {"autovacuum": "off"}) as server:
        dsn = server.admin_dsn_for(fresh_database(server))
        caught: list[CourtkeeperError] = []
        with psycopg.connect(dsn, autocommit=True) as admin:
            invalid(admin, "first")
            invalid(admin, "second")
            holder = psycopg.connect(dsn)
            holder.execute("LOCK TABLE second IN SHARE UPDATE EXCLUSIVE MODE")

            def work() -> None:
                try:
                    Upkeep(dsn)(duties=["invalid_indexes"], lock_timeout_s=60)
                except CourtkeeperError as error:
                    caught.append(error)

            running = threading.Thread(target=work)
            running.start()
            wait_until(lambda: admin.execute(WAITING, ["courtkeeper postgres_upkeep"]).fetchone() == (1,))
            identity = server.postgres.running()
            assert identity
            assert processes.stop(identity, [(9, 5.0)])
            running.join(120)
            holder.close()
        (error,) = caught
        assert "was lost during the upkeep" in str(error)
        assert error.partial
        assert error.partial.changed
        assert any("first_n" in action for action in error.partial.actions)
        assert not any("second_n" in action for action in error.partial.actions)
        at_hand = only([f for f in error.partial.findings if f.subject == "public.second_n"])
        assert at_hand.status is Status.UNKNOWN


def test_a_replica_is_left_to_its_primary(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own word for it is what counts; a real replica is asked in the Molecule scenario."""
    look = servers.look
    monkeypatch.setattr(servers, "look", lambda c: msgspec.structs.replace(look(c), in_recovery=True))
    result = upkeep()
    assert only(result.findings).status is Status.SKIPPED
    assert not result.changed
