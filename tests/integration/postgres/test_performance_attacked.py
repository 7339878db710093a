"""Dropping indexes and setting what is advised, among odd names, locks, kills and lost servers."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import CourtkeeperError, Result, Status
from courtkeeper.platform import processes
from courtkeeper.postgres.check import Needs
from courtkeeper.postgres.checks.indexes.unused import Unused
from courtkeeper.postgres.performance.record import Record
from support.findings import apply, only
from support.performance import OURS, Killed, gone, look
from support.platform import wait_until
from support.postgres import Server, fresh_database, postgres_server
from support.upkeep import WAITING

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]
MARKS = (
    "CREATE TABLE marks (a int, b int); CREATE INDEX marks_a ON marks (a);"
    "CREATE INDEX marks_again ON marks (a); CREATE INDEX marks_b ON marks (b);"
    "CREATE INDEX marks_b_again ON marks (b)"
)


@pytest.fixture
def dsn(postgres: Server, database_dsn: str, admin: Admin) -> str:
    admin.execute(MARKS)
    admin.execute("SELECT pg_stat_statements_reset()")
    return postgres.admin_dsn_for(database_dsn)


def drop(dsn: str, state: Path, *names: str, **told: Any) -> Result:
    return look(
        dsn,
        **{
            "parts": ["redundant_indexes"],
            "drop_indexes": list(names),
            "state_directory": str(state),
            **told,
        },
    )


def about(result: Result, subject: str) -> Any:
    return only([finding for finding in result.findings if finding.subject == subject])


def indexes(admin: Admin) -> list[str]:
    rows = admin.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'marks' ORDER BY 1")
    return [name for (name,) in rows]


@pytest.mark.parametrize("odd", ["decoy CONCURRENTLY", "decoy -- not", 'de"c%s', "dec\nSELECT 1/0; --"])
def test_whatever_its_name_exactly_that_one_goes(dsn: str, admin: Admin, tmp_path: Path, odd: str) -> None:
    name = '"' + odd.replace('"', '""') + '"'
    admin.execute("CREATE TABLE odd (a int); CREATE INDEX decoy ON odd (a DESC)")
    admin.execute(f"CREATE INDEX kept ON odd (a); CREATE INDEX {name} ON odd (a)")
    done = drop(dsn, tmp_path, f"public.{name}")
    assert about(done, f"public.{name}").applied == f"DROP INDEX public.{name};"
    left = admin.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'odd' ORDER BY 1").fetchall()
    assert left == [("decoy",), ("kept",)]
    # The file is SQL as it stands: its comment ends before a name can put a statement of its own behind it.
    (saved,) = tmp_path.iterdir()
    title, first = saved.read_text().splitlines()[:2]
    assert (title[:3], first[:12]) == ("-- ", "CREATE INDEX")
    admin.execute(about(done, f"public.{name}").undo.replace(" CONCURRENTLY", "", 1))
    assert drop(dsn, tmp_path, f"public.{name}").changed


def test_databases_whose_names_differ_by_a_sign_have_files_of_their_own(tmp_path: Path) -> None:
    paths = {Record(str(tmp_path), name).path for name in ("a b", "a_b", "a/b", "ä")}
    assert len(paths) == 4
    assert all(path.parent == tmp_path for path in paths)


def test_a_plan_that_cannot_be_had_keeps_the_index_and_nobody_waits_long(
    dsn: str, admin: Admin, tmp_path: Path
) -> None:
    """Each statement would wait for its own lock while the table is locked: in all no longer than one may."""
    admin.execute("INSERT INTO marks SELECT n, n FROM generate_series(1, 20000) n; ANALYZE marks")
    admin.execute("CREATE TABLE held (a int)")
    for columns in ("a", "b", "a, b", "count(*)", "max(a)", "min(b)"):
        admin.execute(f"SELECT {columns} FROM marks WHERE a IN (SELECT a FROM held) AND a < 5")
        admin.execute(f"SELECT {columns} FROM marks WHERE a = 7")
    waits: list[float] = []
    with psycopg.connect(dsn) as holder, psycopg.connect(dsn, autocommit=True) as reader:
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                began = time.monotonic()
                reader.execute("SELECT FROM marks LIMIT 1")
                waits.append(time.monotonic() - began)

        real = psycopg.Connection.execute

        def execute(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
            if query == b"DROP INDEX public.marks_again;":
                holder.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
            return real(self, query, *arguments, **named)

        thread = threading.Thread(target=read)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.Connection, "execute", execute)
            thread.start()
            done = drop(dsn, tmp_path, "public.marks_again", lock_timeout_s=0.4, top=100)
        stop.set()
        thread.join(120)
    finding = about(done, "public.marks_again")
    assert (done.changed, finding.status) == (False, Status.SKIPPED), finding
    assert "was not dropped" in finding.summary
    assert "marks_again" in indexes(admin)
    assert max(waits) < 4  # once for the lock, once under it, and not twelve times; and the machine is slow


def test_one_that_may_not_be_dropped_is_no_end_of_the_others(
    database_dsn: str, dsn: str, admin: Admin, tmp_path: Path
) -> None:
    admin.execute("CREATE TABLE mine (a int); CREATE INDEX mine_a ON mine (a)")
    admin.execute("CREATE INDEX mine_again ON mine (a); ALTER TABLE mine OWNER TO courtkeeper")
    done = drop(database_dsn, tmp_path, "public.marks_again", "public.mine_again")
    assert about(done, "public.marks_again").status is Status.SKIPPED
    assert "as the owner" in about(done, "public.marks_again").fix
    assert done.actions == ["drop the index public.mine_again"]
    assert "marks_again" in indexes(admin)


def test_a_full_disk_for_the_undo_is_one_sentence_and_drops_nothing(
    dsn: str, admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Record, text: str) -> None:
        if text:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Record, "_write", full)
    with pytest.raises(CourtkeeperError, match=r"No space left on device.*was not changed"):
        drop(dsn, tmp_path, "public.marks_again")
    assert "marks_again" in indexes(admin)


def test_killed_at_each_step_of_a_drop_and_run_again(dsn: str, admin: Admin, tmp_path: Path) -> None:
    before = admin.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'marks'").fetchall()
    steps = 0
    while True:
        admin.execute("SELECT pg_stat_statements_reset()")
        state = tmp_path / str(steps)
        killed = Killed(lambda state=state: drop(dsn, state, "public.marks_again")).at(steps + 1)
        wait_until(lambda: gone(admin))
        # Either the index is there, or what brings it back is written down.
        saved = "".join(path.read_text() for path in state.iterdir())
        assert "marks_again" in indexes(admin) or "CREATE INDEX CONCURRENTLY marks_again" in saved
        drop(dsn, state, "public.marks_again")
        assert "marks_again" not in indexes(admin)
        (path,) = state.iterdir()
        apply(admin, path.read_text())
        after = admin.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'marks'").fetchall()
        assert sorted(after) == sorted(before)
        if not killed:
            break
        steps += 1
    assert steps >= 3  # to write, to drop, to commit


@pytest.mark.parametrize("how", ["server", "session"])
def test_what_was_dropped_before_the_server_was_lost_is_told(
    dsn: str, postgres: Server, tmp_path: Path, how: str
) -> None:
    caught: list[CourtkeeperError] = []
    if how == "server":
        with postgres_server(tmp_path) as server:
            dsn = server.admin_dsn_for(fresh_database(server))
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(MARKS)
            caught += lost_at_the_second(dsn, tmp_path, server)
    else:
        caught += lost_at_the_second(dsn, tmp_path, None)
    (error,) = caught
    assert "was lost on the way" in str(error)
    partial = error.partial
    assert partial
    assert partial.changed
    assert partial.actions == ["drop the index public.marks_again"]
    assert about(partial, "public.marks_again").applied == "DROP INDEX public.marks_again;"
    assert about(partial, "public.other_again").status is Status.UNKNOWN
    assert "CREATE INDEX" in about(partial, "public.other_again").undo


def lost_at_the_second(dsn: str, tmp_path: Path, server: Server | None) -> list[CourtkeeperError]:
    """Drop two indexes; while the second waits for its lock, end the session, or `server` where given."""
    caught: list[CourtkeeperError] = []

    def work() -> None:
        try:
            drop(dsn, tmp_path / "state", "public.marks_again", "public.other_again", lock_timeout_s=30)
        except CourtkeeperError as error:
            caught.append(error)

    admin, holder = psycopg.connect(dsn, autocommit=True), psycopg.connect(dsn)
    admin.execute("CREATE TABLE other (a int); CREATE INDEX other_a ON other (a)")
    admin.execute("CREATE INDEX other_again ON other (a)")
    holder.execute("LOCK TABLE other IN ACCESS SHARE MODE")
    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: admin.execute(WAITING, [OURS]).fetchone() == (1,))
    if server:
        identity = server.postgres.running()
        assert identity
        assert processes.stop(identity, [(signal.SIGQUIT, 10.0)])  # as pg_ctl stop -m immediate
    else:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = %s AND wait_event_type = 'Lock'",
            [OURS],
        )
    thread.join(120)
    admin.close()
    holder.close()
    return caught


def test_an_index_that_a_replica_may_use_is_judged_once(
    dsn: str, admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a replica the same index is redundant, and perhaps unused: two findings, and one of them acts."""
    monkeypatch.setattr(Unused, "needs", Needs())
    judge = Unused.judge
    monkeypatch.setattr(
        Unused, "judge", lambda self, row: judge(self, type(row)(*[getattr(row, n) for n in NAMES], 1))
    )
    admin.execute("INSERT INTO marks SELECT n, n FROM generate_series(1, 60000) n")
    admin.execute("ANALYZE marks; REINDEX TABLE marks")
    done = drop(dsn, tmp_path, "public.marks_again")
    assert done.actions == ["drop the index public.marks_again"]
    both = [finding for finding in done.findings if finding.subject == "public.marks_again"]
    assert {finding.status for finding in both} == {Status.OK, Status.UNKNOWN}


NAMES = ("index_name", "table_name", "is_partitioned", "scans", "bytes", "definition")
