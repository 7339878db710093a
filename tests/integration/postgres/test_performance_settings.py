"""Advice on a real server's settings: given, applied where told, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status
from courtkeeper.postgres.performance import tuning
from courtkeeper.postgres.performance.record import Record
from support.findings import apply, only
from support.performance import Killed, gone, look, of
from support.platform import wait_until
from support.postgres import Server, postgres_server

pytestmark = pytest.mark.slow

MACHINE: dict[str, Any] = {"parts": ["settings"], "memory_mb": 4096, "cpus": 2}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: its settings are changed."""
    with postgres_server(tmp_path_factory.mktemp("settings")) as made:
        yield made


@pytest.fixture
def admin(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Its owner; whatever a test has changed is gone afterwards."""
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        yield connection
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what takes changes back is kept."""
    monkeypatch.setitem(MACHINE, "state_directory", str(tmp_path / "state"))
    return tmp_path / "state" / "undo-nba.sql"


def advised(result: Result) -> dict[str, Any]:
    return {one.subject: one.threshold for one in of(result, "setting") if one.status is Status.WARN}


def files(admin: psycopg.Connection[Any], name: str) -> list[str]:
    query = "SELECT setting FROM pg_file_settings WHERE name = %s AND sourcefile LIKE '%%auto.conf'"
    return [value for (value,) in admin.execute(query, [name])]


def test_the_defaults_of_a_machine_with_4_gb_are_advised_on_and_nothing_is_changed(
    server: Server, admin: psycopg.Connection[Any]
) -> None:
    result = look(server.admin_dsn, **MACHINE)
    assert advised(result)["shared_buffers"] == "1024MB"
    assert advised(result)["maintenance_work_mem"] == "256MB"
    assert not result.changed
    assert files(admin, "maintenance_work_mem") == []
    finding = next(one for one in of(result, "setting") if one.subject == "maintenance_work_mem")
    assert "64.0 MB and should be 256MB" in finding.summary
    assert "PgTune" in finding.summary


def test_the_remedy_by_hand_and_its_undo_work(server: Server, admin: psycopg.Connection[Any]) -> None:
    finding = next(
        one
        for one in of(look(server.admin_dsn, **MACHINE), "setting")
        if one.subject == "maintenance_work_mem"
    )
    apply(admin, finding.fix)
    assert "maintenance_work_mem" not in advised(look(server.admin_dsn, **MACHINE))
    apply(admin, finding.undo)
    assert "maintenance_work_mem" in advised(look(server.admin_dsn, **MACHINE))


def test_a_named_setting_is_applied_once_and_its_undo_brings_the_former_value_back(
    server: Server, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("ALTER SYSTEM SET maintenance_work_mem = '17MB'")
    admin.execute("SELECT pg_reload_conf()")
    told = {**MACHINE, "apply_settings": ["maintenance_work_mem"]}
    planned = look(server.admin_dsn, check_mode=True, **told)
    assert files(admin, "maintenance_work_mem") == ["17MB"]
    done = look(server.admin_dsn, **told)
    assert done.changed
    assert done.actions == planned.actions == ["set maintenance_work_mem from 17.0 MB to 256MB"]
    assert files(admin, "maintenance_work_mem") == ["256MB"]
    finding = next(one for one in of(done, "setting") if one.subject == "maintenance_work_mem")
    assert finding.status is Status.OK
    assert Record(told["state_directory"], "nba").applied() == {"maintenance_work_mem": "256MB"}
    again = look(server.admin_dsn, **told)
    assert (again.changed, again.actions) == (False, [])
    apply(admin, finding.undo)
    assert files(admin, "maintenance_work_mem") == ["17MB"]


@pytest.mark.parametrize("back", [True, False])
def test_a_setting_that_cannot_be_taken_back_is_not_said_to_be_unchanged(
    server: Server, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """The server does not answer for the setting; then its file is gone from it, or there again."""
    kept = server.postgres.data / "postgresql.auto.conf"

    def refused(worker: psycopg.Connection[Any], *_: object) -> None:
        if not back:
            kept.chmod(0)
        worker.execute("SELECT 1 / 0")

    monkeypatch.setattr(tuning, "_reloaded", refused)
    try:
        with pytest.raises(CourtkeeperError) as told:
            look(server.admin_dsn, apply_settings=["maintenance_work_mem"], **MACHINE)
    finally:
        kept.chmod(0o600)
    assert ("what was before is in the files again" in str(told.value)) is back
    assert ("ALTER SYSTEM RESET maintenance_work_mem" in str(told.value)) is not back
    assert bool(files(admin, "maintenance_work_mem")) is not back


def test_a_run_that_was_killed_before_the_server_read_the_files_is_completed(
    server: Server, admin: psycopg.Connection[Any], state: Path
) -> None:
    admin.execute("ALTER SYSTEM SET maintenance_work_mem = '256MB'")
    done = look(server.admin_dsn, **MACHINE, apply_settings=["maintenance_work_mem"])
    assert done.changed
    assert admin.execute("SHOW maintenance_work_mem").fetchone() == ("256MB",)
    finding = next(one for one in of(done, "setting") if one.subject == "maintenance_work_mem")
    assert finding.undo == "ALTER SYSTEM RESET maintenance_work_mem; SELECT pg_reload_conf();"
    assert finding.undo in state.read_text()


def test_killed_at_each_step_and_run_again_it_is_set_and_can_be_taken_back(
    server: Server, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    steps = 0
    while True:
        state = tmp_path / str(steps)
        told = {**MACHINE, "apply_settings": ["maintenance_work_mem"], "state_directory": str(state)}
        killed = Killed(lambda told=told: look(server.admin_dsn, **told)).at(steps + 1)
        wait_until(lambda: gone(admin))
        look(server.admin_dsn, **told)
        wait_until(lambda: admin.execute("SHOW maintenance_work_mem").fetchone() == ("256MB",))
        (path,) = state.iterdir()
        apply(admin, path.read_text())
        wait_until(lambda: admin.execute("SHOW maintenance_work_mem").fetchone() == ("64MB",))
        assert files(admin, "maintenance_work_mem") == []
        if not killed:
            break
        steps += 1
    assert steps >= 3


def test_a_setting_that_takes_a_restart_says_so_and_is_not_set_again(
    server: Server, admin: psycopg.Connection[Any]
) -> None:
    told = {**MACHINE, "apply_settings": ["shared_buffers"]}
    done = look(server.admin_dsn, **told)
    assert done.actions == ["set shared_buffers from 128.0 MB to 1024MB, in effect from the next restart"]
    finding = next(one for one in of(done, "setting") if one.subject == "shared_buffers")
    assert (finding.status, finding.fix) == (Status.WARN, "restart the server at a quiet time")
    again = look(server.admin_dsn, **told)
    assert (again.changed, again.actions) == (False, [])
    assert only(of(again, "pending_restart")).subject == "shared_buffers"
    assert "shared_buffers" not in advised(again)


def test_a_setting_of_the_database_itself_is_left_alone(
    server: Server, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("ALTER DATABASE nba SET maintenance_work_mem = '16MB'")
    try:
        done = look(server.admin_dsn, **MACHINE, apply_settings=["maintenance_work_mem"])
    finally:
        admin.execute("ALTER DATABASE nba RESET maintenance_work_mem")
    assert not done.changed
    finding = next(one for one in of(done, "setting") if one.subject == "maintenance_work_mem")
    assert finding.status is Status.SKIPPED
    assert "comes from another place (database)" in finding.summary


def test_a_role_that_may_not_change_settings_is_told(server: Server, admin: psycopg.Connection[Any]) -> None:
    done = look(server.dsn, **MACHINE, apply_settings=["maintenance_work_mem"])
    assert not done.changed
    finding = next(one for one in of(done, "setting") if one.subject == "maintenance_work_mem")
    assert finding.status is Status.SKIPPED
    assert "ALTER SYSTEM is a superuser's" in finding.summary
    assert files(admin, "maintenance_work_mem") == []


def test_an_unknown_setting_is_refused_before_anything_is_changed(
    server: Server, admin: psycopg.Connection[Any]
) -> None:
    with pytest.raises(ConfigurationError, match="did you mean work_mem"):
        look(server.admin_dsn, **MACHINE, apply_settings=["maintenance_work_mem", "work_men"])
    assert files(admin, "maintenance_work_mem") == []


def test_more_clients_than_the_cpus_serve_are_told_the_size_of_a_pool(server: Server, tmp_path: Path) -> None:
    assert only(of(look(server.admin_dsn, **MACHINE), "pool_size")).status is Status.OK
    crowd = [psycopg.connect(server.dsn) for _ in range(21)]
    try:
        finding = only(of(look(server.admin_dsn, **MACHINE), "pool_size"))
    finally:
        for one in crowd:
            one.close()
    assert finding.status is Status.WARN
    assert "keep about 5 busy" in finding.summary
