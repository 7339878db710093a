"""Parsers and measures against numbers computed independently of this project."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from courtkeeper.nba import quality
from courtkeeper.nba.formats import archive, cdn, lists, v3
from courtkeeper.nba.model import Game, PayloadError, Team
from support.feed import recorded_dir

pytestmark = pytest.mark.recorded
MEASURES = ("completeness", "box_accuracy", "player_consistency", "metadata")


@pytest.fixture(scope="module")
def data() -> Path:
    directory = recorded_dir()
    if directory is None:
        pytest.skip("no recorded responses: set COURTKEEPER_RECORDED to the directory that holds recorded/")
    return directory


@pytest.fixture(scope="module")
def reference(data: Path) -> dict[str, dict[str, str]]:
    with (data / "reference.tsv").open(newline="") as rows:
        return {row["game"]: row for row in csv.DictReader(rows, delimiter="\t")}


def _values(game) -> list[float | None]:
    measured = quality.judge(game)
    return [getattr(measured, name).value for name in MEASURES]


@pytest.mark.parametrize(("game_id", "away", "home"), [("0022500775", 107, 110), ("0022500776", 113, 138)])
def test_cdn_games(data, reference, game_id, away, home):
    live = data / "recorded/cdn.nba.com/static/json/liveData"
    game = cdn.parse(
        (live / f"playbyplay/playbyplay_{game_id}.json").read_bytes(),
        (live / f"boxscore/boxscore_{game_id}.json").read_bytes(),
    )
    assert len(game.events) == int(reference[game_id]["events"])
    assert (game.game.away_score, game.game.home_score) == (away, home)
    assert game.game.game_date == date(2026, 2, 11)
    assert _values(game) == [1.0] * 4


def test_v3_game(data, reference):
    stats = data / "recorded/stats.nba.com/stats"
    nobody = Team(0, "", "", "")
    listed = Game(
        game_id="0022200552", game_date=date(2023, 1, 2), status="final", home=nobody, away=nobody, periods=5
    )
    game = v3.parse(
        (stats / "playbyplayv3_0022200552.json").read_bytes(),
        (stats / "boxscoretraditionalv3_0022200552.json").read_bytes(),
        listed,
    )
    assert len(game.events) == int(reference["0022200552"]["events"])
    assert len({e.event_id for e in game.events}) == len(game.events)
    assert _values(game) == [1.0] * 4


@pytest.mark.slow
def test_all_archive_games(data, reference):
    log = archive.SeasonLog((data / "recorded/stats.nba.com/stats/leaguegamelog_2015-16.json").read_bytes())
    short = {}
    count = 0
    for game_id, payload in archive.members(data / "archive/nbastats_2015-16_oct-dec.tar.xz"):
        game = archive.parse(game_id, payload, log)
        expected = reference[game_id]
        completeness, accuracy, consistency, metadata = _values(game)
        assert len(game.events) == int(expected["events"])
        assert completeness == pytest.approx(float(expected["completeness"]), abs=1e-4)
        assert accuracy == pytest.approx(float(expected["box_accuracy"]), abs=1e-4)
        assert consistency is None
        assert metadata == 1.0
        assert game.game.periods == int(expected["periods"])
        count += 1
        if quality.judge(game).failing(quality.Thresholds()):
            short[game_id] = (round(completeness, 4), round(accuracy, 4))
    assert count == 480
    assert short == {"0021500391": (0.8333, 0.9091), "0021500443": (1.0, 0.9091)}


@pytest.mark.parametrize(
    ("name", "games"),
    [
        ("recorded/stats.nba.com/stats/scheduleleaguev2_2024-25.json", 1400),
        ("odd/schedule_2023-24_team_id_zero.json", 1280),
    ],
)
def test_schedules(data, name, games):
    schedule = lists.parse_schedule((data / name).read_bytes())
    assert schedule is not None
    assert len(schedule.games) == games


def test_scoreboards(data):
    board = lists.parse_scoreboard(
        (data / "recorded/stats.nba.com/stats/scoreboardv3_2025-11-05.json").read_bytes()
    )
    assert (board.first, len(board.games)) == (date(2025, 11, 5), 11)
    empty = lists.parse_scoreboard((data / "odd/scoreboardv3_offseason_no_games.json").read_bytes())
    assert empty.games == []


@pytest.mark.parametrize("name", ["playbyplayv3_0029500001_no_actions", "playbyplayv3_0021201214_no_actions"])
def test_games_without_actions_are_refused(data, name):
    nobody = Team(0, "", "", "")
    game_id = name.split("_")[1]
    listed = Game(game_id=game_id, game_date=None, status="final", home=nobody, away=nobody)
    box = b'{"boxScoreTraditional": {"gameId": "%s", "homeTeam": {"teamId": 1}, "awayTeam": {"teamId": 2}}}'
    with pytest.raises(PayloadError, match="no events"):
        v3.parse((data / "odd" / f"{name}.json").read_bytes(), box % game_id.encode(), listed)
