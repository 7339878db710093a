"""The recorded night of 2026-02-11, against a real Postgres: the reference numbers of its data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from courtkeeper.findings import Status
from support import nba
from support.feed import Feed, feed_server

pytestmark = pytest.mark.recorded


@pytest.fixture(scope="module")
def feed(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    directory = tmp_path_factory.mktemp("feed")
    with feed_server(directory, kind="recorded", recorded_dir=str(recorded)) as server:
        yield server


def test_the_night_is_stored_as_the_reference_says(feed, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path, source="recorded")
    result = nba.run(settings, first=nba.NIGHT - timedelta(days=7))

    stored = nba.rows(
        database_dsn,
        "SELECT game_id, away_score, home_score,"
        " (SELECT count(*) FROM play_events e WHERE e.game_id = g.game_id),"
        " (SELECT count(*) FROM player_game_stats p WHERE p.game_id = g.game_id), simulated"
        " FROM games g ORDER BY game_id",
    )
    assert stored[:2] == [
        ("0022500775", 107, 110, 603, 36, False),
        ("0022500776", 113, 138, 573, 35, False),
    ]
    assert stored[2][0] == "0022500777"
    assert stored[2][3:5] == (0, 0)

    (missing,) = nba.by_id(result, "nba.game.missing")
    assert missing.subject == "0022500777"
    assert missing.status is Status.CRIT
    assert "404" in missing.summary
    assert missing.fix

    integrity = nba.rows(database_dsn, "SELECT game_id, issue_type FROM verify_data_integrity()")
    assert integrity == [("0022500777", "insufficient_events")]

    games = {g["game_id"]: g for g in result.details["games"]}
    for game_id in ("0022500775", "0022500776"):
        measures = ("completeness", "box_accuracy", "player_consistency", "metadata")
        assert [games[game_id][m] for m in measures] == [1.0] * 4


def test_days_that_the_feed_does_not_list_are_unknown_and_never_ok(feed, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path)
    result = nba.run(settings, first=nba.NIGHT - timedelta(days=7))
    (coverage,) = nba.by_id(result, "nba.feed.coverage")
    assert coverage.status is Status.UNKNOWN
    assert coverage.observed == 7


def test_a_second_run_changes_nothing(feed, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path)
    assert nba.run(settings).changed
    before = nba.snapshot(database_dsn)
    again = nba.run(settings, now=nba.NOW + timedelta(hours=1))
    assert not again.changed
    assert again.actions == []
    assert nba.snapshot(database_dsn) == before


def test_check_mode_tells_the_truth_and_changes_nothing(feed, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path)
    empty = nba.snapshot(database_dsn)
    planned = nba.run(settings, check=True)
    assert nba.snapshot(database_dsn) == empty
    assert nba.rows(database_dsn, "SELECT count(*) FROM refresh_runs") == [(0,)]
    assert not (tmp_path / "payloads").exists()

    done = nba.run(settings)
    assert [a.replace("would be ", "") for a in planned.actions] == done.actions
    assert planned.diff == done.diff
    assert planned.changed
    assert planned.metrics["rows_inserted"] == done.metrics["rows_inserted"] > 1176


def test_the_season_archive_gives_the_reference_numbers(recorded, database_dsn, tmp_path):
    """All 480 games: exactly two are quarantined, with their reasons, and neither is lost."""
    settings = nba.settings(
        database_dsn,
        "http://127.0.0.1:9",
        tmp_path,
        archive=recorded / "archive" / "nbastats_2015-16_oct-dec.tar.xz",
        archive_log=recorded / "recorded/stats.nba.com/stats/leaguegamelog_2015-16.json",
    )
    result = nba.run(settings, first=date(2015, 12, 18), last=date(2015, 12, 26))
    quarantined = {g["game_id"]: g for g in result.details["games"] if g["outcome"] == "quarantined"}
    assert set(quarantined) == {"0021500391", "0021500443"}
    assert quarantined["0021500391"]["completeness"] == pytest.approx(0.8333, abs=1e-4)
    assert quarantined["0021500391"]["box_accuracy"] == pytest.approx(0.9091, abs=1e-4)
    assert "DET ftm 28 in the events, 27 in the box score" in quarantined["0021500391"]["reason"]
    assert quarantined["0021500443"]["completeness"] == 1.0
    assert "steals 10 in the events, 11 in the box score" in quarantined["0021500443"]["reason"]

    issues = nba.rows(
        database_dsn,
        "SELECT game_id, cardinality(payloads) FROM data_quality_issues WHERE closed_at IS NULL"
        " AND issue_type = 'box_accuracy' ORDER BY 1",
    )
    assert issues == [("0021500391", 1), ("0021500443", 1)]
    not_loaded = nba.rows(
        database_dsn, "SELECT count(*) FROM play_events WHERE game_id = ANY (%s)", list(quarantined)
    )
    assert not_loaded == [(0,)]
    assert nba.by_id(result, "nba.games.player_consistency")[0].status is Status.UNKNOWN
