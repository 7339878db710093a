"""Lists of games: the scoreboards (cdn and v3) and the season's schedule."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from courtkeeper.nba.formats.cdn import STATUS, parse_date, parse_time
from courtkeeper.nba.formats.common import Meta, TeamShape, decode, period
from courtkeeper.nba.model import Game, PayloadError, check_game_id


class _Listed(msgspec.Struct, rename="camel"):
    game_id: str
    game_status: int
    home_team: TeamShape
    away_team: TeamShape
    game_status_text: str = ""
    period: int | None = None
    game_et: str = ""
    game_date_est: str = ""
    game_time_utc: str = msgspec.field(name="gameTimeUTC", default="")
    game_date_time_utc: str = msgspec.field(name="gameDateTimeUTC", default="")
    arena_name: str | None = ""
    postponed_status: str | None = ""

    def game(self) -> Game:
        status = STATUS.get(self.game_status, "scheduled")
        if self.postponed_status == "Y" or self.game_status_text.strip() == "PPD":
            status = "postponed"
        known_score = status in ("final", "live")
        return Game(
            game_id=check_game_id(self.game_id),
            game_date=parse_date(self.game_date_est or self.game_et),
            starts_at=parse_time(self.game_date_time_utc or self.game_time_utc),
            status=status,
            home=self.home_team.team(),
            away=self.away_team.team(),
            home_score=self.home_team.score if known_score else None,
            away_score=self.away_team.score if known_score else None,
            periods=period(self.period) if self.period else None,
            arena=self.arena_name or "",
        )


class _Scoreboard(msgspec.Struct, rename="camel"):
    game_date: date
    games: list[_Listed]


class _ScoreboardPayload(msgspec.Struct):
    scoreboard: _Scoreboard
    meta: Meta = msgspec.field(default_factory=Meta)


class _GameDate(msgspec.Struct, rename="camel"):
    games: list[_Listed]


class _Schedule(msgspec.Struct, rename="camel"):
    game_dates: list[_GameDate]


class _SchedulePayload(msgspec.Struct, rename="camel"):
    league_schedule: _Schedule
    meta: Meta = msgspec.field(default_factory=Meta)


class GameList(msgspec.Struct, frozen=True):
    """The games of the days from `first` to `last` (US Eastern), both included.

    `skipped` says of each entry that is no game of ours why not.
    """

    first: date
    last: date
    games: list[Game]
    simulated: bool
    skipped: list[str]

    def covers(self, day: date) -> bool:
        """Tell whether this list would name a game played on `day`."""
        return self.first <= day <= self.last


def parse_scoreboard(payload: bytes) -> GameList:
    """Read one day's scoreboard, cdn or v3. Raises PayloadError."""
    whole = decode(payload, _ScoreboardPayload, "scoreboard")
    day = whole.scoreboard.game_date
    games, skipped = _games(whole.scoreboard.games)
    games = [msgspec.structs.replace(game, game_date=day) for game in games]
    return GameList(day, day, games, whole.meta.source == "simulated", skipped)


def parse_schedule(payload: bytes) -> GameList | None:
    """Read a season's schedule; None where it names no game with a date. Raises PayloadError."""
    whole = decode(payload, _SchedulePayload, "schedule")
    games, skipped = _games(listed for day in whole.league_schedule.game_dates for listed in day.games)
    days = [game.game_date for game in games if game.game_date]
    if not days:
        return None
    return GameList(min(days), max(days), games, whole.meta.source == "simulated", skipped)


def _games(entries: Iterable[_Listed]) -> tuple[list[Game], list[str]]:
    """The entries that are games, and why the others are not: one odd entry costs no night."""
    games, skipped = [], []
    for entry in entries:
        try:
            games.append(entry.game())
        except PayloadError as error:
            skipped.append(f"an entry of a list was passed over: {error}")
    return games, skipped
