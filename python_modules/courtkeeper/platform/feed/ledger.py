"""Running score, totals and box score, derived from the plays alone.

Everything that a payload says beyond the plays comes from here, so a play that is corrected or
withdrawn stays consistent everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from courtkeeper.platform.feed.plays import (
    AWAY,
    HOME,
    OVERTIME_TENTHS,
    PERIOD_TENTHS,
    REGULATION_PERIODS,
    Game,
    Kind,
    Play,
)


@dataclass(slots=True)
class Line:
    """A player's statistics, or the sum of a team's. `tenths` is time on court in tenths of a second."""

    points: int = 0
    fgm: int = 0
    fga: int = 0
    fg3m: int = 0
    fg3a: int = 0
    ftm: int = 0
    fta: int = 0
    oreb: int = 0
    dreb: int = 0
    assists: int = 0
    steals: int = 0
    blocks: int = 0
    blocks_received: int = 0
    turnovers: int = 0
    fouls: int = 0
    fouls_offensive: int = 0
    fouls_technical: int = 0
    fouls_drawn: int = 0
    tenths: int = 0
    plus: int = 0
    minus: int = 0
    fast_points: int = 0
    fast_made: int = 0
    fast_tried: int = 0
    paint_points: int = 0
    paint_made: int = 0
    paint_tried: int = 0
    second_points: int = 0
    second_made: int = 0
    second_tried: int = 0


@dataclass(slots=True)
class TeamLine:
    """What belongs to a team beyond the sum of its players."""

    total: Line = field(default_factory=Line)
    periods: list[int] = field(default_factory=list)
    team_oreb: int = 0
    team_dreb: int = 0
    team_turnovers: int = 0
    team_technicals: int = 0
    heaves: int = 0
    fouls_counted: int = 0
    period_fouls: int = 0
    turnover_points: int = 0
    bench_points: int = 0
    timeouts: int = 0
    biggest_lead: int = 0
    lead_score: str = ""
    run: int = 0
    run_score: str = ""
    leading_tenths: int = 0

    @property
    def score(self) -> int:
        """Points so far."""
        return self.total.points


class Note(NamedTuple):
    """A play with the score after it and the totals that its description names.

    `total` and `second`: points and assists (shots), offensive and defensive rebounds, personal
    and technical fouls, or the one total of the kind. `team`: fouls of the team in the period, or
    its turnovers.
    """

    play: Play
    home: int
    away: int
    total: int
    second: int
    team: int


class Ledger:
    """The box score of `plays` (all of a game's, or those so far) and a note for each play."""

    def __init__(self, game: Game, plays: Sequence[Play]) -> None:
        self.lines: dict[int, Line] = {
            player.player_id: Line() for squad in game.squads for player in squad.active
        }
        self.teams = (TeamLine(), TeamLine())
        self.court: tuple[list[int], list[int]] = (
            [player.player_id for player in game.squads[HOME].starters],
            [player.player_id for player in game.squads[AWAY].starters],
        )
        self._starters = {player_id for side in self.court for player_id in side}
        self.notes: list[Note] = []
        self.lead_changes = 0
        self.times_tied = 0
        self.period = 0
        self.clock = PERIOD_TENTHS
        self._since = dict.fromkeys(self._starters, 0)
        self._elapsed = 0
        self._before = 0
        self._leader = 0
        self._run: tuple[int, int] = (0, 0)
        for play in plays:
            self._tick(play)
            self.notes.append(self._note(play))
        self._close()

    def _tick(self, play: Play) -> None:
        """Bring the clock forward to `play`; between periods substitutions come before the start."""
        if play.period != self.period:
            self.period = play.period
            self._before += 0 if play.period == 1 else period_tenths(play.period - 1)
            for team in self.teams:
                team.period_fouls = 0
                team.periods.append(0)
        self.clock = play.clock
        elapsed = self._before + period_tenths(play.period) - play.clock
        lead = self.teams[HOME].score - self.teams[AWAY].score
        if lead:
            self.teams[HOME if lead > 0 else AWAY].leading_tenths += elapsed - self._elapsed
        self._elapsed = elapsed

    def _note(self, play: Play) -> Note:
        count = second = team = 0
        kind = play.kind
        if kind is Kind.SHOT:
            count, second = self._shot(play)
        elif kind is Kind.FREE_THROW:
            count = self._free_throw(play)
        elif kind is Kind.REBOUND:
            count, second = self._rebound(play)
        elif kind is Kind.FOUL:
            count, second, team = self._foul(play)
        elif kind is Kind.TURNOVER:
            count, team = self._turnover(play)
        else:
            count = self._other(play)
        return Note(play, self.teams[HOME].score, self.teams[AWAY].score, count, second, team)

    def _both(self, play: Play) -> tuple[Line, Line]:
        return self.lines[play.player], self.teams[play.side].total

    def _shot(self, play: Play) -> tuple[int, int]:
        made, three = play.made, play.value == 3
        for line in self._both(play):
            line.fga += 1
            line.fgm += made
            line.fg3a += three
            line.fg3m += made and three
            line.blocks_received += play.third != 0
            _count_flags(line, play)
        if "fromturnover" in play.flags:
            self.teams[play.side].turnover_points += play.points
        assists = 0
        if made:
            self._score(play)
            if play.other:
                for line in (self.lines[play.other], self.teams[play.side].total):
                    line.assists += 1
                assists = self.lines[play.other].assists
        return self.lines[play.player].points, assists

    def _free_throw(self, play: Play) -> int:
        for line in self._both(play):
            line.fta += 1
            line.ftm += play.made
        if play.made:
            self._score(play)
        return self.lines[play.player].points

    def _score(self, play: Play) -> None:
        side, points = play.side, play.points
        team = self.teams[side]
        for line in self._both(play):
            line.points += points
        team.periods[-1] += points
        if play.player not in self._starters:
            team.bench_points += points
        for player_id in self.court[side]:
            self.lines[player_id].plus += points
        for player_id in self.court[1 - side]:
            self.lines[player_id].minus += points
        self._follow_lead(side, points)

    def _follow_lead(self, side: int, points: int) -> None:
        home, away = self.teams[HOME].score, self.teams[AWAY].score
        score = f"{away}-{home}"
        leader = (home > away) - (home < away)
        if leader == 0:
            self.times_tied += 1
        elif self._leader and leader != self._leader:
            self.lead_changes += 1
        self._leader = leader or self._leader
        team = self.teams[side]
        lead = home - away if side == HOME else away - home
        if lead > team.biggest_lead:
            team.biggest_lead, team.lead_score = lead, score
        self._run = (side, points + (self._run[1] if self._run[0] == side else 0))
        if self._run[1] > team.run:
            team.run, team.run_score = self._run[1], score

    def _rebound(self, play: Play) -> tuple[int, int]:
        team = self.teams[play.side]
        if not play.player:
            team.team_oreb += play.offensive
            team.team_dreb += not play.offensive
            return 0, 0
        for line in self._both(play):
            line.oreb += play.offensive
            line.dreb += not play.offensive
        return self.lines[play.player].oreb, self.lines[play.player].dreb

    def _foul(self, play: Play) -> tuple[int, int, int]:
        team = self.teams[play.side]
        if play.detail == "technical":
            return self._technical(play, team)
        offensive = play.detail == "offensive"
        for line in self._both(play):
            line.fouls += 1
            line.fouls_offensive += offensive
        team.fouls_counted += not offensive
        team.period_fouls += not offensive
        if play.other:
            for line in (self.lines[play.other], self.teams[1 - play.side].total):
                line.fouls_drawn += 1
        line = self.lines[play.player]
        return line.fouls, line.fouls_technical, team.period_fouls

    def _technical(self, play: Play, team: TeamLine) -> tuple[int, int, int]:
        if not play.player:
            team.team_technicals += 1
            return 0, team.team_technicals, team.period_fouls
        for line in self._both(play):
            line.fouls_technical += 1
        line = self.lines[play.player]
        return line.fouls, line.fouls_technical, team.period_fouls

    def _turnover(self, play: Play) -> tuple[int, int]:
        team = self.teams[play.side]
        if not play.player:
            team.team_turnovers += 1
        else:
            for line in self._both(play):
                line.turnovers += 1
        count = self.lines[play.player].turnovers if play.player else 0
        return count, team.total.turnovers + team.team_turnovers

    def _other(self, play: Play) -> int:
        kind = play.kind
        if kind in (Kind.STEAL, Kind.BLOCK):
            name = "steals" if kind is Kind.STEAL else "blocks"
            for line in self._both(play):
                setattr(line, name, getattr(line, name) + 1)
            return int(getattr(self.lines[play.player], name))
        if kind is Kind.TIMEOUT:
            self.teams[play.side].timeouts += 1
            return self.teams[play.side].timeouts
        if kind is Kind.HEAVE:
            self.teams[play.side].heaves += 1
        elif kind is Kind.SUB_OUT:
            self.court[play.side].remove(play.player)
            self.lines[play.player].tenths += self._elapsed - self._since.pop(play.player)
        elif kind is Kind.SUB_IN:
            self.court[play.side].append(play.player)
            self._since[play.player] = self._elapsed
        return 0

    def _close(self) -> None:
        """Credit those on court with their time, and each team with the sum of its players'."""
        for player_id, since in self._since.items():
            self.lines[player_id].tenths += self._elapsed - since
        for team in self.teams:
            team.total.tenths = 5 * self._elapsed


def _count_flags(line: Line, play: Play) -> None:
    made, points = play.made, play.points
    for flag in play.flags:
        if flag == "pointsinthepaint":
            line.paint_tried += 1
            line.paint_made += made
            line.paint_points += points
        elif flag == "fastbreak":
            line.fast_tried += 1
            line.fast_made += made
            line.fast_points += points
        elif flag == "2ndchance":
            line.second_tried += 1
            line.second_made += made
            line.second_points += points


def period_tenths(period: int) -> int:
    """Return how long a period lasts, in tenths of a second."""
    return PERIOD_TENTHS if period <= REGULATION_PERIODS else OVERTIME_TENTHS
