"""The cdn feed's play-by-play and box score (`/static/json/liveData/…`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Protocol

import msgspec

from courtkeeper.nba.formats.common import (
    Meta,
    TeamShape,
    decode,
    duration_s,
    iso_clock_ms,
    optional_int,
    period,
)
from courtkeeper.nba.model import (
    Event,
    Game,
    GameData,
    PayloadError,
    Player,
    PlayerLine,
    StatLine,
    check_game_id,
    is_team_id,
)

_FIRST_SEASON = 1946
_POINTS = {"2pt": 2, "3pt": 3, "freethrow": 1}
STATUS = {1: "scheduled", 2: "live", 3: "final"}


class _Action(msgspec.Struct, rename="camel"):
    action_number: int
    clock: str
    period: int
    action_type: str
    order_number: int
    sub_type: str | None = ""
    person_id: int = 0
    team_id: int | None = None
    score_home: str | int | None = None
    score_away: str | int | None = None
    x: float | None = None
    y: float | None = None
    shot_distance: float | None = None
    shot_result: str | None = None
    assist_person_id: int | None = None
    description: str | None = ""
    player_name: str | None = ""
    player_name_i: str | None = ""


class _PlayByPlayGame(msgspec.Struct, rename="camel"):
    game_id: str
    actions: list[_Action]


class _PlayByPlay(msgspec.Struct):
    game: _PlayByPlayGame
    meta: Meta = msgspec.field(default_factory=Meta)


class Statistics(msgspec.Struct, rename="camel"):
    """A player's or team's official statistics, cdn and v3 alike.

    `rebounds_personal` is the team's rebounds by players (cdn); `rebounds_total` counts the
    team's own as well in cdn, and players only in v3 and in a player's line.
    """

    points: int
    field_goals_made: int
    field_goals_attempted: int
    three_pointers_made: int
    three_pointers_attempted: int
    free_throws_made: int
    free_throws_attempted: int
    rebounds_total: int
    assists: int
    steals: int
    blocks: int
    turnovers: int | None = None
    fouls_personal: int | None = None
    minutes: str = ""
    rebounds_personal: int | None = None

    def line(self) -> StatLine:
        """Return the eleven statistics that events give too."""
        by_players = self.rebounds_personal
        return StatLine(
            points=self.points,
            fgm=self.field_goals_made,
            fga=self.field_goals_attempted,
            fg3m=self.three_pointers_made,
            fg3a=self.three_pointers_attempted,
            ftm=self.free_throws_made,
            fta=self.free_throws_attempted,
            rebounds=self.rebounds_total if by_players is None else by_players,
            assists=self.assists,
            steals=self.steals,
            blocks=self.blocks,
        )


class _BoxPlayer(msgspec.Struct, rename="camel"):
    person_id: int
    statistics: Statistics
    name: str = ""
    first_name: str = ""
    family_name: str = ""
    starter: str | int = "0"
    played: str | int = "0"


class _BoxTeam(TeamShape):
    players: list[_BoxPlayer] = msgspec.field(default_factory=list)
    statistics: Statistics | None = None


class _Arena(msgspec.Struct, rename="camel"):
    arena_name: str | None = ""


class _BoxGame(msgspec.Struct, rename="camel"):
    game_id: str
    game_status: int
    home_team: _BoxTeam
    away_team: _BoxTeam
    game_et: str = ""
    game_time_utc: str = msgspec.field(name="gameTimeUTC", default="")
    period: int | None = None
    attendance: int | None = None
    arena: _Arena = msgspec.field(default_factory=_Arena)


class _Box(msgspec.Struct):
    game: _BoxGame
    meta: Meta = msgspec.field(default_factory=Meta)


def parse(
    play_by_play: bytes, box_score: bytes, *, asked_for: str = "", payloads: tuple[str, ...] = ()
) -> GameData:
    """Read one game from its two cdn payloads.

    Raises PayloadError where a payload is malformed, empty (`{}`, no actions) or of another game
    than the other one or than was `asked_for`.
    """
    plays = decode(play_by_play, _PlayByPlay, "play-by-play")
    box = decode(box_score, _Box, "box score")
    game_id = check_game_id(box.game.game_id)
    if plays.game.game_id != game_id:
        raise PayloadError(
            f"the play-by-play is of game {plays.game.game_id[:20]!r}, the box score of {game_id}"
        )
    if asked_for and game_id != asked_for:
        raise PayloadError(f"game {asked_for} was asked for, the payload is of {game_id}")
    if not plays.game.actions:
        raise PayloadError("the play-by-play holds no events")
    teams = (box.game.home_team, box.game.away_team)
    require_lines(teams)
    return GameData(
        game=_game(box.game),
        events=sorted((_event(a) for a in plays.game.actions), key=lambda e: e.sequence),
        team_lines={t.team_id: t.statistics.line() for t in teams if t.statistics},
        player_lines=[_player_line(p, t.team_id) for t in teams for p in t.players],
        people=_people(plays.game.actions),
        source="cdn",
        simulated="simulated" in (plays.meta.source, box.meta.source),
        payloads=payloads,
    )


class _WithLines(Protocol):
    @property
    def team_tricode(self) -> str | None: ...
    @property
    def statistics(self) -> Statistics | None: ...
    @property
    def players(self) -> Sequence[object]: ...


def require_lines(teams: Iterable[_WithLines]) -> None:
    """Refuse a box score that has nothing to compare events with: it would pass any gate.

    Raises PayloadError.
    """
    for team in teams:
        if team.statistics is None:
            raise PayloadError(f"the box score has no statistics of {team.team_tricode or 'a team'}")
        if not team.players:
            raise PayloadError(f"the box score has no players of {team.team_tricode or 'a team'}")


def _game(box: _BoxGame) -> Game:
    return Game(
        game_id=box.game_id,
        game_date=parse_date(box.game_et),
        starts_at=parse_time(box.game_time_utc),
        status=STATUS.get(box.game_status, "scheduled"),
        home=box.home_team.team(),
        away=box.away_team.team(),
        home_score=box.home_team.score,
        away_score=box.away_team.score,
        periods=period(box.period) if box.period else None,
        arena=box.arena.arena_name or "",
        attendance=box.attendance,
    )


def _event(action: _Action) -> Event:
    value = _POINTS.get(action.action_type)
    made = action.shot_result == "Made" if value else None
    return Event(
        event_id=action.action_number,
        sequence=action.order_number,
        period=period(action.period),
        clock_ms=iso_clock_ms(action.clock),
        event_type=action.action_type,
        sub_type=action.sub_type or "",
        team_id=action.team_id or None,
        player_id=person(action.person_id),
        assist_player_id=person(action.assist_person_id) if made else None,
        made=made,
        points=value if value and made else 0,
        home_score=optional_int(action.score_home),
        away_score=optional_int(action.score_away),
        x=action.x,
        y=action.y,
        shot_distance_ft=action.shot_distance,
        description=action.description or "",
    )


def _player_line(player: _BoxPlayer, team_id: int) -> PlayerLine:
    statistics = player.statistics
    full_name = player.name or f"{player.first_name} {player.family_name}".strip()
    return PlayerLine(
        player=Player(player.person_id, full_name, player.first_name, player.family_name),
        team_id=team_id,
        stats=statistics.line(),
        starter=str(player.starter) == "1",
        played=str(player.played) == "1",
        seconds=duration_s(statistics.minutes),
        turnovers=statistics.turnovers,
        fouls=statistics.fouls_personal,
    )


def _people(actions: list[_Action]) -> list[Player]:
    named = {
        a.person_id: Player(a.person_id, a.player_name_i or a.player_name or "")
        for a in actions
        if person(a.person_id) and (a.player_name_i or a.player_name)
    }
    credited = {a.assist_person_id for a in actions if person(a.assist_person_id)}
    unnamed = {a.person_id for a in actions if person(a.person_id)} | credited
    return [named.get(i) or Player(i, "") for i in sorted(i for i in unnamed if i)]


def person(number: int | None) -> int | None:
    """Return a real person's id; None for 0, null and a team's id in a person's field."""
    return number if number and number > 0 and not is_team_id(number) else None


def parse_date(text: str) -> date | None:
    """The day of `2026-02-11T19:00:00-05:00` (US Eastern in this feed); None if unreadable."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def parse_time(text: str) -> datetime | None:
    """An aware UTC time; None if unreadable or the feed's placeholder (year 1 or 1900)."""
    try:
        time = datetime.fromisoformat(text)
        utc = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc if utc.year >= _FIRST_SEASON else None
