"""Whole partitions that are past their time: taken out, counted, archived where told, dropped."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, Status
from support.findings import only
from support.postgres import Server
from support.retention import EVENTS, content, rule, run

pytestmark = pytest.mark.slow

Admin = psycopg.Connection[Any]
DROP = rule("events", "happened_at", 60, to="drop_partitions")
ARCHIVE = {**DROP, "archive_table": "events"}


@pytest.fixture
def dsn(postgres: Server, database_dsn: str) -> str:
    return postgres.admin_dsn_for(database_dsn)


@pytest.fixture
def events(admin: Admin) -> Admin:
    admin.execute(EVENTS)
    return admin


def partitions(admin: Admin, table: str = "events") -> list[str]:
    return [
        name
        for (name,) in admin.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1",
            [table],
        )
    ]


def test_old_partitions_are_archived_and_dropped_and_come_back(events: Admin, dsn: str) -> None:
    before, whole = content(events, "events"), partitions(events)
    planned = run(dsn, ARCHIVE, check=True)
    assert partitions(events) == whole
    result = run(dsn, ARCHIVE)
    assert result.actions == planned.actions
    assert result.metrics["partitions_dropped"] == 8  # until August; September ends after the cutoff
    assert partitions(events) == ["events_2026_09", "events_2026_10", "events_2026_11", "events_2026_12"]
    assert len(content(events, "archive.events")) == 80
    assert not run(dsn, ARCHIVE).changed
    events.execute(only(result.findings).undo)
    assert partitions(events) == whole
    assert content(events, "events") == before
    assert content(events, "archive.events") == []


def test_without_an_archive_they_are_gone_and_there_is_no_undo(events: Admin, dsn: str) -> None:
    result = run(dsn, DROP)
    assert "drop the partition public.events_2026_01 of public.events with 10 rows" in result.actions
    assert only(result.findings).undo == ""
    assert result.metrics["rows_deleted"] == 80
    assert events.execute("SELECT to_regclass('events_2026_01')").fetchone() == (None,)


def test_the_default_partition_stays_and_its_old_rows_are_named(events: Admin, dsn: str) -> None:
    events.execute("CREATE TABLE events_rest PARTITION OF events DEFAULT")
    events.execute("INSERT INTO events VALUES (1, '2025-05-05', 'old')")
    result = run(dsn, ARCHIVE)  # detached in the plain way: Postgres allows no other with a default
    assert result.metrics["partitions_dropped"] == 8
    finding = next(f for f in result.findings if "default partition" in f.subject)
    assert (finding.status, finding.observed) == (Status.SKIPPED, 1)
    assert "events_rest" in partitions(events)


def test_list_partitions_go_by_their_rows_and_the_newest_stays(admin: Admin, dsn: str) -> None:
    admin.execute("CREATE TABLE plays (season int, played date) PARTITION BY LIST (season)")
    for season in (2022, 2023, 2024, 2025):
        admin.execute(f"CREATE TABLE plays_{season} PARTITION OF plays FOR VALUES IN ({season})")
    admin.execute("INSERT INTO plays SELECT y, make_date(y, 12, 1) FROM generate_series(2022, 2024) y")
    result = run(dsn, rule("plays", "played", 30, to="drop_partitions", archive_table="plays"))
    # 2024 has the newest rows, 2025 has none yet: neither goes, old as all of them are.
    assert partitions(admin, "plays") == ["plays_2024", "plays_2025"]
    assert result.metrics["rows_moved"] == 2


def test_a_young_row_in_a_list_partition_keeps_it(admin: Admin, dsn: str) -> None:
    admin.execute("CREATE TABLE plays (season int, played date) PARTITION BY LIST (season)")
    for season in (2023, 2024):
        admin.execute(f"CREATE TABLE plays_{season} PARTITION OF plays FOR VALUES IN ({season})")
    admin.execute("INSERT INTO plays VALUES (2023, '2020-01-01'), (2023, '2026-11-20'), (2024, '2026-11-21')")
    assert not run(dsn, rule("plays", "played", 30, to="drop_partitions")).changed


def test_a_partition_that_is_read_is_skipped_and_finished_next_time(events: Admin, dsn: str) -> None:
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT count(*) FROM events")
        result = run(dsn, ARCHIVE)
        finding = only(result.findings)
        assert finding.status is Status.SKIPPED
        assert "locked by somebody else" in finding.summary
        assert finding.observed == 80
    assert run(dsn, ARCHIVE).metrics["rows_moved"] == 80
    assert len(content(events, "archive.events")) == 80
    assert len(partitions(events)) == 4


def test_a_detached_partition_with_a_young_row_is_not_dropped(events: Admin, dsn: str) -> None:
    def write(step: str) -> None:
        if step == "detached":
            events.execute("INSERT INTO events_2026_01 VALUES (7, '2026-01-05', NULL)")
            events.execute("ALTER TABLE events_2026_01 DROP CONSTRAINT IF EXISTS x")
            for (name,) in events.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'events_2026_01'::regclass"
                " AND contype = 'c'"
            ).fetchall():
                events.execute(f"ALTER TABLE events_2026_01 DROP CONSTRAINT {name}")
            events.execute("INSERT INTO events_2026_01 VALUES (8, '2026-11-20', NULL)")

    result = run(dsn, ARCHIVE, trace=write)
    finding = only(result.findings)
    assert finding.status is Status.CRIT
    assert "holds 1 rows that are not past their time" in finding.summary
    assert len(content(events, "events_2026_01")) == 12
    events.execute("DELETE FROM events_2026_01 WHERE event_id = 8")
    assert run(dsn, ARCHIVE).metrics["rows_moved"] == 81


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE t (made_at date)", "has no partitions"),
        ("CREATE TABLE t (made_at date) PARTITION BY HASH (made_at)", "is partitioned by hash"),
        (
            "CREATE TABLE t (made_at date PRIMARY KEY) PARTITION BY RANGE (made_at);"
            "CREATE TABLE r (made_at date CONSTRAINT to_t REFERENCES t)",
            "foreign key to_t of r points to its rows",
        ),
    ],
)
def test_what_has_no_partitions_to_drop_is_refused(admin: Admin, dsn: str, made: str, said: str) -> None:
    admin.execute(made)
    with pytest.raises(ConfigurationError, match=said):
        run(dsn, rule("t", to="drop_partitions"))
