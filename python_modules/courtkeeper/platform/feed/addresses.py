"""Path and query string → which payload is meant. Nothing a client sends is used as a file name.

The two hosts share one port: `/static/json/...` is cdn.nba.com, `/stats/...` is stats.nba.com.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple


class Endpoint(StrEnum):
    """Every payload that the feed knows."""

    CDN_PLAYBYPLAY = "cdn playbyplay"
    CDN_BOXSCORE = "cdn boxscore"
    CDN_SCOREBOARD = "cdn scoreboard"
    CDN_SCHEDULE = "cdn schedule"
    PLAYBYPLAY = "playbyplayv3"
    BOXSCORE = "boxscoretraditionalv3"
    SUMMARY = "boxscoresummaryv3"
    SCOREBOARD = "scoreboardv3"
    SCHEDULE = "scheduleleaguev2"
    GAMELOG = "leaguegamelog"
    PLAYERS = "commonallplayers"


CDN_ROOT = "/static/json/"
STATS_ROOT = "/stats/"

PLAYBYPLAYS = frozenset({Endpoint.CDN_PLAYBYPLAY, Endpoint.PLAYBYPLAY})
BOXSCORES = frozenset({Endpoint.CDN_BOXSCORE, Endpoint.BOXSCORE})
SCOREBOARDS = frozenset({Endpoint.CDN_SCOREBOARD, Endpoint.SCOREBOARD})
SCHEDULES = frozenset({Endpoint.CDN_SCHEDULE, Endpoint.SCHEDULE})
_BY_GAME = frozenset({Endpoint.PLAYBYPLAY, Endpoint.BOXSCORE, Endpoint.SUMMARY})
# Without a LeagueID the real host answers these with nothing.
WANT_LEAGUE = frozenset({Endpoint.SCOREBOARD, Endpoint.SCHEDULE, Endpoint.GAMELOG, Endpoint.PLAYERS})

_CDN_GAME = re.compile(r"/static/json/liveData/(playbyplay|boxscore)/(playbyplay|boxscore)_([0-9]{10})\.json")
_SEASON = re.compile(r"[0-9]{4}-[0-9]{2}")
_GAME_ID = re.compile(r"[0-9]{10}")
_CDN_FIXED = {
    "/static/json/liveData/scoreboard/todaysScoreboard_00.json": Endpoint.CDN_SCOREBOARD,
    "/static/json/staticData/scheduleLeagueV2.json": Endpoint.CDN_SCHEDULE,
}


class Address(NamedTuple):
    """One payload: the endpoint and whichever of game, day (US Eastern) and season it wants."""

    endpoint: Endpoint
    game_id: str = ""
    day: date | None = None
    season: str = ""
    league: str = "00"

    @property
    def empty(self) -> bool:
        """Whether the real host would answer with nothing: it wants a LeagueID and got none."""
        return self.endpoint in WANT_LEAGUE and not self.league


class BadAddressError(Exception):
    """The request cannot be understood; `status` is the answer (400 or 404)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def parse(path: str, query: Mapping[str, str]) -> Address:
    """Return the payload that `path` and `query` mean, or raise `BadAddressError`."""
    if path.startswith(CDN_ROOT):
        return _parse_cdn(path)
    if path.startswith(STATS_ROOT):
        return _parse_stats(path, query)
    raise BadAddressError(404, "Not found")


def _parse_cdn(path: str) -> Address:
    if path in _CDN_FIXED:
        return Address(_CDN_FIXED[path])
    found = _CDN_GAME.fullmatch(path)
    if found is None or found[1] != found[2]:
        raise BadAddressError(404, "Not found")
    endpoint = Endpoint.CDN_PLAYBYPLAY if found[1] == "playbyplay" else Endpoint.CDN_BOXSCORE
    return Address(endpoint, game_id=found[3])


def _parse_stats(path: str, query: Mapping[str, str]) -> Address:
    name = path.removeprefix(STATS_ROOT)
    try:
        endpoint = Endpoint(name)
    except ValueError:
        raise BadAddressError(404, "Not found") from None
    if path != f"{STATS_ROOT}{endpoint.value}" or endpoint.value.startswith("cdn"):
        raise BadAddressError(404, "Not found")
    league = query.get("LeagueID", "")
    if endpoint in WANT_LEAGUE and not league:
        return Address(endpoint, league="")
    return Address(
        endpoint,
        game_id=_game_id(query) if endpoint in _BY_GAME else "",
        day=_day(query) if endpoint is Endpoint.SCOREBOARD else None,
        season=_season(endpoint, query),
        league=league,
    )


def _game_id(query: Mapping[str, str]) -> str:
    game_id = query.get("GameID", "")
    if not _GAME_ID.fullmatch(game_id):
        raise BadAddressError(400, "The GameID property is required; it is a string of 10 digits.")
    return game_id


def _day(query: Mapping[str, str]) -> date:
    text = query.get("GameDate", "")
    for pattern in ("%Y-%m-%d", "%m/%d/%Y"):
        try:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007 (a day has no time zone)
        except ValueError:
            continue
    raise BadAddressError(400, "The GameDate property is required; it is YYYY-MM-DD or MM/DD/YYYY.")


def _season(endpoint: Endpoint, query: Mapping[str, str]) -> str:
    if endpoint not in {Endpoint.SCHEDULE, Endpoint.GAMELOG}:
        return ""
    season = query.get("Season", "")
    if not _SEASON.fullmatch(season):
        raise BadAddressError(400, "The Season property is required; it looks like 2025-26.")
    return season
