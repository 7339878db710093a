"""The league's data as the rest of the domain sees it, whatever format it arrived in.

Event types are those of the cdn feed (`2pt`, `3pt`, `freethrow`, `rebound`, `turnover`, `steal`,
`block`, `foul`, `substitution`, `timeout`, `violation`, `jumpball`, `period`, `game`, …);
the other formats are translated to them.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import msgspec

STATISTICS: Final = (
    "points",
    "fgm",
    "fga",
    "fg3m",
    "fg3a",
    "ftm",
    "fta",
    "rebounds",
    "assists",
    "steals",
    "blocks",
)

# Third digit of a game id: https://github.com/swar/nba_api, "Game ID" in its documentation.
SEASON_TYPES: Final = {
    "1": "preseason",
    "2": "regular",
    "3": "allstar",
    "4": "playoffs",
    "5": "playin",
    "6": "cup",
}


class PayloadError(Exception):
    """An outside payload does not have the shape it should have. The message is one sentence."""


class Team(msgspec.Struct, frozen=True):
    """A team as its game names it; `team_id` is 0 where the source does not know it yet."""

    team_id: int
    city: str
    name: str
    tricode: str


class Player(msgspec.Struct, frozen=True):
    """A person; first and family name are empty where only a display name is known."""

    player_id: int
    display_name: str
    first_name: str = ""
    family_name: str = ""


class Game(msgspec.Struct, frozen=True, kw_only=True):
    """A game's own data. `game_date` is the day in US Eastern time, `starts_at` is UTC."""

    game_id: str
    game_date: date | None
    status: str
    home: Team
    away: Team
    home_score: int | None = None
    away_score: int | None = None
    starts_at: datetime | None = None
    periods: int | None = None
    arena: str = ""
    attendance: int | None = None

    @property
    def season(self) -> int:
        """The year in which the season starts, from the game id."""
        year = int(self.game_id[3:5])
        return year + (1900 if year > 45 else 2000)

    @property
    def season_type(self) -> str:
        """`regular`, `playoffs` and so on, from the game id."""
        return SEASON_TYPES[self.game_id[2]]

    @property
    def title(self) -> str:
        """`ATL @ CHA`, as a person names it."""
        return f"{self.away.tricode or '?'} @ {self.home.tricode or '?'}"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One play. Each assist, steal and block is credited on exactly one event of a game:
    in `assist_player_id` of the shot, and either on an event of type `steal`/`block` (cdn, v3)
    or in `steal_player_id`/`block_player_id` of the play it ended (v2).
    """

    event_id: int
    sequence: int
    period: int
    clock_ms: int
    event_type: str
    sub_type: str = ""
    team_id: int | None = None
    player_id: int | None = None
    assist_player_id: int | None = None
    steal_player_id: int | None = None
    block_player_id: int | None = None
    made: bool | None = None
    points: int = 0
    home_score: int | None = None
    away_score: int | None = None
    x: float | None = None
    y: float | None = None
    shot_distance_ft: float | None = None
    description: str = ""


class StatLine(msgspec.Struct):
    """The eleven statistics that events and box score both give."""

    points: int = 0
    fgm: int = 0
    fga: int = 0
    fg3m: int = 0
    fg3a: int = 0
    ftm: int = 0
    fta: int = 0
    rebounds: int = 0
    assists: int = 0
    steals: int = 0
    blocks: int = 0


class PlayerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A player's official line in one game; `seconds` on the court."""

    player: Player
    team_id: int
    stats: StatLine
    starter: bool = False
    played: bool = False
    seconds: int | None = None
    turnovers: int | None = None
    fouls: int | None = None


class GameData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one source says about one game.

    `team_lines` by team id and `player_lines` are official; empty where the source has none.
    `people` are the persons named in events, who need not stand in the box score (coaches).
    `arena_carried` is False for a source that never names the arena (the v2 archives).
    """

    game: Game
    events: list[Event]
    team_lines: dict[int, StatLine]
    player_lines: list[PlayerLine]
    people: list[Player]
    source: str
    simulated: bool = False
    payloads: tuple[str, ...] = ()
    arena_carried: bool = True


def is_team_id(number: int) -> bool:
    """Tell whether a `personId` is in truth a team's id (they start at 1,610,000,000)."""
    return number >= 1_610_000_000


def check_game_id(game_id: str) -> str:
    """Return `game_id` if it is ten digits of a known season type; raises PayloadError."""
    if len(game_id) != 10 or not game_id.isascii() or not game_id.isdigit():
        raise PayloadError(f"{game_id[:40]!r} is not a game id (ten digits)")
    if game_id[2] not in SEASON_TYPES:
        raise PayloadError(f"game id {game_id} names no known season type")
    return game_id
