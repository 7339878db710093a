"""The quality gate between play-by-play and box score.

The four measures and their definitions: docs/nba.md ("What a good game is"). A measure that
the source gives no ground to judge is None, never 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from courtkeeper.nba.model import STATISTICS, Event, GameData, StatLine

# Player consistency compares all but three-point attempts.
_PLAYER_STATISTICS: Final = tuple(s for s in STATISTICS if s != "fg3a")


# Plays that belong to a player's own team beyond doubt (a jump ball does not).
_PLAYED_FOR: Final = ("2pt", "3pt", "freethrow", "rebound")
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Thresholds(msgspec.Struct, frozen=True):
    """The least value of each measure (0..1) at which a game is good."""

    completeness: Share = 0.95
    box_accuracy: Share = 0.99
    player_consistency: Share = 0.98
    metadata: Share = 1.0


class Measure(msgspec.Struct, frozen=True):
    """One measure of one game: `value` 0..1 or None (unknown), and what it missed, in words."""

    name: str
    value: float | None
    missed: tuple[str, ...] = ()


class Quality(msgspec.Struct, frozen=True):
    """The four measures of a game."""

    completeness: Measure
    box_accuracy: Measure
    player_consistency: Measure
    metadata: Measure

    def failing(self, thresholds: Thresholds) -> list[tuple[Measure, float]]:
        """The measures below their threshold, each with that threshold."""
        pairs = [(getattr(self, name), getattr(thresholds, name)) for name in thresholds.__struct_fields__]
        return [(m, limit) for m, limit in pairs if m.value is not None and m.value < limit]


def judge(data: GameData) -> Quality:
    """Measure a game."""
    return Quality(
        completeness=_completeness(data),
        box_accuracy=_box_accuracy(data),
        player_consistency=_player_consistency(data),
        metadata=_metadata(data),
    )


def contradictions(data: GameData) -> list[str]:
    """Where a box score contradicts itself or the plays: no share of agreement makes up for these.

    Every team's players sum to its score, every player stands in the box once, and what a player did
    in the plays he did for the team that the box names.
    """
    team_of = {line.player.player_id: line.team_id for line in data.player_lines}
    if not team_of:
        return []
    found = []
    if len(team_of) != len(data.player_lines):
        found.append("a player stands in the box score twice")
    for team, score in ((data.game.home, data.game.home_score), (data.game.away, data.game.away_score)):
        points = sum(line.stats.points for line in data.player_lines if line.team_id == team.team_id)
        if points != score:
            found.append(f"the players of {team.tricode} scored {points}, the team {score}")
    strangers = {
        event.player_id
        for event in data.events
        if event.event_type in _PLAYED_FOR and event.player_id in team_of and event.team_id
        if team_of[event.player_id] != event.team_id
    }
    if strangers:
        found.append(f"in the plays {len(strangers)} players play for the other team than in the box score")
    return found


def _completeness(data: GameData) -> Measure:
    """Mean of six checks: last score and summed points for both sides, period starts and ends."""
    game = data.game
    scored = [e for e in data.events if e.home_score is not None and e.away_score is not None]
    last = scored[-1] if scored else None
    points = {
        side.team_id: sum(e.points for e in data.events if e.team_id == side.team_id)
        for side in (game.home, game.away)
    }
    periods = set(range(1, (game.periods or max(e.period for e in data.events)) + 1))
    missing = {edge: sorted(periods - _periods_with(data.events, edge)) for edge in ("start", "end")}
    last_home, last_away = (last.home_score, last.away_score) if last else (None, None)
    checks = [
        _equal("last running score (home)", last_home, game.home_score),
        _equal("last running score (away)", last_away, game.away_score),
        _equal("points summed over events (home)", points[game.home.team_id], game.home_score),
        _equal("points summed over events (away)", points[game.away.team_id], game.away_score),
        "period without a start event: " + ", ".join(map(str, missing["start"])) if missing["start"] else "",
        "period without an end event: " + ", ".join(map(str, missing["end"])) if missing["end"] else "",
    ]
    return _share("completeness", checks)


def _periods_with(events: Iterable[Event], edge: str) -> set[int]:
    return {e.period for e in events if e.event_type == "period" and e.sub_type == edge}


def _equal(what: str, observed: int | None, official: int | None) -> str:
    return "" if observed == official and official is not None else f"{what} {observed} against {official}"


def _share(name: str, checks: list[str]) -> Measure:
    """The share of empty entries among `checks`; the others say what was missed."""
    missed = tuple(c for c in checks if c)
    return Measure(name, 1 - len(missed) / len(checks) if checks else None, missed)


def _box_accuracy(data: GameData) -> Measure:
    if not data.team_lines:
        return Measure("box_accuracy", None)
    derived = _lines_by(data.events, "team")
    names = {t.team_id: t.tricode for t in (data.game.home, data.game.away)}
    return _share(
        "box_accuracy",
        [
            _cell(names.get(team_id, str(team_id)), statistic, derived.get(team_id, StatLine()), official)
            for team_id, official in data.team_lines.items()
            for statistic in STATISTICS
        ],
    )


def _player_consistency(data: GameData) -> Measure:
    if not data.player_lines:
        return Measure("player_consistency", None)
    derived = _lines_by(data.events, "player")
    official = {p.player.player_id: (p.player.display_name, p.stats) for p in data.player_lines}
    # Who did something countable and stands in no box score is as wrong as a number that differs.
    unlisted = {i: (f"person {i}", StatLine()) for i in derived if i not in official and _counts(derived[i])}
    return _share(
        "player_consistency",
        [
            _cell(name, statistic, derived.get(number, StatLine()), line)
            for number, (name, line) in {**official, **unlisted}.items()
            for statistic in _PLAYER_STATISTICS
        ],
    )


def _counts(line: StatLine) -> bool:
    return any(getattr(line, statistic) for statistic in _PLAYER_STATISTICS)


def _cell(who: str, statistic: str, derived: StatLine, official: StatLine) -> str:
    events, box = getattr(derived, statistic), getattr(official, statistic)
    return "" if events == box else f"{who} {statistic} {events} in the events, {box} in the box score"


def _metadata(data: GameData) -> Measure:
    game = data.game
    checks = [
        "" if game.home.team_id else "home team id is 0",
        "" if game.away.team_id else "away team id is 0",
        "" if game.game_date else "no date",
        "" if game.status == "final" else f"status is {game.status}",
        "" if game.home_score is not None and game.away_score is not None else "no final score",
    ]
    if data.arena_carried:
        checks.append("" if game.arena else "no arena")
    return _share("metadata", checks)


def _lines_by(events: Iterable[Event], whose: str) -> dict[int, StatLine]:
    """Statistics summed over events, by `team` or by `player`.

    A team's steals and blocks are those of its own players, so for v2, where they are
    credited on the other side's play, they count for the team that does not own the play.
    """
    lines = _Lines()
    teams = {e.team_id for e in events if e.team_id}
    for event in events:
        owner = event.team_id if whose == "team" else event.player_id
        if owner is None:
            continue
        _count(lines[owner], event)
        for statistic, credited in (
            ("assists", event.assist_player_id),
            ("steals", event.steal_player_id),
            ("blocks", event.block_player_id),
        ):
            if credited is None:
                continue
            if whose == "player":
                receiver: int | None = credited
            elif statistic == "assists":
                receiver = owner
            else:
                receiver = next(iter(teams - {owner}), None)
            if receiver is not None:
                setattr(lines[receiver], statistic, getattr(lines[receiver], statistic) + 1)
    return lines


class _Lines(dict[int, StatLine]):
    def __missing__(self, key: int) -> StatLine:
        line = self[key] = StatLine()
        return line


def _count(line: StatLine, event: Event) -> None:
    made = bool(event.made)
    line.points += event.points
    match event.event_type:
        case "2pt" | "3pt":
            line.fga += 1
            line.fgm += made
            if event.event_type == "3pt":
                line.fg3a += 1
                line.fg3m += made
        case "freethrow":
            line.fta += 1
            line.ftm += made
        case "rebound" if event.player_id:
            line.rebounds += 1
        case "steal":
            line.steals += 1
        case "block":
            line.blocks += 1
