"""The four measures, on a game small enough to count by hand."""

from __future__ import annotations

import msgspec
import pytest

from courtkeeper.nba import quality
from courtkeeper.nba.formats import cdn
from courtkeeper.nba.model import PayloadError
from support import games


def _judge(plays=None, box=None):
    data = cdn.parse(games.encode(plays or games.plays()), games.encode(box or games.box()))
    return quality.judge(data)


def _drop(plays, **where):
    actions = plays["game"]["actions"]
    plays["game"]["actions"] = [a for a in actions if any(a[k] != v for k, v in where.items())]
    return plays


def test_a_consistent_game_is_perfect():
    measured = _judge()
    assert [getattr(measured, m).value for m in quality.Quality.__struct_fields__] == [1.0] * 4
    assert measured.failing(quality.Thresholds()) == []


def test_a_period_without_start_costs_one_of_six_checks():
    measured = _judge(_drop(games.plays(), actionType="period", subType="start", period=3)).completeness
    assert measured.value == pytest.approx(5 / 6)
    assert measured.missed == ("period without a start event: 3",)


def test_a_missing_whole_period_is_noticed_by_the_official_number_of_periods():
    measured = _judge(_drop(games.plays(), period=4)).completeness
    assert measured.value == pytest.approx(4 / 6)


def test_a_lost_free_throw_costs_sum_and_cells():
    plays = _drop(games.plays(), actionType="freethrow")
    measured = _judge(plays)
    assert measured.completeness.value == pytest.approx(5 / 6)
    assert "points summed over events (away) 0 against 1" in measured.completeness.missed
    # 22 cells: points, ftm, fta of one team differ
    assert measured.box_accuracy.value == pytest.approx(19 / 22)
    # 4 players of 10 cells: the same three
    assert measured.player_consistency.value == pytest.approx(37 / 40)


def test_a_wrong_final_score_is_seen_four_ways_at_most():
    box = games.box()
    box["game"]["homeTeam"]["score"] = 4
    measured = _judge(box=box).completeness
    assert measured.value == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("statistic", "value"), [("assists", 2), ("steals", 1), ("blocks", 0), ("reboundsPersonal", 2)]
)
def test_each_credit_is_compared(statistic, value):
    box = games.box()
    box["game"]["homeTeam"]["statistics"][statistic] = value
    assert _judge(box=box).box_accuracy.value == pytest.approx(21 / 22)


def test_a_steal_named_twice_by_the_source_is_credited_once():
    assert _judge().box_accuracy.value == 1.0  # the turnover names the thief and the steal does too


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"arena": {"arenaName": ""}}, "no arena"),
        ({"gameEt": ""}, "no date"),
        ({"gameStatus": 2}, "status is live"),
    ],
)
def test_metadata(change, missed):
    box = games.box()
    box["game"].update(change)
    measured = _judge(box=box)
    assert missed in measured.metadata.missed
    assert measured.metadata.value == pytest.approx(5 / 6)
    assert "metadata" in [m.name for m, _ in measured.failing(quality.Thresholds())]


def test_without_a_player_box_consistency_is_unknown_and_not_perfect():
    data = cdn.parse(games.encode(games.plays()), games.encode(games.box()))
    measured = quality.judge(msgspec.structs.replace(data, player_lines=[]))
    assert measured.player_consistency.value is None
    assert measured.failing(quality.Thresholds()) == []


@pytest.mark.parametrize(("side", "key"), [("homeTeam", "players"), ("awayTeam", "statistics")])
def test_a_box_score_with_nothing_to_compare_is_refused(side, key):
    box = games.box()
    box["game"][side].pop(key)
    with pytest.raises(PayloadError, match="the box score has no"):
        _judge(box=box)


def test_a_payload_of_another_game_is_refused():
    with pytest.raises(PayloadError, match="0022500009 was asked for"):
        cdn.parse(games.encode(games.plays()), games.encode(games.box()), asked_for="0022500009")


def test_a_scorer_whom_the_box_score_lacks_counts_against_consistency():
    plays = games.plays()
    plays["game"]["actions"].insert(
        3, games.action(5, "2pt", personId=999, teamId=games.HOME, shotResult="Missed")
    )
    assert _judge(plays=plays).player_consistency.value == pytest.approx(49 / 50)


def _contradictions(plays=None, box=None):
    data = cdn.parse(games.encode(plays or games.plays()), games.encode(box or games.box()))
    return quality.contradictions(data)


def test_a_consistent_game_contradicts_itself_nowhere():
    assert _contradictions() == []


def test_a_player_moved_to_the_other_team():
    box = games.box()
    moved = box["game"]["homeTeam"]["players"].pop(0)
    box["game"]["awayTeam"]["players"].append(moved)
    found = _contradictions(box=box)
    assert "the players of CHA scored 0, the team 3" in found
    assert any("for the other team" in f for f in found)


def test_an_invented_player():
    box = games.box()
    invented = {**box["game"]["homeTeam"]["players"][0], "personId": 99}
    box["game"]["homeTeam"]["players"].append(invented)
    assert _contradictions(box=box) == ["the players of CHA scored 6, the team 3"]


def test_a_player_who_stands_there_twice():
    box = games.box()
    box["game"]["homeTeam"]["players"].append(box["game"]["homeTeam"]["players"][1])
    assert _contradictions(box=box) == ["a player stands in the box score twice"]


@pytest.mark.parametrize("where", ["plays", "box"])
def test_a_period_out_of_all_bounds_is_refused(where):
    plays, box = games.plays(), games.box()
    plays["game"]["actions"][3]["period"] = 10**9 if where == "plays" else 1
    box["game"]["period"] = 10**9 if where == "box" else 4
    with pytest.raises(PayloadError, match="period 1000000000"):
        _judge(plays, box)


def test_times_out_of_all_bounds_are_unknown():
    box = games.box()
    box["game"]["gameTimeUTC"] = "9999-12-31T23:59:59-01:00"
    data = cdn.parse(games.encode(games.plays()), games.encode(box))
    assert data.game.starts_at is None
