"""The retention with a real replica, rude neighbours and odd tables: nothing hidden, lost or half done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.postgres.retention.pace import Pace
from support.clusters import Cluster, cluster, replica
from support.findings import apply, only
from support.platform import wait_until
from support.postgres import Server
from support.retention import EVENTS, TICKETS, content, rule, run
from support.upkeep import another

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]
DROP = rule("events", "happened_at", 100, to="drop_partitions", archive_table="events")


@pytest.fixture
def dsn(postgres: Server, database_dsn: str) -> str:
    return postgres.admin_dsn_for(database_dsn)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its streaming replica."""
    with (
        cluster(tmp_path_factory.mktemp("primary")) as primary,
        replica(primary, tmp_path_factory.mktemp("replica")) as standby,
    ):
        with primary.admin() as admin:
            wait_until(
                lambda: admin.execute("SELECT state FROM pg_stat_replication").fetchone() == ("streaming",)
            )
            admin.execute(TICKETS)
        yield primary, standby


def lag(admin: Admin) -> float:
    row = admin.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 / 1048576 FROM pg_stat_replication"
    ).fetchone()
    return float(row[0]) if row else 0.0


class TestReplica:
    def test_batches_wait_while_it_is_behind_and_go_on_when_it_is_not(
        self, pair: tuple[Cluster, Cluster]
    ) -> None:
        primary, standby = pair
        waited: list[float] = []
        with primary.admin() as admin, standby.admin() as there:
            there.execute("SELECT pg_wal_replay_pause()")
            admin.execute("CREATE TABLE load AS SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
            wait_until(lambda: lag(admin) > 2)

            def rest(_seconds: float) -> None:
                """Where the retention would sleep: it has moved nothing yet; after three looks it goes on."""
                waited.append(lag(admin))
                assert admin.execute("SELECT count(*) FROM tickets").fetchone() == (100,)
                if len(waited) == 3:
                    there.execute("SELECT pg_wal_replay_resume()")
                    wait_until(lambda: lag(admin) < 1)

            done = run(
                primary.dsn(),
                rule(batch_rows=20),
                max_replica_lag_mb=1,
                pace=lambda settings: Pace(settings, sleep=rest),
            )
        assert len(waited) == 3
        assert min(waited) > 1
        assert done.metrics["rows_moved"] == 70
        with standby.admin() as there:
            wait_until(lambda: there.execute("SELECT count(*) FROM archive.tickets").fetchone() == (70,))

    def test_one_that_does_not_catch_up_leaves_the_rest_for_the_next_run(
        self, pair: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        primary, standby = pair
        monkeypatch.setattr("courtkeeper.postgres.retention.pace._PATIENCE_S", 0.1)
        with primary.admin() as admin, standby.admin() as there:
            admin.execute("CREATE TABLE jobs (made_at date); INSERT INTO jobs VALUES ('2020-01-01')")
            there.execute("SELECT pg_wal_replay_pause()")
            try:
                admin.execute("CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
                wait_until(lambda: lag(admin) > 2)
                finding = only(run(primary.dsn(), rule("jobs"), max_replica_lag_mb=1).findings)
                assert finding.status is Status.SKIPPED
                assert "MB behind and does not catch up" in finding.summary
                assert content(admin, "jobs", "made_at::text") == [("2020-01-01",)]
            finally:
                there.execute("SELECT pg_wal_replay_resume()")
            wait_until(lambda: lag(admin) < 1)
            assert run(primary.dsn(), rule("jobs"), max_replica_lag_mb=1).metrics["rows_moved"] == 1

    def test_a_role_that_cannot_see_how_far_it_is_says_so(self, pair: tuple[Cluster, Cluster]) -> None:
        primary, _ = pair
        with primary.admin() as admin:
            admin.execute("CREATE ROLE \"k'eeper\" LOGIN PASSWORD 'k'")
            admin.execute('GRANT CREATE ON SCHEMA public TO "k\'eeper"')
            theirs = primary.dsn(user="k'eeper", password="k")  # of this test alone
            with psycopg.connect(theirs, autocommit=True) as keeper:
                keeper.execute("CREATE TABLE own (made_at date); INSERT INTO own VALUES ('2020-01-01')")
            told = rule("own", to="delete")
            finding = next(f for f in run(theirs, told, check=True).findings if "lag" in f.id)
            assert (finding.status, finding.observed) == (Status.SKIPPED, 1)
            apply(admin, finding.fix)
            assert {f.status for f in run(theirs, told).findings} == {Status.OK}
            admin.execute('DROP OWNED BY "k\'eeper"; DROP ROLE "k\'eeper"')


def test_a_value_that_the_archive_refuses_is_told_nobody(admin: Admin, dsn: str) -> None:
    admin.execute("CREATE TABLE cards (made_at date, number text); CREATE SCHEMA archive")
    admin.execute("INSERT INTO cards SELECT '2020-01-01', '4111-secret' FROM generate_series(1, 2)")
    admin.execute("CREATE TABLE archive.cards (made_at date, number text UNIQUE, archived_at timestamptz)")
    done = run(dsn, rule("cards"))
    assert only(done.findings).status is Status.CRIT
    assert "cards_number_key" in only(done.findings).summary
    assert "secret" not in str(done)
    with pytest.raises(ConfigurationError, match="invalid input syntax") as error:
        run(dsn, rule("cards", where="number::int > 5"))
    assert "secret" not in str(error.value)
    assert len(content(admin, "cards")) == 2


def test_another_sessions_temporary_table_is_refused_rather_than_called_empty(admin: Admin, dsn: str) -> None:
    with another(admin) as other:
        other.execute("CREATE TEMP TABLE mine (made_at date); INSERT INTO mine VALUES ('2020-01-01')")
        other.commit()
        schema = other.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()
        assert schema
        with pytest.raises(ConfigurationError, match="or to one session"):
            run(dsn, rule(f"{schema[0]}.mine"))


def test_a_session_that_is_ended_from_outside_is_one_sentence_and_whole_batches(
    admin: Admin, dsn: str
) -> None:
    admin.execute(TICKETS)
    steps: list[str] = []

    def end(step: str) -> None:
        steps.append(step)
        if steps.count("taken") == 2 and step == "taken":
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'courtkeeper database_retention'"
            )

    with pytest.raises(CourtkeeperError, match=r"went away.*1 batches .* were done before") as error:
        run(dsn, rule(batch_rows=20), trace=end)
    assert error.value.partial
    assert error.value.partial.metrics["rows_moved"] == 20
    assert len(content(admin, "tickets")) == 80
    assert len(content(admin, "archive.tickets")) == 20
    # No lock of ours is left: the next run ends it.
    assert run(dsn, rule(batch_rows=20)).metrics["rows_moved"] == 50


class TestPartitions:
    @pytest.fixture
    def events(self, admin: Admin) -> Admin:
        admin.execute(EVENTS)
        admin.execute("COMMENT ON TABLE events_2026_01 IS 'of January'")
        return admin

    def comment(self, events: Admin) -> Any:
        return events.execute("SELECT obj_description('events_2026_01'::regclass)").fetchone()

    def test_one_that_could_not_be_taken_out_keeps_its_comment_and_is_nobodys(
        self, events: Admin, dsn: str
    ) -> None:
        """Marked, and detached by a person who wants to keep it, it would be dropped by the next run."""
        with another(events) as holder:
            holder.execute("LOCK TABLE ONLY events IN SHARE UPDATE EXCLUSIVE MODE")
            done = run(dsn, DROP)
        assert only(done.findings).status is Status.SKIPPED
        assert self.comment(events) == ("of January",)
        events.execute("ALTER TABLE events DETACH PARTITION events_2026_01")
        run(dsn, DROP)
        assert len(content(events, "events_2026_01")) == 10

    def test_one_taken_out_with_a_young_row_is_put_back(self, events: Admin, dsn: str) -> None:
        events.execute("INSERT INTO events VALUES (7, '2026-08-31', NULL)")
        # The bound is not past: only a run before this one, of fewer days, can have taken it out.
        mark = "courtkeeper: taken out of public.events by its retention, to be dropped"
        bound = events.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_2026_08'"
        ).fetchone()
        assert bound
        events.execute("ALTER TABLE events DETACH PARTITION events_2026_08")
        text = sql.Literal(f"{mark}\n{bound[0]}\nmine")
        events.execute(sql.SQL("COMMENT ON TABLE events_2026_08 IS {}").format(text))
        done = run(dsn, DROP)
        finding = only(done.findings)
        assert finding.status is Status.CRIT
        assert "it was put back" in finding.summary
        there = events.execute(
            "SELECT relispartition, obj_description(oid) FROM pg_class WHERE relname = 'events_2026_08'"
        ).fetchone()
        assert there == (True, "mine")
        assert {f.status for f in run(dsn, DROP).findings} == {Status.OK}

    def test_a_bound_of_two_columns_may_hold_rows_of_the_day_itself(self, admin: Admin, dsn: str) -> None:
        admin.execute("CREATE TABLE plays (made_at date, n int) PARTITION BY RANGE (made_at, n)")
        admin.execute(
            "CREATE TABLE plays_1 PARTITION OF plays "
            "FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2026-10-23', 5)"
        )
        admin.execute("INSERT INTO plays VALUES ('2026-09-01', 1), ('2026-10-23', 2)")
        told = rule("plays", "made_at", 30, to="drop_partitions")  # until 2026-10-23
        assert not run(dsn, told).changed
        assert admin.execute("SELECT count(*) FROM plays").fetchone() == (2,)
