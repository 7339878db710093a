"""Payloads with odd values, replayed from the payload store: one odd game never costs the night.

Beside the odd game stands a good one; it must be stored whatever the other says.
"""

from __future__ import annotations

import copy
import io
import json
import tarfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import Result, Status
from courtkeeper.nba.client import payload_key
from courtkeeper.nba.formats import archive
from courtkeeper.nba.payloads import PayloadStore
from support import games, nba
from support.examples import few_fast

DAY = date(2025, 10, 22)
ODD, GOOD = "0022500001", "0022500002"
LIVE = "/static/json/liveData"


def _board(entries: list[dict[str, Any]], day: date = DAY) -> dict[str, Any]:
    return {"scoreboard": {"gameDate": day.isoformat(), "games": entries}}


def _entry(game_id: str, **more: Any) -> dict[str, Any]:
    return {
        "gameId": game_id,
        "gameStatus": 3,
        "homeTeam": {"teamId": games.HOME, "teamTricode": "CHA", "score": 3},
        "awayTeam": {"teamId": games.AWAY, "teamTricode": "ATL", "score": 1},
        **more,
    }


def _of_game(game_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    plays, box = games.plays(), games.box()
    plays["game"]["gameId"] = box["game"]["gameId"] = game_id
    return plays, box


class Night:
    """Two games on one day, kept as if they had been fetched."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self._dsn, self._directory = dsn, directory
        self.board = _board([_entry(ODD), _entry(GOOD)])
        self.plays, self.box = _of_game(ODD)
        self._keep_game(GOOD, *_of_game(GOOD))

    def run(self, *, cache: Any = None) -> Result:
        """Keep the odd game as it is now and refresh from what is kept."""
        board_path = f"{LIVE}/scoreboard/todaysScoreboard_00.json"
        self._put(board_path, self.board)
        self._keep_game(ODD, self.plays, self.box)
        settings = nba.settings(self._dsn, "http://127.0.0.1:9", self._directory, replay=True, cache=cache)
        return nba.run(settings, first=DAY, last=DAY)

    def _keep_game(self, game_id: str, plays: dict[str, Any], box: dict[str, Any]) -> None:
        self._put(f"{LIVE}/playbyplay/playbyplay_{game_id}.json", plays)
        self._put(f"{LIVE}/boxscore/boxscore_{game_id}.json", box)

    def _put(self, path: str, payload: dict[str, Any]) -> None:
        store = PayloadStore(self._directory / "payloads")
        store.put(payload_key("cdn", path, None), games.encode(payload), now=nba.NOW)


@pytest.fixture
def night(database_dsn: str, tmp_path: Path) -> Night:
    return Night(database_dsn, tmp_path)


def _loaded(dsn: str) -> list[str]:
    return [r[0] for r in nba.rows(dsn, "SELECT game_id FROM games WHERE loaded_at IS NOT NULL ORDER BY 1")]


def _set(target: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target[key]
    target[last] = value


_ODD_BOXES = {
    "game.period": [15, 10**9, -1],
    "game.attendance": [-1, 2**40],
    "game.arena.arenaName": ["Spectrum\u0000Center"],
    "game.homeTeam.teamTricode": ["", "cha", None],
    "game.homeTeam.score": [70000, -3],
    "game.homeTeam.teamId": [games.AWAY, -5, 2**63, 0],
    "game.homeTeam.teamCity": ["\u0000"],
    "game.homeTeam.players": [[]],
    "game.homeTeam.statistics": [None],
    "game.gameTimeUTC": ["9999-12-31T23:59:59-01:00"],
    "game.gameId": ["0022500002", "nonsense"],
}
ODD_BOXES = [(path, value) for path, values in _ODD_BOXES.items() for value in values]


@pytest.mark.parametrize(("path", "value"), few_fast(ODD_BOXES))
def test_an_odd_box_score_costs_its_own_game_at_most(night, database_dsn, path, value):
    _set(night.box, path, value)
    result = night.run()
    assert GOOD in _loaded(database_dsn)
    good = {g["game_id"]: g["outcome"] for g in result.details["games"]}
    assert good[GOOD] == "loaded"
    if ODD in _loaded(database_dsn):
        assert path == "game.gameTimeUTC"  # a start that nobody can know is left unknown
        return
    assert [f.subject for f in result.findings if f.status is Status.CRIT].count(ODD) >= 1
    issues = nba.rows(
        database_dsn, "SELECT count(*) FROM data_quality_issues WHERE game_id = %s AND closed_at IS NULL", ODD
    )
    assert issues[0][0] >= 1


@pytest.mark.parametrize(("path", "value"), few_fast(ODD_BOXES))
def test_an_odd_box_score_never_touches_the_version_stored_before(night, database_dsn, path, value):
    night.run()
    before = nba.snapshot(database_dsn)
    _set(night.box, path, value)
    night.run()
    after = nba.snapshot(database_dsn)
    for table in ("play_events", "player_game_stats", "team_game_stats"):
        assert after[table] == before[table]


@pytest.mark.parametrize(
    ("key", "value"),
    few_fast(
        [
            *[("period", v) for v in (0, 15, 10**9)],
            *[("clock", v) for v in ("PT99M00.00S", "", "-PT01M")],
            *[("actionNumber", v) for v in (2**31, 2, -(2**40))],
            *[("personId", v) for v in (2**63, 2**62)],
            ("teamId", 1610612700),
            ("scoreHome", "99999"),
            ("description", "\u0000"),
            ("x", 1e300),
        ]
    ),
)
def test_an_odd_play_costs_its_own_game_at_most(night, database_dsn, key, value):
    night.plays["game"]["actions"][2][key] = value
    result = night.run()
    assert GOOD in _loaded(database_dsn)
    assert ODD not in _loaded(database_dsn)
    assert ODD in [f.subject for f in result.findings if f.status is Status.CRIT]


def test_a_list_that_names_no_teams_and_a_game_without_payload(night, database_dsn):
    other = "0022500003"
    night.board = _board(
        [_entry(GOOD), _entry(other, homeTeam={"teamId": 5, "teamTricode": None, "score": 1}), _entry(ODD)]
    )
    result = night.run()
    assert _loaded(database_dsn) == [ODD, GOOD]
    assert other in [f.subject for f in nba.by_id(result, "nba.game.missing")]


def test_one_odd_entry_of_a_list_costs_no_night_and_a_game_listed_twice_counts_once(night, database_dsn):
    night.board = _board([_entry("9992500775"), _entry(GOOD), _entry(GOOD), _entry(ODD)])
    result = night.run()
    assert _loaded(database_dsn) == [ODD, GOOD]
    assert result.metrics["games"] == 2
    (finding,) = nba.by_id(result, "nba.feed.list")
    assert "9992500775" in finding.summary


def test_a_correction_that_withdraws_most_events_is_none(night, database_dsn):
    for number in range(100):
        night.plays["game"]["actions"].append(
            games.action(1000 + number, "foul", scoreHome="3", scoreAway="1")
        )
    night.run()
    before = nba.snapshot(database_dsn)
    actions = night.plays["game"]["actions"]
    night.plays["game"]["actions"] = [a for a in actions if a["actionType"] != "foul"]
    result = night.run()
    (finding,) = nba.by_id(result, "nba.game.refused")
    assert "no correction withdraws so many" in finding.summary
    assert finding.status is Status.WARN
    assert nba.snapshot(database_dsn)["play_events"] == before["play_events"]


def test_simulated_data_never_replace_real_ones(night, database_dsn):
    night.run()
    before = nba.snapshot(database_dsn)
    night.box["meta"]["source"] = "simulated"
    night.box["game"]["arena"]["arenaName"] = "Nowhere"
    result = night.run()
    assert "simulated" in nba.by_id(result, "nba.game.refused")[0].summary
    assert nba.snapshot(database_dsn)["games"] == before["games"]


def test_a_poorer_source_never_replaces_a_richer_one(night, database_dsn, tmp_path):
    """The same game from a season archive, which has neither player lines nor arena."""
    night.run()
    before = nba.snapshot(database_dsn)
    with nba.admin(database_dsn) as connection:
        stored = connection.execute("SELECT source FROM games WHERE game_id = %s", [ODD]).fetchone()
    assert stored == ("cdn",)
    statistics = ["PTS", "FGM", "FGA", "FG3M", "FG3A", "FTM", "FTA", "REB", "AST", "STL", "BLK"]
    headers = ["GAME_ID", "GAME_DATE", "MATCHUP", "WL", "MIN", "TEAM_ID", "TEAM_NAME", "TEAM_ABBREVIATION"]
    lines = {games.HOME: [3, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0], games.AWAY: [0] * 11}
    rows = [
        [
            ODD,
            DAY.isoformat(),
            "CHA vs. ATL",
            "W",
            240,
            games.HOME,
            "Charlotte Hornets",
            "CHA",
            *lines[games.HOME],
        ],
        [ODD, DAY.isoformat(), "ATL @ CHA", "L", 240, games.AWAY, "Atlanta Hawks", "ATL", *lines[games.AWAY]],
    ]
    log = tmp_path / "log.json"
    log.write_text(json.dumps({"resultSets": [{"headers": headers + statistics, "rowSet": rows}]}))
    shot = f"{ODD},1,1,1,1,11:47,Scorer 3PT,,,0 - 3,{games.SCORER},S,{games.HOME},0,,0,"
    edges = [f"{ODD},{p * 10 + k},{k},0,{p},0:00,,,,,0,,,0,,0," for p in range(1, 5) for k in (12, 13)]
    content = "\n".join([",".join(archive.COLUMNS), shot, *edges]).encode()
    path = tmp_path / "season.tar.xz"
    with tarfile.open(path, mode="w:xz") as tar:
        info = tarfile.TarInfo(f"{ODD}.csv")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    result = nba.run(
        nba.settings(database_dsn, "http://127.0.0.1:9", tmp_path, archive=path, archive_log=log),
        first=None,
        last=None,
    )
    (report,) = result.details["games"]
    assert (report["outcome"], nba.bad(result)) == ("unchanged", [])
    assert "from cdn stays" in report["reason"]
    assert nba.snapshot(database_dsn) == before
    assert nba.rows(database_dsn, "SELECT source FROM refresh_runs ORDER BY started_at")[-1:] == [
        ("archive",)
    ]


def test_a_name_corrected_in_the_same_game_is_applied_once(night, database_dsn):
    night.run()
    night.box["game"]["homeTeam"]["players"][0]["name"] = "Ada Corrected"
    night.run()
    names = nba.rows(database_dsn, "SELECT display_name FROM players WHERE player_id = %s", games.SCORER)
    assert len(names) == 1
    before = nba.snapshot(database_dsn)
    night.run()
    assert nba.snapshot(database_dsn) == before


def test_the_box_score_as_it_should_be_is_loaded(night, database_dsn):
    untouched = copy.deepcopy(night.box)
    result = night.run()
    assert untouched == night.box
    assert _loaded(database_dsn) == [ODD, GOOD]
    assert nba.bad(result) == []
