"""The stats host's version 3: `playbyplayv3` with `boxscoretraditionalv3`.

It names neither date, arena nor final status: those come from the list the game was found in.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict

import msgspec

from courtkeeper.nba.formats.cdn import Statistics, person, require_lines
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
    check_game_id,
    is_team_id,
)

_TYPES = {
    "Free Throw": "freethrow",
    "Rebound": "rebound",
    "Turnover": "turnover",
    "Foul": "foul",
    "Substitution": "substitution",
    "Timeout": "timeout",
    "Violation": "violation",
    "Jump Ball": "jumpball",
    "Instant Replay": "instantreplay",
    "Ejection": "ejection",
    "period": "period",
    "game": "game",
}
_ASSIST = re.compile(r"\(([^()]+?) \d+ AST\)")


class _Action(msgspec.Struct, rename="camel"):
    action_id: int
    clock: str
    period: int
    action_type: str
    description: str = ""
    sub_type: str = ""
    team_id: int = 0
    person_id: int = 0
    player_name: str = ""
    player_name_i: str = ""
    x_legacy: int | None = None
    y_legacy: int | None = None
    shot_distance: float = 0
    shot_value: int = 0
    is_field_goal: int = 0
    score_home: str | int | None = None
    score_away: str | int | None = None


class _PlayByPlayGame(msgspec.Struct, rename="camel"):
    game_id: str
    actions: list[_Action]


class _PlayByPlay(msgspec.Struct):
    game: _PlayByPlayGame
    meta: Meta = msgspec.field(default_factory=Meta)


class _BoxPlayer(msgspec.Struct, rename="camel"):
    person_id: int
    statistics: Statistics
    first_name: str = ""
    family_name: str = ""
    name_i: str = ""
    position: str = ""


class _BoxTeam(TeamShape):
    players: list[_BoxPlayer] = msgspec.field(default_factory=list)
    statistics: Statistics | None = None


class _BoxGame(msgspec.Struct, rename="camel"):
    game_id: str
    home_team: _BoxTeam
    away_team: _BoxTeam


class _Box(msgspec.Struct, rename="camel"):
    box_score_traditional: _BoxGame
    meta: Meta = msgspec.field(default_factory=Meta)


def parse(play_by_play: bytes, box_score: bytes, listed: Game, *, payloads: tuple[str, ...] = ()) -> GameData:
    """Read one game; `listed` gives what these payloads lack (date, status, arena, periods).

    Raises PayloadError where a payload is malformed, empty or of another game.
    """
    plays = decode(play_by_play, _PlayByPlay, "play-by-play")
    whole_box = decode(box_score, _Box, "box score")
    box = whole_box.box_score_traditional
    game_id = check_game_id(box.game_id)
    if not plays.game.game_id == game_id == listed.game_id:
        raise PayloadError(
            f"game {listed.game_id} was asked for, the play-by-play is of {plays.game.game_id[:20]!r} "
            f"and the box score of {game_id}"
        )
    if not plays.game.actions:
        raise PayloadError("the play-by-play holds no events")
    teams = (box.home_team, box.away_team)
    require_lines(teams)
    names = _names(teams)
    home_points, away_points = (t.statistics.points if t.statistics else None for t in teams)
    return GameData(
        game=msgspec.structs.replace(
            listed,
            home=box.home_team.team(),
            away=box.away_team.team(),
            home_score=home_points if listed.home_score is None else listed.home_score,
            away_score=away_points if listed.away_score is None else listed.away_score,
        ),
        events=sorted((_event(a, names) for a in plays.game.actions), key=lambda e: e.sequence),
        team_lines={t.team_id: t.statistics.line() for t in teams if t.statistics},
        player_lines=[_player_line(p, t.team_id) for t in teams for p in t.players],
        people=_people(plays.game.actions),
        source="v3",
        simulated="simulated" in (plays.meta.source, whole_box.meta.source),
        payloads=payloads,
        # The scoreboard by date, from which most of these games are known, never names the arena.
        arena_carried=bool(listed.arena),
    )


def _event(action: _Action, names: _Names) -> Event:
    event_type, made = _type(action)
    points = action.shot_value if action.is_field_goal else 1
    team_id = action.team_id or (action.person_id if is_team_id(action.person_id) else None)
    return Event(
        event_id=action.action_id,
        sequence=action.action_id,
        period=period(action.period),
        clock_ms=iso_clock_ms(action.clock),
        event_type=event_type,
        sub_type=action.sub_type,
        team_id=team_id,
        player_id=person(action.person_id),
        assist_player_id=_assist(action, names) if made and action.is_field_goal else None,
        made=made,
        points=points if made else 0,
        home_score=optional_int(action.score_home),
        away_score=optional_int(action.score_away),
        x=action.x_legacy if action.is_field_goal else None,
        y=action.y_legacy if action.is_field_goal else None,
        shot_distance_ft=action.shot_distance if action.is_field_goal else None,
        description=action.description,
    )


def _type(action: _Action) -> tuple[str, bool | None]:
    """The cdn event type, and whether a shot or free throw went in."""
    if action.action_type in ("Made Shot", "Missed Shot", "Heave"):
        return f"{action.shot_value or 2}pt", action.action_type == "Made Shot"
    if action.action_type == "Free Throw":
        return "freethrow", not action.description.startswith("MISS")
    if not action.action_type:  # a steal or block stands beside its turnover or miss, without a type
        return ("steal" if " STEAL" in action.description else "block"), None
    return _TYPES.get(action.action_type, action.action_type.lower().replace(" ", "")), None


_Names = dict[tuple[int, str], int | None]


def _names(teams: tuple[_BoxTeam, _BoxTeam]) -> _Names:
    """Player ids by (team id, plain name); None where two players of a team share the name."""
    found: dict[tuple[int, str], set[int]] = defaultdict(set)
    for team in teams:
        for player in team.players:
            for name in (player.family_name, player.name_i, f"{player.first_name} {player.family_name}"):
                found[team.team_id, _plain(name)].add(player.person_id)
    return {key: next(iter(ids)) if len(ids) == 1 else None for key, ids in found.items()}


def _assist(action: _Action, names: _Names) -> int | None:
    """The assisting player, whom version 3 names in the description only: `(Love 1 AST)`."""
    match = _ASSIST.search(action.description)
    return names.get((action.team_id, _plain(match[1]))) if match else None


def _plain(name: str) -> str:
    """A name without accents and case: descriptions write Vucevic, the box score Vučević."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().strip()


def _player_line(player: _BoxPlayer, team_id: int) -> PlayerLine:
    seconds = duration_s(player.statistics.minutes)
    return PlayerLine(
        player=Player(
            player.person_id,
            f"{player.first_name} {player.family_name}".strip(),
            player.first_name,
            player.family_name,
        ),
        team_id=team_id,
        stats=player.statistics.line(),
        starter=bool(player.position),
        played=bool(seconds),
        seconds=seconds,
        turnovers=player.statistics.turnovers,
        fouls=player.statistics.fouls_personal,
    )


def _people(actions: list[_Action]) -> list[Player]:
    named = {a.person_id: Player(a.person_id, a.player_name_i or a.player_name) for a in actions}
    return [named[i] for i in sorted(named) if person(i)]
