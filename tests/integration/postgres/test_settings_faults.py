"""Faults of the group `settings`: durability, drift, checksums, autovacuum."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.platform import processes
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.settings import IntegritySettings
from support.clusters import Cluster, cluster
from support.damage import flip
from support.findings import is_bad, is_ok, only, within
from support.platform import wait_until
from support.postgres import start

pytestmark = pytest.mark.slow

RELOAD = "SELECT pg_reload_conf();"


@pytest.fixture
def _reset(sound: Cluster) -> Iterator[None]:
    """Take back what a test set by ALTER SYSTEM."""
    yield
    sound.apply(f"ALTER SYSTEM RESET ALL; {RELOAD}")
    within(partial(sound.ask, "settings.overridden"), is_ok)


def test_a_sound_server_gives_no_finding(sound: Cluster) -> None:
    for check in choose(groups=["activity", "replication", "settings", "security"]):
        name = f"{check.group}.{check.name}"
        limits = {"days": 0} if name == "settings.statistics_age" else {}
        assert only(sound.ask(name, **limits)).status is Status.OK, name


@pytest.mark.usefixtures("_reset")
@pytest.mark.parametrize(
    ("name", "bad", "status"),
    [
        ("fsync", "off", Status.CRIT),
        ("full_page_writes", "off", Status.CRIT),
        ("zero_damaged_pages", "on", Status.CRIT),
        ("ignore_checksum_failure", "on", Status.CRIT),
        ("synchronous_commit", "off", Status.WARN),
    ],
)
def test_a_setting_that_risks_committed_data(sound: Cluster, name: str, bad: str, status: Status) -> None:
    ask = partial(sound.ask, "settings.durability")
    sound.apply(f"ALTER SYSTEM SET {name} = {bad}; {RELOAD}")
    finding = within(ask, is_bad)
    assert (finding.subject, finding.status, finding.observed) == (name, status, bad)
    sound.apply(finding.fix)
    within(ask, is_ok)
    sound.apply(finding.undo)
    within(ask, is_bad)


def _checksums(server: Cluster, word: str) -> None:
    identity = server.postgres.running()
    assert identity
    assert server.postgres.stop(identity)
    done = processes.run(
        [server.postgres.bin_dir / "pg_checksums", word, "-D", server.postgres.data], server.postgres.account
    )
    assert done.returncode == 0, done.stderr
    start(server.postgres)


def test_a_cluster_without_checksums(sound: Cluster) -> None:
    _checksums(sound, "--disable")
    finding = only(sound.ask("settings.durability"))
    assert (finding.subject, finding.status) == ("data_checksums", Status.WARN)
    assert "pg_checksums --enable" in finding.fix
    _checksums(sound, "--enable")
    assert only(sound.ask("settings.durability")).status is Status.OK


def test_a_page_that_fails_its_checksum(tmp_path: Path) -> None:
    with cluster(tmp_path) as server:
        ask = partial(server.ask, "settings.checksum_failure")
        assert only(ask()).status is Status.OK
        with server.admin() as admin:
            admin.execute("CREATE TABLE damaged AS SELECT g FROM generate_series(1, 1000) g")
            admin.execute("CHECKPOINT")
            (path,) = admin.execute("SELECT pg_relation_filepath('damaged')").fetchone()
        identity = server.postgres.running()
        assert identity
        assert server.postgres.stop(identity)
        flip(server.postgres.data / path, block=1, offset=4000)
        start(server.postgres)
        with server.admin() as admin, pytest.raises(psycopg.errors.DataCorrupted):
            admin.execute("SELECT sum(g) FROM damaged")
        finding = within(ask, is_bad)
        assert (finding.subject, finding.status) == ("postgres", Status.CRIT)
        assert "failed their checksum 1 time," in finding.summary
        flip(server.postgres.data / path, block=1, offset=4000)  # restored
        server.apply(finding.fix)
        within(ask, is_ok)


def test_a_server_that_archives_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path, {"archive_mode": "off", "wal_level": "replica"}) as server:
        finding = only(server.ask("settings.archiving"))
        assert (finding.subject, finding.status) == ("archive_mode", Status.WARN)
        server.apply(finding.fix)
        server.restart()
        assert only(server.ask("settings.archiving")).status is Status.OK
        server.apply(
            f"{finding.undo} ALTER SYSTEM SET wal_level = minimal; ALTER SYSTEM SET max_wal_senders = 0;"
        )
        server.restart()
        finding = only(server.ask("settings.archiving"))
        assert finding.subject == "wal_level"
        server.apply(finding.fix)
        server.restart()
        assert only(server.ask("settings.archiving")).status is Status.OK


@pytest.mark.usefixtures("_reset")
def test_a_setting_that_waits_for_a_restart(sound: Cluster) -> None:
    ask = partial(sound.ask, "settings.pending_restart")
    assert only(ask()).status is Status.OK
    sound.apply(f"ALTER SYSTEM SET max_connections = 77; {RELOAD}")
    finding = within(ask, is_bad)
    assert finding.subject == "max_connections"
    assert finding.observed == "100"
    assert only(sound.ask("settings.file_error")).status is Status.OK
    sound.restart()
    assert only(ask()).status is Status.OK
    sound.apply("ALTER SYSTEM RESET max_connections;")
    sound.restart()


def test_a_line_of_the_configuration_that_cannot_be_used(sound: Cluster) -> None:
    ask = partial(sound.ask, "settings.file_error")
    assert only(ask()).status is Status.OK
    path = sound.postgres.data / "postgresql.conf"
    before = path.read_text()
    path.write_text(before + "work_mem = many\n")
    finding = only(ask())
    path.write_text(before)
    line = len(before.splitlines()) + 1
    assert finding.subject == f"{path}:{line}"
    assert finding.status is Status.CRIT
    assert "(work_mem) cannot be used" in finding.summary
    assert only(ask()).status is Status.OK


@pytest.mark.usefixtures("_reset")
def test_a_setting_overridden_by_alter_system(sound: Cluster) -> None:
    ask = partial(sound.ask, "settings.overridden")
    assert only(ask()).status is Status.OK
    sound.apply(f"ALTER SYSTEM SET log_checkpoints = off; {RELOAD}")
    finding = within(ask, is_bad)
    assert finding.subject == "log_checkpoints"
    assert "courtkeeper.conf:" in finding.summary
    told = IntegritySettings(settings_expected={"log_checkpoints": "off"})
    assert only(sound.ask("settings.overridden", told=told)).status is Status.OK  # it is meant
    sound.apply(finding.fix)
    within(ask, is_ok)
    sound.apply(finding.undo)
    assert within(ask, is_bad) == finding


@pytest.mark.usefixtures("_reset")
def test_what_the_performance_duty_applied_is_no_drift_until_it_is_changed(
    sound: Cluster, tmp_path: Path
) -> None:
    ask = partial(sound.ask, "settings.overridden")
    Record(str(tmp_path), "postgres").keep("log_checkpoints = off", "ALTER SYSTEM RESET log_checkpoints;")
    told = IntegritySettings(performance_directory=str(tmp_path))
    sound.apply(f"ALTER SYSTEM SET log_checkpoints = off; {RELOAD}")
    within(ask, is_bad)
    assert only(ask(told=told)).status is Status.OK
    sound.apply("ALTER SYSTEM SET log_checkpoints = 'false';")
    assert only(ask(told=told)).observed == "false"
    (tmp_path / "undo-postgres.sql").unlink()
    assert is_bad(only(ask(told=told)))


# Every way to write a value of the sound server; and then one that it is not.
SAME = {
    "work_mem": ("4MB", "4096kB", "4096", " 0.00390625GB"),
    "shared_buffers": ("128MB", "16384", "0.125GB"),
    "checkpoint_timeout": ("5min", "300s", "300", "300000 ms"),
    "autovacuum_vacuum_cost_delay": ("2ms", "2", "2.0", "2000us"),
    "random_page_cost": ("4", "4.0"),
    "fsync": ("on", "true", "yes", "1", True),
    "wal_level": ("logical", "LOGICAL"),
    "DateStyle": ("ISO, MDY", "ISO,MDY"),
    "log_temp_files": ("-1",),
    "max_stack_depth": ("2MB", "2048kB"),
    "track_activity_query_size": ("1024", "1kB", "1024B"),
}


@pytest.mark.parametrize("name", SAME)
def test_a_declared_setting_is_the_same_in_whatever_unit(sound: Cluster, name: str) -> None:
    for value in SAME[name]:
        told = IntegritySettings(settings_expected={name: value})
        finding = only(sound.ask("settings.expected", told=told))
        assert finding.status is Status.OK, value


def test_what_our_own_session_sets_is_not_compared(sound: Cluster) -> None:
    told = IntegritySettings(settings_expected={"lock_timeout": "1s"})
    finding = only(sound.ask("settings.expected", told=told))
    assert (finding.subject, finding.status) == ("lock_timeout", Status.SKIPPED)


@pytest.mark.parametrize(
    "value", ["8MB", "4097kB", "4GB", "-1", "many", "", "4 lightyears", "9" * 40, "4MB; DROP"]
)
def test_another_value_is_a_finding(sound: Cluster, value: str) -> None:
    told = IntegritySettings(settings_expected={"work_mem": value})
    finding = only(sound.ask("settings.expected", told=told))
    assert (finding.subject, finding.status, finding.observed) == ("work_mem", Status.WARN, "4MB")


@pytest.mark.usefixtures("_reset")
def test_a_setting_that_drifted_is_set_back(sound: Cluster) -> None:
    told = IntegritySettings(
        settings_expected={
            "work_mem": "9MB",
            "archive_command": "cp --password hunter2 %p",
            "no_such_setting": "1",
            "shared_preload_libraries": "pg_stat_statements, auto_explain",
            "block_size": "4096",
        }
    )

    def ask() -> dict[str, Any]:
        return {finding.subject: finding for finding in sound.ask("settings.expected", told=told)}

    found = ask()
    assert set(found) == set(told.settings_expected)
    assert found["work_mem"].summary == "work_mem is 4MB, but declared as 9MB."
    assert "hunter2" not in str(found)
    assert "knows no such setting" in found["no_such_setting"].summary
    assert found["block_size"].fix.startswith("-- it cannot be changed")
    libraries = found["shared_preload_libraries"].fix
    assert libraries.startswith(
        "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements', 'auto_explain';"
    )
    assert libraries.endswith("-- then restart the server")
    sound.apply(found["work_mem"].fix)
    wait_until(lambda: "work_mem" not in ask())  # a reload takes a moment
    sound.apply(found["work_mem"].undo)


def test_a_declaration_that_cannot_be_is_refused(sound: Cluster) -> None:
    for settings, words in (
        ({"work mem": "1"}, "give the name of a setting"),
        ({"x'; DROP": "1"}, "give the name of a setting"),
        ({"work_mem": ["1"]}, "settings_expected.work_mem is"),
        ({"work_mem": "a\0b"}, "settings_expected.work_mem is"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            sound.ask("settings.expected", told=IntegritySettings(settings_expected=settings))


@pytest.mark.usefixtures("_reset")
@pytest.mark.parametrize("name", ["autovacuum", "track_counts"])
def test_autovacuum_that_is_switched_off(sound: Cluster, name: str) -> None:
    ask = partial(sound.ask, "settings.autovacuum")
    assert only(ask()).status is Status.OK
    sound.apply(f"ALTER SYSTEM SET {name} = off; {RELOAD}")
    finding = within(ask, is_bad)
    assert (finding.subject, finding.status) == (name, Status.CRIT)
    sound.apply(finding.fix)
    within(ask, is_ok)


@pytest.mark.parametrize(
    ("option", "words"), [("autovacuum_enabled", '"Load"'), ("toast.autovacuum_enabled", "the TOAST table")]
)
def test_a_table_without_autovacuum(sound: Cluster, option: str, words: str) -> None:
    ask = partial(sound.ask, "settings.autovacuum_table")
    assert only(ask()).status is Status.OK
    with sound.admin() as admin:
        admin.execute(f'CREATE TABLE "Load" (t text) WITH ({option} = no)'.encode())
        finding = only(ask())
        assert finding.subject == 'public."Load"'
        assert words in finding.summary
        sound.apply(finding.fix)
        assert only(ask()).status is Status.OK
        sound.apply(finding.undo)
        assert is_bad(only(ask()))
        admin.execute('DROP TABLE "Load"')


def test_statistics_too_young_to_judge_by(sound: Cluster) -> None:
    with sound.admin() as admin:
        admin.execute("SELECT pg_stat_reset()")
    finding = only(sound.ask("settings.statistics_age"))
    assert (finding.subject, finding.status) == ("postgres", Status.SKIPPED)
    assert "counted for 0.0 days only" in finding.summary
    assert only(sound.ask("settings.statistics_age", days=0)).status is Status.OK
