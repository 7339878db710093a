"""A statistic corrected later, consistently: in simulated plays, and in recorded payloads.

Simulated games are corrected in their plays, from which everything else derives. Recorded payloads
are edited where the statistic shows: scores, periods, the player's and his team's line, shares,
running totals and descriptions. What cannot be known from a payload alone stays as recorded:
plus/minus, leads and runs, time in the lead.

Each change keeps the winner and the number of periods: a three-pointer is taken from the losing
side if it has one, and after overtime from the last period.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from math import hypot
from typing import Any, NamedTuple

from courtkeeper.platform.feed.addresses import SCHEDULES, SCOREBOARDS, Endpoint
from courtkeeper.platform.feed.plays import REGULATION_PERIODS, Game, Kind, Play

Payload = dict[str, Any]
# A foot on the line: the longest two-pointer, in feet.
LONGEST_TWO_FT = 21.8


class Change(StrEnum):
    """What is corrected."""

    THREE_TO_TWO = "three_to_two"
    ASSIST_WITHDRAWN = "assist_withdrawn"
    EVENT_DELETED = "event_deleted"


# Simulated games


def correct_plays(game: Game, change: Change) -> list[Play]:
    """Return the plays of `game` with `change` made; the game itself stays as it is."""
    plays = list(game.plays)
    index = _target(plays, change)
    if index is None:
        return plays
    play = plays[index]
    if change is Change.EVENT_DELETED:
        del plays[index]
    elif change is Change.ASSIST_WITHDRAWN:
        plays[index] = replace(play, other=0)
    else:
        scale = min(1.0, LONGEST_TWO_FT * 10 / hypot(play.x, play.y))
        plays[index] = replace(play, value=2, x=int(play.x * scale), y=int(play.y * scale))
    return plays


def _target(plays: list[Play], change: Change) -> int | None:
    """Return the last play that `change` can be made to, None if there is none."""
    points = [sum(play.points for play in plays if play.side == side) for side in (0, 1)]
    last = plays[-1].period

    def find(fits: Callable[[Play], bool]) -> int | None:
        return next((index for index in range(len(plays) - 1, -1, -1) if fits(plays[index])), None)

    if change is Change.EVENT_DELETED:
        return find(lambda play: play.kind is Kind.REBOUND and play.player != 0)
    if change is Change.ASSIST_WITHDRAWN:
        return find(lambda play: play.kind is Kind.SHOT and play.made and play.other != 0)
    for side in _sides(points[0], points[1]):
        index = find(lambda play, side=side: _three(play, side) and play.period >= _earliest(last))  # type: ignore[misc]
        if index is not None:
            return index
    return None


def _three(play: Play, side: int) -> bool:
    return play.kind is Kind.SHOT and play.made and play.value == 3 and play.side == side


def _sides(home: int, away: int) -> list[int]:
    """Return the sides (0 home, 1 away) that can lose a point and leave the winner, the loser first."""
    loser = 0 if home < away else 1
    return [loser, 1 - loser] if abs(home - away) >= 2 else [loser]


def _earliest(last_period: int) -> int:
    """Return from which period on a score may change: not before an overtime that it would have prevented."""
    return last_period if last_period > REGULATION_PERIODS else 1


# Recorded payloads


class _Target(NamedTuple):
    """The event that a recorded game's correction is about, and what it means for the statistics."""

    game_id: str
    home: bool
    period: int
    place: int
    player_id: int
    assist_id: int
    offensive: bool


def correct_payload(endpoint: Endpoint, payload: Payload, reference: Payload, change: Change) -> bool:
    """Make `change` in a recorded payload; `reference` is the game's play-by-play as recorded.

    Returns whether anything changed: False where the payload does not show the game, or the game has
    no event of the kind.
    """
    actions = reference["game"]["actions"]
    cdn = bool(actions) and "orderNumber" in actions[0]
    target = _recorded_target(reference, change, cdn=cdn)
    if target is None:
        return False
    if endpoint in {Endpoint.CDN_PLAYBYPLAY, Endpoint.PLAYBYPLAY}:
        if cdn != (endpoint is Endpoint.CDN_PLAYBYPLAY):
            return False
        edit = _correct_cdn_events if cdn else _correct_v3_events
        edit(payload["game"]["actions"], target, change)
        return True
    if endpoint in {Endpoint.CDN_BOXSCORE, Endpoint.BOXSCORE}:
        game = payload["game" if endpoint is Endpoint.CDN_BOXSCORE else "boxScoreTraditional"]
        return _correct_box(game, target, change)
    return _correct_list(endpoint, payload, target, change)


def _recorded_target(reference: Payload, change: Change, *, cdn: bool) -> _Target | None:
    game_id, actions = reference["game"]["gameId"], reference["game"]["actions"]
    final = next((a for a in reversed(actions) if a["scoreHome"] != ""), None)
    if final is None:
        return None
    home_id = _home_team(actions, cdn=cdn)
    place = _place(actions, change, home_id, final)
    if place is None:
        return None
    action = actions[place]
    return _Target(
        game_id,
        home=action["teamId"] == home_id,
        period=action["period"],
        place=place,
        player_id=action["personId"],
        assist_id=_assist(actions, place, cdn=cdn),
        offensive=_offensive(actions, place, cdn=cdn),
    )


def _place(actions: list[Payload], change: Change, home_id: int, final: Payload) -> int | None:
    """Return where the last action stands that `change` can be made to."""
    places = [place for place in range(len(actions) - 1, -1, -1) if _fits(actions[place], change)]
    if change is not Change.THREE_TO_TWO:
        return next(iter(places), None)
    earliest = _earliest(final["period"])
    for side in _sides(int(final["scoreHome"]), int(final["scoreAway"])):
        for place in places:
            at_home = actions[place]["teamId"] == home_id
            if at_home == (side == 0) and actions[place]["period"] >= earliest:
                return place
    return None


def _home_team(actions: list[Payload], *, cdn: bool) -> int:
    """Return the home team's id: v3 says where a team plays, in cdn payloads its score moves."""
    if not cdn:
        return next((int(a["teamId"]) for a in actions if a["location"] == "h" and a["teamId"]), 0)
    score = 0
    for action in actions:
        if int(action["scoreHome"]) > score and action.get("shotResult") == "Made":
            return int(action["teamId"])
        score = int(action["scoreHome"])
    return 0


def _fits(action: Payload, change: Change) -> bool:
    made = action.get("shotResult") == "Made" and action["isFieldGoal"] == 1
    if change is Change.EVENT_DELETED:
        return action["actionType"].lower() == "rebound" and "(Off:" in action["description"]
    if change is Change.ASSIST_WITHDRAWN:
        return made and " AST)" in action["description"]
    return made and "3PT" in action["description"]


def _assist(actions: list[Payload], index: int, *, cdn: bool) -> int:
    """Return who assisted; v3 names him in the description only."""
    action = actions[index]
    if cdn:
        return int(action.get("assistPersonId", 0))
    found = re.search(r"\(([^()]+) [0-9]+ AST\)", action["description"])
    mates = (a for a in actions if a["teamId"] == action["teamId"])
    return next((int(a["personId"]) for a in mates if found and _plain(a["playerName"]) == found[1]), 0)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def _offensive(actions: list[Payload], index: int, *, cdn: bool) -> bool:
    """Return whether a rebound was offensive; in v3 the player's earlier rebounds tell."""
    action = actions[index]
    if action["actionType"].lower() != "rebound":
        return False
    if cdn:
        return bool(action["subType"] == "offensive")
    earlier = [
        _rebounds(a)
        for a in actions[:index]
        if a["personId"] == action["personId"] and "(Off:" in a["description"]
    ]
    return _rebounds(action)[0] > (earlier[-1][0] if earlier else 0)


def _rebounds(action: Payload) -> tuple[int, int]:
    found = re.search(r"Off:([0-9]+) Def:([0-9]+)", action["description"])
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _lower(text: str, pattern: str) -> str:
    """Return `text` with the number that `pattern` finds one smaller."""
    return re.sub(pattern, lambda found: found[0].replace(found[1], str(int(found[1]) - 1)), text, count=1)


_SUBTRACT_POINTS = r"\(([0-9]+) PTS\)"


def _correct_cdn_events(actions: list[Payload], target: _Target, change: Change) -> None:
    action = actions[target.place]
    if change is Change.THREE_TO_TWO:
        action["actionType"] = "2pt"
        action["area"] = "Mid-Range"
        action["shotDistance"] = min(action["shotDistance"], LONGEST_TWO_FT)
        action["description"] = action["description"].replace("3PT", "Jump Shot")
        score = "scoreHome" if target.home else "scoreAway"
        _from(actions, target.place, score, "pointsTotal", target.player_id, _SUBTRACT_POINTS)
        return
    if change is Change.ASSIST_WITHDRAWN:
        action["personIdsFilter"] = [p for p in action["personIdsFilter"] if p != target.assist_id]
        action["description"] = re.sub(r" \([^()]+ AST\)", "", action["description"])
        for key in ("assistPlayerNameInitial", "assistPersonId", "assistTotal"):
            del action[key]
        return  # the last assist of the game: no later total names it
    del actions[target.place]
    key = "reboundOffensiveTotal" if target.offensive else "reboundDefensiveTotal"
    for later in actions[target.place :]:
        if later["personId"] == target.player_id and key in later:
            later[key] -= 1
            later["reboundTotal"] -= 1
            later["description"] = _lower(
                later["description"], r"Off:([0-9]+)" if target.offensive else r"Def:([0-9]+)"
            )


def _from(actions: list[Payload], index: int, score: str, total: str, player_id: int, pattern: str) -> None:
    """Take one point off a side's score from `index` on, and off the player's own totals."""
    for action in actions[index:]:
        action[score] = str(int(action[score]) - 1)
        if action["personId"] == player_id and total in action:
            action[total] -= 1
            action["description"] = _lower(action["description"], pattern)


def _correct_v3_events(actions: list[Payload], target: _Target, change: Change) -> None:
    action = actions[target.place]
    if change is Change.THREE_TO_TWO:
        action["shotValue"] = 2
        action["shotDistance"] = min(action["shotDistance"], int(LONGEST_TWO_FT))
        action["description"] = action["description"].replace("3PT ", "")
        _lower_v3_scores(actions[target.place :], target)
    elif change is Change.ASSIST_WITHDRAWN:
        action["description"] = re.sub(r" \([^()]+ AST\)", "", action["description"])
    else:
        del actions[target.place]
        pattern = r"Off:([0-9]+)" if target.offensive else r"Def:([0-9]+)"
        for later in actions[target.place :]:
            if later["personId"] == target.player_id and "(Off:" in later["description"]:
                later["description"] = _lower(later["description"], pattern)


def _lower_v3_scores(actions: Iterable[Payload], target: _Target) -> None:
    score = "scoreHome" if target.home else "scoreAway"
    for action in actions:
        if action[score] != "":
            action[score] = str(int(action[score]) - 1)
            action["pointsTotal"] -= 1
        if action["personId"] == target.player_id:
            action["description"] = _lower(action["description"], _SUBTRACT_POINTS)


# The statistics that a change moves, by the names of the box scores.
_MOVES: dict[Change, dict[str, int]] = {
    Change.THREE_TO_TWO: {
        "points": -1,
        "threePointersMade": -1,
        "threePointersAttempted": -1,
        "twoPointersMade": 1,
        "twoPointersAttempted": 1,
    },
    Change.ASSIST_WITHDRAWN: {"assists": -1},
    Change.EVENT_DELETED: {"reboundsTotal": -1, "reboundsPersonal": -1},
}


def _correct_box(game: Payload, target: _Target, change: Change) -> bool:
    if game["gameId"] != target.game_id:
        return False
    team, other = game["homeTeam"], game["awayTeam"]
    if not target.home:
        team, other = other, team
    moves = dict(_MOVES[change])
    if change is Change.EVENT_DELETED:
        moves["reboundsOffensive" if target.offensive else "reboundsDefensive"] = -1
    person = target.assist_id if change is Change.ASSIST_WITHDRAWN else target.player_id
    index = next(number for number, row in enumerate(team["players"]) if row["personId"] == person)
    group = "starters" if index < 5 else "bench"
    for statistics in (team["players"][index]["statistics"], team["statistics"], team.get(group)):
        if statistics:
            _move(statistics, moves)
    if change is Change.THREE_TO_TWO:
        _lower_score(team, target.period)
        if group == "bench" and "benchPoints" in team["statistics"]:
            team["statistics"]["benchPoints"] -= 1
        if "pointsAgainst" in other["statistics"]:
            other["statistics"]["pointsAgainst"] -= 1
    return True


def _move(statistics: Payload, moves: dict[str, int]) -> None:
    for key, by in moves.items():
        if key in statistics:
            statistics[key] += by
    for name in ("threePointers", "twoPointers"):
        share = f"{name}Percentage"
        if share in statistics:
            tried = statistics[f"{name}Attempted"]
            statistics[share] = statistics[f"{name}Made"] / tried if tried else 0.0


def _lower_score(team: Payload, period: int) -> None:
    if "score" in team:
        team["score"] -= 1
    for entry in team.get("periods", []):
        if entry["period"] == period:
            entry["score"] -= 1


def _correct_list(endpoint: Endpoint, payload: Payload, target: _Target, change: Change) -> bool:
    """Change the game where scoreboards and schedules list it; only points and leaders show there."""
    if endpoint in SCOREBOARDS:
        games = payload["scoreboard"]["games"]
    elif endpoint in SCHEDULES:
        games = [game for day in payload["leagueSchedule"]["gameDates"] for game in day["games"]]
    else:
        return False
    touched = False
    for game in games:
        if game["gameId"] == target.game_id:
            _correct_listed(game, target, change)
            touched = True
    return touched


def _correct_listed(game: Payload, target: _Target, change: Change) -> None:
    side = "home" if target.home else "away"
    if change is Change.THREE_TO_TWO:
        _lower_score(game[f"{side}Team"], target.period)
        for leader in game.get("pointsLeaders", []):
            leader["points"] -= leader["personId"] == target.player_id
    leader = game.get("gameLeaders", {}).get(f"{side}Leaders", {})
    moved: dict[Change, tuple[str, int]] = {
        Change.THREE_TO_TWO: ("points", target.player_id),
        Change.ASSIST_WITHDRAWN: ("assists", target.assist_id),
        Change.EVENT_DELETED: ("rebounds", target.player_id),
    }
    key, person = moved[change]
    if leader.get("personId") == person:
        leader[key] -= 1
