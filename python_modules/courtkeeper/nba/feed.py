"""What the feed knows: which games were played on which day, and everything about one game."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from datetime import date, timedelta
from typing import Final

import msgspec

from courtkeeper.nba.client import Client, FeedError, Payload, Trouble
from courtkeeper.nba.formats import cdn, lists, v3
from courtkeeper.nba.formats.lists import GameList
from courtkeeper.nba.model import Game, GameData, PayloadError

# The cdn has play-by-play from about the season 2019-20 on.
_FIRST_CDN_SEASON: Final = 2019
_LEAGUE: Final = "00"
_ListParser = Callable[[bytes], GameList | None]
_GENERAL_LISTS: Final[tuple[tuple[str, _ListParser], ...]] = (
    ("/static/json/liveData/scoreboard/todaysScoreboard_00.json", lists.parse_scoreboard),
    ("/static/json/staticData/scheduleLeagueV2.json", lists.parse_schedule),
)


class Window(msgspec.Struct, kw_only=True):
    """The games of a range of days as far as the feed lists them.

    `uncovered` are the days that no list speaks of, with the reason; `troubles` are
    lists that could not be read although they should exist.
    """

    games: list[Game]
    simulated: bool
    covered: list[date]
    uncovered: dict[date, str]
    troubles: list[str]


class GameMissingError(Exception):
    """The feed has no (usable) payload for a game. The message is one sentence."""

    def __init__(self, message: str, *, reachable: bool, payloads: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reachable = reachable
        self.payloads = payloads


async def games_between(client: Client, first: date, last: date) -> Window:
    """List the games from `first` to `last`, both included (US Eastern days).

    Today's scoreboard and the season's schedule, one request each, cover most days; each day
    that neither covers costs one request to the scoreboard by date.
    """
    window = Window(games=[], simulated=False, covered=[], uncovered={}, troubles=[])
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    general: list[GameList] = []
    for path, parse in _GENERAL_LISTS:
        general += await _general_lists(client, path, parse, days, window)
    for day in days:
        found = next((known for known in general if known.covers(day)), None)
        found = found or await _scoreboard_of(client, day, window)
        if found:
            window.covered.append(day)
            window.games += [game for game in found.games if game.game_date == day]
            window.troubles += found.skipped
            window.simulated |= found.simulated
    window.games = list({game.game_id: game for game in window.games}.values())
    window.games.sort(key=lambda game: (game.game_date or first, game.game_id))
    return window


async def _general_lists(
    client: Client, path: str, parse: _ListParser, days: list[date], window: Window
) -> list[GameList]:
    """Versions of a list, the newest first, until the days are covered (a replay has many versions)."""
    found: list[GameList] = []
    try:
        async with aclosing(client.versions("cdn", path)) as versions:
            async for payload in versions:
                listed = parse(payload.body)
                if listed and any(listed.covers(day) for day in days):
                    found.append(listed)
                if all(any(known.covers(day) for known in found) for day in days):
                    break
    except (FeedError, PayloadError) as error:
        _note(error, window)
    return found


async def _scoreboard_of(client: Client, day: date, window: Window) -> GameList | None:
    """The scoreboard of one day; where there is none the day is noted as uncovered."""
    query = {"GameDate": day.isoformat(), "LeagueID": _LEAGUE}
    try:
        found = lists.parse_scoreboard((await client.get("stats", "/stats/scoreboardv3", query)).body)
    except (FeedError, PayloadError) as error:
        window.uncovered[day] = str(error)
        _note(error, window)
        return None
    if found.covers(day):
        return found
    window.uncovered[day] = f"the scoreboard of {found.first} came instead"
    window.troubles.append(f"the scoreboard of {day} was asked for, that of {found.first} came")
    return None


def _note(error: FeedError | PayloadError, window: Window) -> None:
    """Note a list that could not be read; one that is not there is no trouble."""
    if not (isinstance(error, FeedError) and error.trouble is Trouble.NOT_FOUND):
        window.troubles.append(str(error))


async def fetch_game(client: Client, listed: Game) -> GameData:
    """Fetch and read one game: from the cdn, or from the stats host where the cdn has not got it.

    Raises GameMissingError where neither has it, where a payload is malformed, or where the feed
    could not be asked.
    """
    game_id = listed.game_id
    tried: list[str] = []
    if listed.season >= _FIRST_CDN_SEASON:
        live = "/static/json/liveData"
        pair = await _pair(
            client,
            "cdn",
            (f"{live}/playbyplay/playbyplay_{game_id}.json", None),
            (f"{live}/boxscore/boxscore_{game_id}.json", None),
            tried,
        )
        if pair:
            return _read(lambda p, b, hashes: cdn.parse(p, b, asked_for=game_id, payloads=hashes), pair)
    query = {"GameID": game_id, "LeagueID": _LEAGUE}
    period_query = {"GameID": game_id, "StartPeriod": "0", "EndPeriod": "14"}
    pair = await _pair(
        client,
        "stats",
        ("/stats/playbyplayv3", period_query),
        ("/stats/boxscoretraditionalv3", query),
        tried,
    )
    if pair:
        return _read(lambda p, b, hashes: v3.parse(p, b, listed, payloads=hashes), pair)
    raise GameMissingError("the feed has no payload: " + "; ".join(tried), reachable=True)


_Request = tuple[str, dict[str, str] | None]
_Parser = Callable[[bytes, bytes, tuple[str, ...]], GameData]


async def _pair(
    client: Client, host: str, plays: _Request, box: _Request, tried: list[str]
) -> tuple[Payload, Payload] | None:
    """Fetch play-by-play and box score; None where the host has not got them."""
    try:
        return await client.get(host, *plays), await client.get(host, *box)
    except FeedError as error:
        if error.trouble is not Trouble.NOT_FOUND:
            raise GameMissingError(str(error), reachable=False) from error
        tried.append(str(error))
        return None


def _read(parse: _Parser, pair: tuple[Payload, Payload]) -> GameData:
    hashes = tuple(p.sha256 for p in pair if p.sha256)
    try:
        return parse(pair[0].body, pair[1].body, hashes)
    except PayloadError as error:
        raise GameMissingError(str(error), reachable=True, payloads=hashes) from error
