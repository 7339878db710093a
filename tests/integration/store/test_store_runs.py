"""Runs, findings over time and pages, on both kinds of stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.store import Store, open_store
from courtkeeper.store.identity import Origin
from courtkeeper.store.retention import Keep
from courtkeeper.store.tables import metadata
from support.records import GOOD, NOON, found, record


def spans(store: Store) -> list[tuple[str, str, str]]:
    """Each span: its subject, its status as last seen, and how it was closed."""
    rows = store.queries.findings(limit=500).rows
    return sorted((row.subject, row.severity.value, row.closed_how) for row in rows)


def take(store: Store, *records: RunRecord) -> None:
    for each in records:
        assert store.recording.finish(each)


def test_a_run_is_kept_whole_and_once(store: Store) -> None:
    done = record(
        findings=[
            found("/", "warn", observed=91.5, applied="made room", undo="unmake it"),
            found("/x", "ok"),
        ],
        details={"said": "höhö"},
    )
    running = RunRecord(**{name: getattr(done, name) for name in ("run_id", "job", "inventory", "check")},
                        started_at=done.started_at)  # fmt: skip
    store.recording.begin(running, Origin(trigger="schedule", slot=7, attempt=2, owner="me"))
    assert [row.status for row in store.queries.running()] == ["running"]
    store.recording.output(done.run_id, 0, ["PLAY", "ok: [db1] ü"])
    store.recording.output(done.run_id, 0, ["twice"])
    assert store.recording.finish(done)
    assert not store.recording.finish(done)
    page = store.queries.run_page(done.run_id)
    assert page is not None
    assert page.record == done
    assert (page.row.slot, page.row.attempt, page.row.trigger, page.row.owner) == (7, 2, "schedule", "me")
    assert (page.row.verdict, page.row.findings_warn, page.row.tasks_changed) == ("warn", 1, 1)
    assert [(each.host, each.ok) for each in page.hosts] == [("db1", 3)]
    assert [(each.text, each.undo) for each in page.actions] == [("made room", "unmake it"), ("looked", "")]
    assert [each.text for each in store.queries.output(done.run_id)] == ["PLAY\nok: [db1] ü\n"]
    assert [point.value for point in store.queries.metric("embedded", "checks", "rows")] == [7.0]
    assert store.queries.durations("embedded", "checks") == [10.0]
    assert store.queries.find_run("0000").run_id == done.run_id
    assert len(store.queries.actions(undoable=True).rows) == 1
    assert store.people.mark_undone(page.actions[0].id, by="me", at=NOON)
    assert not store.people.mark_undone(page.actions[0].id, by="me", at=NOON)
    assert not store.queries.actions(undoable=True).rows


def test_findings_open_stay_open_and_close(store: Store) -> None:
    take(store, record(0, [found("/", "warn"), found("/var", "crit"), found("/srv", "ok")]))
    assert spans(store) == [("/", "warn", ""), ("/var", "crit", "")]
    take(store, record(1, [found("/", "crit"), found("/var", "skipped"), found("/home", "unknown")]))
    assert spans(store) == [("/", "crit", ""), ("/home", "unknown", ""), ("/var", "crit", "")]
    take(store, record(2, [found("/", "ok"), found("/home", "warn")]))
    assert spans(store) == [("/", "crit", "ok"), ("/home", "warn", ""), ("/var", "crit", "gone")]
    take(store, record(3, [found("/", "warn"), found("/home", "warn")]))
    rows = [row for row in store.queries.findings(finding_id="disk.space").rows if row.subject == "/"]
    assert [(row.closed_how, row.worst, row.times) for row in rows] == [
        ("", Status.WARN, 1), ("ok", Status.CRIT, 2),
    ]  # fmt: skip
    history = store.queries.finding_history(rows[0].key)
    assert [point.status.value for point in history] == ["warn", "crit", "ok", "warn"]
    assert store.queries.count_open() == {Status.WARN: 2}


@pytest.mark.parametrize(
    "given",
    [
        {"check": True},
        {"status": RunStatus.FAILED},
        {"status": RunStatus.REFUSED},
        {"arguments": ["-i", "inventory/embedded", "-e", "x=1"]},
        {"arguments": ["-i", "inventory/embedded", "--date", "2026-01-01"]},
        {"host_stats": {"db1": {**GOOD, "failed": 1}}},
        {"host_stats": {"db2": dict(GOOD)}},
        {"job": "other"},
        {"inventory": "inventory/other"},
        {"started_at": NOON - timedelta(days=1), "run_id": "20260301T120000Z-checks-0000"},
    ],
    ids=["check", "failed", "refused", "variables", "day", "host", "limit", "job", "system", "older"],
)
def test_silence_closes_nothing_that_was_not_looked_at(store: Store, given: dict[str, object]) -> None:
    take(store, record(0, [found("/", "warn")]), record(1, **given))
    assert [row.subject for row in store.queries.open_findings().rows] == ["/"]


def test_what_check_mode_says_opens_nothing_and_shows_as_drift(store: Store) -> None:
    take(store, record(0, [found("/", "crit")], check=True))
    assert not store.queries.open_findings().rows
    assert [point.value for point in store.queries.drift("embedded", "checks")] == [1.0]


def test_pages_go_on_by_key(store: Store) -> None:
    take(store, *(record(n, [found(f"/{n}", "warn" if n % 2 else "crit")], job=f"j{n}") for n in range(9)))
    seen, after = [], ""
    while True:
        page = store.queries.latest_runs(limit=2, after=after)
        seen += [row.run_id for row in page.rows]
        after = page.next
        if not after:
            break
    assert seen == sorted(seen, key=lambda each: each[:15], reverse=True)
    assert len(seen) == 9
    first = store.queries.open_findings(limit=4)
    assert [row.severity.value for row in first.rows] == ["crit"] * 4
    rest = store.queries.open_findings(limit=100, after=first.next)
    assert [row.severity.value for row in rest.rows] == ["crit"] + ["warn"] * 4
    assert len(store.queries.latest_runs(job="j1").rows) == 1
    assert len(store.queries.findings(finding_id="disk.space", limit=5).rows) == 5
    with pytest.raises(ConfigurationError, match="no place in a list"):
        store.queries.latest_runs(after="1-2-3")
    with pytest.raises(ConfigurationError, match="more than one"):
        store.queries.find_run("2026")


def test_files_are_taken_in_after_a_crash_once_and_in_order(store: Store, tmp_path: Path) -> None:
    for each in (record(1, [found("/", "ok")]), record(0, [found("/", "warn")])):
        directory = tmp_path / "var/runs" / each.run_id
        directory.mkdir(parents=True)
        each.write(directory)
    broken = tmp_path / "var/runs/20260302T150000Z-checks-dead"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    (tmp_path / "var/runs/notes").mkdir()
    taken = store.recording.ingest(tmp_path)
    assert taken.taken == 2
    assert len(taken.trouble) == 1
    assert "cannot be read" in taken.trouble[0]
    assert spans(store) == [("/", "warn", "ok")]
    assert store.recording.ingest(tmp_path).taken == 0
    assert store.recording.ingest(tmp_path, since=NOON + timedelta(days=1)).trouble == []


def test_the_worse_of_two_findings_with_one_key_counts(store: Store) -> None:
    take(store, record(0, [found("/", "ok"), found("/", "crit"), found("/", "warn")]))
    assert spans(store) == [("/", "crit", "")]


def test_runs_taken_in_at_the_same_time_agree(where: str, tmp_path: Path) -> None:
    records = [record(n, [found(f"/{k}", "warn") for k in range(40)], job=f"j{n % 2}") for n in range(12)]
    open_store(tmp_path, where).close()

    def finish(each: RunRecord) -> bool:
        with open_store(tmp_path, where) as opened:
            return opened.recording.finish(each)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(finish, records * 2)) == 12
    with open_store(tmp_path, where) as opened:
        assert opened.queries.count_open() == {Status.WARN: 80}


def test_retention_keeps_what_is_open_and_the_last_run(store: Store, tmp_path: Path) -> None:
    take(store, *(record(n, [found("/", "warn"), found("/x", "ok")]) for n in range(5)))
    directory = tmp_path / "var/runs" / record(0).run_id
    directory.mkdir(parents=True)
    record(0).write(directory)
    later = NOON + timedelta(days=1000)
    removed = store.retention.apply(later, Keep(), tmp_path)
    assert (removed.runs, removed.directories) == (4, 1)
    assert not directory.exists()
    assert [row.run_id for row in store.queries.latest_runs().rows] == [record(4).run_id]
    page = store.queries.run_page(record(4).run_id)
    assert page is not None
    assert page.record is None
    assert len(store.queries.open_findings().rows) == 1
    assert store.retention.apply(later, Keep(), tmp_path).runs == 0


def test_a_newer_store_is_refused_in_one_sentence(where: str, tmp_path: Path) -> None:
    with open_store(tmp_path, where) as opened, opened.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=r"has schema 9999.*upgrade courtkeeper") as caught:
        open_store(tmp_path, where)
    assert "\n" not in str(caught.value)


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    with store.database.read() as connection:
        looked = inspect(connection)
        assert set(looked.get_table_names()) - {"alembic_version"} == set(metadata.tables)
        for name, table in metadata.tables.items():
            assert {each["name"] for each in looked.get_columns(name)} == set(table.columns.keys())
            assert {each["name"] for each in looked.get_indexes(name)} >= {
                each.name for each in table.indexes
            }


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CourtkeeperError, match=r"^The store .*") as caught:
        open_store(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be mysql"):
        open_store(tmp_path, "mysql://x")
    (tmp_path / "junk").write_bytes(b"junk" * 2000)
    with pytest.raises(CourtkeeperError, match="damaged"):
        open_store(tmp_path, "junk")
