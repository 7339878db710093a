"""Ending sessions: only where told and of whom, politely first, and never a word of what a query holds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, Result, Status
from support.findings import only
from support.platform import wait_until
from support.upkeep import Upkeep

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]
STATE = "SELECT state FROM pg_stat_activity WHERE pid = %s AND clock_timestamp() - state_change > '0.5 s'"


def alive(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def idle(database_dsn: str, admin: Admin) -> Iterator[psycopg.Connection[Any]]:
    """The application's session, idle in a transaction for half a second."""
    with psycopg.connect(database_dsn, application_name="worker 7") as connection:
        connection.execute("SELECT count(*) FROM games WHERE game_id = '0021500001'")
        wait_until(lambda: admin.execute(STATE, [connection.info.backend_pid]).fetchone())
        yield connection


def told(**more: Any) -> dict[str, Any]:
    terminate = {"idle_in_transaction_s": 0.5, "allow_users": ["courtkeeper"], **more}
    return {"duties": ["sequences"], "terminate": terminate}


def test_an_idle_transaction_is_ended_and_its_values_are_told_nobody(
    upkeep: Upkeep, idle: psycopg.Connection[Any]
) -> None:
    pid = idle.info.backend_pid
    planned = upkeep(check_mode=True, **told())
    assert alive(idle)
    idle.rollback()
    idle.execute("SELECT count(*) FROM games WHERE game_id = '0021500001'")
    wait_until(lambda: upkeep(check_mode=True, **told()).findings[0].status is Status.WARN)
    done = upkeep(**told())
    assert not alive(idle)
    finding = only(done.findings)
    assert (finding.subject, finding.status) == (f"pid {pid}", Status.OK)
    assert "courtkeeper (worker 7)" in finding.summary
    assert "FROM games WHERE game_id = ?" in finding.summary
    assert finding.applied == f"SELECT pg_terminate_backend({pid});"
    assert "0021500001" not in json.dumps(done.to_builtins()) + json.dumps(planned.to_builtins())
    assert [a for a in planned.actions if "session" in a] == [a for a in done.actions if "session" in a]
    assert not [a for a in upkeep(**told()).actions if "session" in a]


@pytest.mark.parametrize(
    "changed",
    [
        {"allow_users": ["platform_api"]},
        {"never_users": ["courtkeeper"]},
        {"never_applications": ["worker 7"]},
        {"idle_in_transaction_s": 3600},
        {"idle_in_transaction_s": 0, "query_s": 0.1},
    ],
)
def test_who_is_not_meant_is_left_alone(
    upkeep: Upkeep, idle: psycopg.Connection[Any], changed: dict[str, Any]
) -> None:
    upkeep(**told(**changed))
    assert alive(idle)


def test_nobody_is_touched_untold(upkeep: Upkeep, idle: psycopg.Connection[Any]) -> None:
    upkeep(duties=["sequences"])
    assert alive(idle)


def test_a_superuser_is_ended_by_name_only(upkeep: Upkeep, admin: Admin) -> None:
    with psycopg.connect(admin.info.dsn, password=admin.info.password) as boss:
        boss.execute("SELECT 1")
        wait_until(lambda: admin.execute(STATE, [boss.info.backend_pid]).fetchone())
        upkeep(**told(allow_users=["*"]))
        assert alive(boss)
        wait_until(lambda: admin.execute(STATE, [boss.info.backend_pid]).fetchone())
        upkeep(**told(allow_users=["courtkeeper_admin"]))
        assert not alive(boss)


def test_a_long_query_is_cancelled_and_its_session_stays(
    upkeep: Upkeep, database_dsn: str, admin: Admin
) -> None:
    with psycopg.connect(database_dsn, autocommit=True) as busy:
        pid, ended = busy.info.backend_pid, []

        def work() -> None:
            try:
                busy.execute("SELECT pg_sleep(60)")
            except psycopg.errors.QueryCanceled:
                ended.append(time.monotonic())

        worker = threading.Thread(target=work)
        worker.start()
        running = (
            "SELECT FROM pg_stat_activity "
            "WHERE pid = %s AND state = 'active' AND now() - query_start > '0.3 s'"
        )
        wait_until(lambda: admin.execute(running, [pid]).fetchone() is not None)
        done: Result = upkeep(**told(idle_in_transaction_s=0, query_s=0.3))
        worker.join(120)
        assert ended
        assert alive(busy)
    finding = only(done.findings)
    assert (finding.status, finding.applied) == (Status.OK, f"SELECT pg_cancel_backend({pid});")
    assert "pg_sleep(?)" in finding.summary


def test_times_without_a_list_of_roles_are_refused(upkeep: Upkeep) -> None:
    with pytest.raises(ConfigurationError, match=r"terminate\.allow_users is empty"):
        upkeep(**told(allow_users=[]))
