"""Faults of the group `activity`: sessions that are in each other's way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import Status
from support.clusters import Cluster
from support.findings import is_bad, is_ok, only, within

pytestmark = pytest.mark.slow

Connection = psycopg.Connection[Any]
# What a remedy does not end ends by itself: the client waits where no time limit of a test reaches.
BOUNDED = "-c statement_timeout=30s"


@pytest.fixture
def session(sound: Cluster) -> Iterator[Callable[[], Connection]]:
    """Open sessions that are ended at the end, whatever they are doing."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            closing(psycopg.connect(sound.dsn(), options=BOUNDED, autocommit=True))
        )
        clear(sound)


@pytest.fixture
def rows(sound: Cluster) -> Iterator[None]:
    """A table of three rows to wait for."""
    with sound.admin() as admin:
        admin.execute("CREATE TABLE waited (id int PRIMARY KEY, secret text)")
        admin.execute("INSERT INTO waited SELECT g, '' FROM generate_series(1, 3) g")
    yield
    clear(sound)
    with sound.admin() as admin:
        admin.execute("DROP TABLE waited")


def clear(sound: Cluster) -> None:
    """End every other session (a closed client does not wake a sleeping server) and prepared transaction."""
    with sound.admin() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        for (gid,) in admin.execute("SELECT quote_literal(gid) FROM pg_prepared_xacts").fetchall():
            admin.execute(f"ROLLBACK PREPARED {gid}".encode())


def begin(connection: Connection, statement: str) -> int:
    """Send a statement without waiting for its end; return the session's pid."""
    connection.pgconn.send_query(statement.encode())
    return connection.info.backend_pid


def ended(connection: Connection) -> str:
    """Wait for the end of what was begun, and return the error or nothing."""
    message = b""
    while (result := connection.pgconn.get_result()) is not None:
        message = result.error_message
    return message.decode()


def test_a_long_query_is_named_without_its_values_and_can_be_cancelled(
    sound: Cluster, session: Callable[[], Connection]
) -> None:
    ask = partial(sound.ask, "activity.long_query", warn=0.2)
    assert only(ask()).status is Status.OK
    running = session()
    pid = begin(running, "/* x */ SELECT pg_sleep(600), 'hunter2', 4711 -- hunter3")
    finding = within(ask, is_bad)
    assert finding.subject == f"pid {pid}"
    assert "courtkeeper_admin" in finding.summary
    assert "SELECT pg_sleep(?), ?, ?" in finding.summary
    assert "hunter" not in str(finding)
    assert "4711" not in finding.summary
    assert only(sound.ask("activity.long_query")).status is Status.OK  # not yet 60 s
    sound.apply(finding.fix)
    assert "due to user request" in ended(running)
    assert only(ask()).status is Status.OK


def test_a_cancellation_does_not_hit_another_query_of_the_same_session(
    sound: Cluster, session: Callable[[], Connection]
) -> None:
    running = session()
    begin(running, "SELECT pg_sleep(600)")
    finding = within(partial(sound.ask, "activity.long_query", warn=0.1), is_bad)
    sound.apply(finding.fix)
    assert "due to user request" in ended(running)
    begin(running, "SELECT pg_sleep(600)")
    within(partial(sound.ask, "activity.long_query", warn=0.1), is_bad)
    sound.apply(finding.fix)  # too late: it was about the former one
    assert within(partial(sound.ask, "activity.long_query", warn=0.1), is_bad).fix != finding.fix


def test_a_session_idle_in_a_transaction(
    sound: Cluster, session: Callable[[], Connection], rows: None
) -> None:
    ask = partial(sound.ask, "activity.idle_in_transaction", warn=0.2)
    assert only(ask()).status is Status.OK
    idle = session()
    idle.execute("BEGIN")
    idle.execute("UPDATE waited SET secret = 'hunter2' WHERE id = 1")
    finding = within(ask, is_bad)
    assert finding.subject == f"pid {idle.info.backend_pid}"
    assert "UPDATE waited SET secret = ? WHERE id = ?" in finding.summary
    sound.apply(finding.fix)
    within(ask, is_ok)


def test_an_old_transaction_that_holds_vacuum_back(sound: Cluster, session: Callable[[], Connection]) -> None:
    ask = partial(sound.ask, "activity.old_transaction", warn=0.2)
    assert only(ask()).status is Status.OK
    old = session()
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    old.execute("SELECT 1")
    finding = within(ask, is_bad)
    assert finding.subject == f"pid {old.info.backend_pid}"
    assert finding.unit == "s"
    sound.apply(finding.fix)
    within(ask, is_ok)


def test_a_prepared_transaction_that_was_forgotten(
    sound: Cluster, session: Callable[[], Connection], rows: None
) -> None:
    ask = partial(sound.ask, "activity.old_transaction", warn=0.2)
    coordinator = session()
    coordinator.execute("BEGIN")
    coordinator.execute("DELETE FROM waited WHERE id = 1")
    coordinator.execute("PREPARE TRANSACTION 'it''s mine'")
    finding = within(ask, is_bad)
    assert finding.subject == "prepared transaction 'it''s mine'"
    assert "in postgres" in finding.summary
    sound.apply(finding.fix)
    within(ask, is_ok)


def test_a_slot_that_holds_vacuum_back_is_judged_by_transactions(sound: Cluster) -> None:
    ask = partial(sound.ask, "activity.old_transaction", transactions=3)
    with sound.admin() as admin:
        admin.execute("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
        for _ in range(5):
            admin.execute("SELECT txid_current()")
        finding = within(ask, is_bad)
        assert finding.subject == "slot forgotten"
        assert finding.unit == "transactions"
        assert finding.observed >= 5
        sound.apply(finding.fix)
        within(ask, is_ok)


def test_a_blocker_chain_is_one_finding_that_names_the_root(
    sound: Cluster, session: Callable[[], Connection], rows: None
) -> None:
    ask = partial(sound.ask, "activity.blocked", warn=0.2)
    assert only(ask()).status is Status.OK
    root, middle, last = session(), session(), session()
    for connection, row in ((root, 1), (middle, 2)):
        connection.execute("BEGIN")
        connection.execute(f"UPDATE waited SET secret = 'hunter2' WHERE id = {row}".encode())
    second = begin(middle, "UPDATE waited SET secret = '' WHERE id = 1")
    third = begin(last, "UPDATE waited SET secret = '' WHERE id = 2")
    first = root.info.backend_pid
    finding = within(ask, lambda finding: is_bad(finding) and f"← {third}" in finding.summary)
    assert finding.subject == f"pid {first}"
    chain = rf"blocks 2 sessions, the longest for \d+ s \({first} ← {second} ← {third}\)"
    assert re.search(chain, finding.summary)
    assert "hunter" not in str(finding)
    sound.apply(finding.fix)
    assert ended(middle) == ""
    middle.execute("COMMIT")
    assert ended(last) == ""
    within(ask, is_ok)


def test_a_prepared_transaction_can_be_the_root_of_a_chain(
    sound: Cluster, session: Callable[[], Connection], rows: None
) -> None:
    ask = partial(sound.ask, "activity.blocked", warn=0.2)
    coordinator, waiting = session(), session()
    coordinator.execute("BEGIN")
    coordinator.execute("UPDATE waited SET secret = '' WHERE id = 1")
    coordinator.execute("PREPARE TRANSACTION 'gone'")
    pid = begin(waiting, "UPDATE waited SET secret = '' WHERE id = 1")
    finding = within(ask, is_bad)
    assert finding.subject == "prepared transaction"
    assert f"(prepared ← {pid})" in finding.summary
    sound.apply(finding.fix)
    assert ended(waiting) == ""
    within(ask, is_ok)


def test_deadlocks_that_come_again_and_again(
    sound: Cluster, session: Callable[[], Connection], rows: None
) -> None:
    assert only(sound.ask("activity.deadlock")).status is Status.OK
    with sound.admin() as admin:
        admin.execute("ALTER SYSTEM SET deadlock_timeout = '50ms'")
        admin.execute("SELECT pg_reload_conf()")
    one, other = session(), session()
    for connection, row in ((one, 1), (other, 2)):
        connection.execute("BEGIN")
        connection.execute(f"UPDATE waited SET secret = '' WHERE id = {row}".encode())
    begin(one, "UPDATE waited SET secret = '' WHERE id = 2")
    begin(other, "UPDATE waited SET secret = '' WHERE id = 1")
    assert "deadlock detected" in ended(one) + ended(other)
    one.close()
    other.close()
    finding = within(partial(sound.ask, "activity.deadlock"), is_bad)
    assert finding.subject == "postgres"
    assert "broke 1 deadlock in postgres" in finding.summary
    assert only(sound.ask("activity.deadlock", warn=2)).status is Status.OK
