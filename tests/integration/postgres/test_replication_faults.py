"""Faults of the group `replication`, on a primary with a real streaming replica."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from courtkeeper.findings import Status
from support.clusters import Cluster, cluster, replica
from support.findings import is_bad, is_ok, only, within
from support.platform import wait_until
from support.postgres import start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A primary of this module's own, with a table."""
    with cluster(tmp_path_factory.mktemp("primary")) as server:
        with server.admin() as admin:
            admin.execute("CREATE TABLE written (n int)")
        yield server


@pytest.fixture(scope="module")
def standby(primary: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Its replica, which cancels readers at once."""
    directory: Path = tmp_path_factory.mktemp("replica")
    with replica(primary, directory, {"max_standby_streaming_delay": "0"}) as server:
        within(partial(server.ask, "replication.receiver"), is_ok)
        yield server


def write(primary: Cluster, rows: int = 20_000) -> None:
    """Write some MB of WAL."""
    with primary.admin() as admin:
        admin.execute("INSERT INTO written SELECT generate_series(1, %s)", [rows])


def test_a_paused_replay_and_the_lag_that_it_makes(primary: Cluster, standby: Cluster) -> None:
    lag = partial(primary.ask, "replication.lag", warn=0.5, crit=100)
    own_lag = partial(standby.ask, "replication.lag", warn=0.5, crit=100)
    paused = partial(standby.ask, "replication.paused")
    within(lag, is_ok)
    assert only(paused()).status is Status.OK
    write(primary, 1)
    with standby.admin() as admin:
        # It knows how late it is once it has replayed a commit.
        replayed = "SELECT pg_last_xact_replay_timestamp() IS NOT NULL"
        wait_until(lambda: admin.execute(replayed).fetchone() == (True,))
        admin.execute("SELECT pg_wal_replay_pause()")
    write(primary)
    behind = within(lag, is_bad)
    assert (behind.subject, behind.status, behind.unit) == ("replica", Status.WARN, "MB")
    assert behind.observed > 0.5
    assert within(partial(primary.ask, "replication.lag", warn=0.1, crit=0.5), is_bad).status is Status.CRIT
    assert within(own_lag, is_bad).subject == "this replica"
    by_time = partial(standby.ask, "replication.lag", warn_seconds=0.1)
    assert within(by_time, is_bad).unit == "s"
    finding = within(paused, is_bad)
    assert "replay of this replica is paused" in finding.summary
    standby.apply(finding.fix)
    for asked in (paused, lag, own_lag):
        within(asked, is_ok)


def test_a_receiver_whose_primary_is_gone(primary: Cluster, standby: Cluster) -> None:
    ask = partial(standby.ask, "replication.receiver")
    within(ask, is_ok)
    identity = primary.postgres.running()
    assert identity
    assert primary.postgres.stop(identity)
    try:
        finding = within(ask, is_bad)
        assert finding.status is Status.CRIT
        assert finding.observed == "absent"
        assert "holds the data as of 20" in finding.summary
        assert primary.password not in str(finding)
    finally:
        start(primary.postgres)
    within(ask, is_ok)


def test_a_forgotten_replication_slot(primary: Cluster) -> None:
    ask = partial(primary.ask, "replication.slot", inactive=0)
    assert only(ask()).status is Status.OK
    with primary.admin() as admin:
        admin.execute("SELECT pg_create_physical_replication_slot('old_replica', true)")
        finding = within(ask, is_bad)
        assert finding.subject == "old_replica"
        assert finding.status is Status.WARN
        assert "physical replication slot old_replica has been inactive" in finding.summary
        assert only(primary.ask("replication.slot")).status is Status.OK  # it may come back within 5 min
        assert only(primary.ask("replication.slot", warn=0, crit=0.000001)).subject == "old_replica"
        primary.apply(finding.fix)
        within(ask, is_ok)
        primary.apply(finding.undo)
        assert admin.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (1,)
        primary.apply(finding.fix)


def test_a_logical_slot_that_lost_its_wal(primary: Cluster, standby: Cluster) -> None:
    ask = partial(primary.ask, "replication.slot")
    with primary.admin() as admin:
        admin.execute("SELECT pg_create_logical_replication_slot('lost', 'pgoutput')")
        admin.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        admin.execute("SELECT pg_reload_conf()")
        for _ in range(3):
            write(primary, 100)
            admin.execute("SELECT pg_switch_wal()")
        # The replica has no slot: what it does not have when the checkpoint removes WAL is lost to it, too.
        has_all = "SELECT flush_lsn >= pg_current_wal_lsn() FROM pg_stat_replication"
        wait_until(lambda: admin.execute(has_all).fetchone() == (True,))
        admin.execute("CHECKPOINT")
        finding = within(ask, is_bad)
        assert (finding.subject, finding.status) == ("lost", Status.CRIT)
        assert "has lost the WAL that its consumer needs" in finding.summary
        primary.apply(finding.fix)
        within(ask, is_ok)
        primary.apply(finding.undo)
        primary.apply(finding.fix)
        admin.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        admin.execute("SELECT pg_reload_conf()")


def test_an_archiver_that_fails_and_the_files_that_wait_for_it(primary: Cluster) -> None:
    failing = partial(primary.ask, "replication.archiver")
    waiting = partial(primary.ask, "replication.archive_backlog", warn=1)
    within(waiting, is_ok)
    assert only(failing()).status is Status.OK
    with primary.admin() as admin:
        admin.execute("ALTER SYSTEM SET archive_command = 'false'")
        admin.execute("SELECT pg_reload_conf()")
        write(primary, 10)
        admin.execute("SELECT pg_switch_wal()")
        finding = within(failing, is_bad)
        assert finding.status is Status.CRIT
        assert "The archiver fails at 0000000" in finding.summary
        backlog = within(waiting, is_bad)
        assert backlog.observed >= 1
        assert only(primary.ask("replication.archive_backlog")).status is Status.OK  # under 100
        admin.execute("ALTER SYSTEM SET archive_command = ''")
        admin.execute("SELECT pg_reload_conf()")
        idle = within(failing, lambda finding: "neither archive_command" in finding.summary)
        assert idle.status is Status.CRIT
        admin.execute("ALTER SYSTEM RESET archive_command")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("SELECT pg_switch_wal()")
    within(waiting, is_ok, 90)  # the archiver pauses for up to a minute after failures
    within(failing, is_ok)


def test_a_synchronous_replica_that_is_gone(primary: Cluster, standby: Cluster) -> None:
    ask = partial(primary.ask, "replication.synchronous")
    assert only(ask()).status is Status.OK
    with primary.admin() as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (replica, \"Gone\")'")
        admin.execute("SELECT pg_reload_conf()")
        finding = within(ask, lambda finding: finding.subject == "Gone")
        assert finding.status is Status.WARN
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = '\"Gone\"'")
        admin.execute("SELECT pg_reload_conf()")
        finding = within(ask, lambda finding: finding.status is Status.CRIT)
        assert "0 of 1 synchronous replicas confirm commits (Gone not connected)" in finding.summary
        primary.apply(finding.fix)
        within(ask, is_ok)
        primary.apply(finding.undo)
        within(ask, is_bad)
        admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        admin.execute("SELECT pg_reload_conf()")
        within(ask, is_ok)


def test_a_replica_that_cancels_its_readers(primary: Cluster, standby: Cluster) -> None:
    ask = partial(standby.ask, "replication.conflict")
    assert only(ask()).status is Status.OK
    with standby.admin() as reader, primary.admin() as admin:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM written")
        admin.execute("TRUNCATE written")
        finding = within(ask, is_bad)
        assert "Replay cancelled 1 query in postgres" in finding.summary
        reader.close()
    standby.apply(finding.fix)
    with standby.admin() as admin:
        within(partial(standby.ask, "replication.conflict", warn=2), is_ok)
        assert admin.execute("SHOW hot_standby_feedback").fetchone() == ("on",)
    standby.apply(finding.undo)
