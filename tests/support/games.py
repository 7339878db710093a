"""A tiny hand-made game in the cdn's shape: consistent by construction, easy to break in one place."""

from __future__ import annotations

import json
from typing import Any

HOME, AWAY = 1610612766, 1610612737
SCORER, ASSISTANT, THIEF, BLOCKER = 201, 202, 301, 302


def action(number: int, kind: str, **more: Any) -> dict[str, Any]:
    """One play with what every play carries."""
    return {
        "actionNumber": number,
        "orderNumber": number * 10000,
        "clock": "PT05M00.00S",
        "period": 1,
        "actionType": kind,
        "subType": "",
        "personId": 0,
        "scoreHome": "0",
        "scoreAway": "0",
        "description": kind,
        **more,
    }


def plays() -> dict[str, Any]:
    """Four periods; one three (assisted), one blocked shot, one stolen ball, one free throw, two rebounds."""
    home, away = {"teamId": HOME}, {"teamId": AWAY}
    after = {"scoreHome": "3", "scoreAway": "0"}
    actions = [
        action(2, "period", subType="start", clock="PT12M00.00S"),
        action(4, "3pt", personId=SCORER, assistPersonId=ASSISTANT, shotResult="Made", **home, **after),
        action(7, "2pt", personId=THIEF, shotResult="Missed", blockPersonId=SCORER, **away, **after),
        action(8, "block", personId=SCORER, **home, **after),
        action(9, "rebound", subType="defensive", personId=ASSISTANT, **home, **after),
        action(12, "turnover", personId=SCORER, stealPersonId=THIEF, **home, **after),
        action(13, "steal", personId=THIEF, **away, **after),
        action(15, "freethrow", personId=THIEF, shotResult="Made", **away, scoreHome="3", scoreAway="1"),
        action(17, "rebound", subType="offensive", **away, scoreHome="3", scoreAway="1"),
    ]
    final = {"scoreHome": "3", "scoreAway": "1"}
    actions.append(action(20, "period", subType="end", clock="PT00M00.00S", **final))
    for period in (2, 3, 4):
        number = period * 100
        actions.append(action(number, "period", subType="start", period=period, clock="PT12M00.00S", **final))
        actions.append(
            action(number + 1, "period", subType="end", period=period, clock="PT00M00.00S", **final)
        )
    return {"meta": {"version": 1}, "game": {"gameId": "0022500001", "actions": actions}}


def _statistics(**values: int) -> dict[str, Any]:
    shots = ("fieldGoals", "threePointers", "freeThrows")
    names = [f"{shot}{what}" for shot in shots for what in ("Made", "Attempted")]
    names += ["points", "reboundsTotal", "assists", "steals", "blocks", "turnovers", "foulsPersonal"]
    return {**dict.fromkeys(names, 0), "minutes": "PT24M00.00S", **values}


def _player(number: int, name: str, **values: int) -> dict[str, Any]:
    return {
        "personId": number,
        "name": name,
        "firstName": name[:1],
        "familyName": name[1:],
        "starter": "1",
        "played": "1",
        "statistics": _statistics(**values),
    }


def box() -> dict[str, Any]:
    """The box score that belongs to `plays`."""
    three = {
        "fieldGoalsMade": 1,
        "fieldGoalsAttempted": 1,
        "threePointersMade": 1,
        "threePointersAttempted": 1,
    }
    free = {"freeThrowsMade": 1, "freeThrowsAttempted": 1, "fieldGoalsAttempted": 1, "steals": 1}
    home = {
        "teamId": HOME,
        "teamCity": "Charlotte",
        "teamName": "Hornets",
        "teamTricode": "CHA",
        "score": 3,
        "players": [
            _player(SCORER, "Ada Scorer", points=3, blocks=1, turnovers=1, **three),
            _player(ASSISTANT, "Bo Assistant", assists=1, reboundsTotal=1),
        ],
        "statistics": _statistics(
            points=3, assists=1, blocks=1, reboundsTotal=1, reboundsPersonal=1, turnovers=1, **three
        ),
    }
    away = {
        "teamId": AWAY,
        "teamCity": "Atlanta",
        "teamName": "Hawks",
        "teamTricode": "ATL",
        "score": 1,
        "players": [_player(THIEF, "Cy Thief", points=1, **free), _player(BLOCKER, "Di Bench")],
        "statistics": _statistics(points=1, reboundsTotal=1, reboundsPersonal=0, **free),
    }
    return {
        "meta": {"version": 1},
        "game": {
            "gameId": "0022500001",
            "gameStatus": 3,
            "gameEt": "2025-10-22T19:00:00-04:00",
            "gameTimeUTC": "2025-10-22T23:00:00Z",
            "period": 4,
            "attendance": 18000,
            "arena": {"arenaName": "Spectrum Center"},
            "homeTeam": home,
            "awayTeam": away,
        },
    }


def encode(payload: dict[str, Any]) -> bytes:
    """The payload as the feed would send it."""
    return json.dumps(payload).encode()
