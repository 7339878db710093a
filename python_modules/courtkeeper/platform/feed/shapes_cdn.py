"""Payloads as cdn.nba.com writes them: the same keys, the same order of things, the same oddities.

`meta.source` is "simulated" in every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import hypot
from typing import Any
from zoneinfo import ZoneInfo

from courtkeeper.platform.feed.league import EASTERN, Fixture, Player, Team
from courtkeeper.platform.feed.ledger import Ledger, Line, Note, TeamLine
from courtkeeper.platform.feed.plays import (
    AWAY,
    FOULS,
    HOME,
    NEITHER,
    REGULATION_PERIODS,
    SHOT_STYLES,
    TURNOVERS,
    Game,
    Kind,
    Play,
    Squad,
)

Payload = dict[str, Any]

# The court in percent, from tenths of a foot: 94 by 50 feet, the basket 5.25 feet from the end line.
_FEET_TO_X = 100 / 940
_FEET_TO_Y = 100 / 500
_BASKET_X = 5.25 / 94 * 100
# A distance is named only from this many feet on, as in the real descriptions.
_NAMED_DISTANCE_FT = 5.5
_CORNER_Y = 89


def meta(request: str, moment: datetime) -> Payload:
    """Return the `meta` block; `moment` is when its content was last true."""
    return {
        "version": 1,
        "code": 200,
        "request": f"http://nba.cloud/{request}?Format=json",
        "time": moment.astimezone(EASTERN).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "source": "simulated",
    }


def clock_text(tenths: int) -> str:
    """Return tenths of a second as `PT11M42.00S`."""
    return f"PT{tenths // 600:02d}M{tenths % 600 // 10:02d}.{tenths % 10}0S"


def period_type(period: int) -> str:
    """Return the name of a period's type."""
    return "REGULAR" if period <= REGULATION_PERIODS else "OVERTIME"


def utc_text(moment: datetime) -> str:
    """Return `2026-02-12T00:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_text(fixture: Fixture, status: int, ledger: Ledger | None) -> str:
    """Return the words of a game's status: its tip-off, its clock, or Final with its overtimes."""
    if status == 1 or ledger is None:
        local = fixture.tip_off.astimezone(EASTERN)
        return f"{local.hour % 12 or 12}:{local.minute:02d} {'am' if local.hour < 12 else 'pm'} ET"
    overtimes = max(0, ledger.period - REGULATION_PERIODS)
    if status == 3:
        return "Final" + ("" if not overtimes else "/OT" if overtimes == 1 else f"/OT{overtimes}")
    name = f"OT{overtimes}" if overtimes else f"Q{ledger.period}"
    return f"{name} {ledger.clock // 600}:{ledger.clock % 600 // 10:02d}"


# Play-by-play


def playbyplay(game: Game, ledger: Ledger, moment: datetime) -> Payload:
    """Return `playbyplay_ID.json` for the plays of `ledger`."""
    writer = _Actions(game)
    return {
        "meta": meta(f"games/{game.fixture.game_id}/playbyplay", moment),
        "game": {
            "gameId": game.fixture.game_id,
            "actions": [writer.action(note) for note in ledger.notes],
        },
    }


class _Actions:
    """Writes the actions of one game in turn."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._teams = (game.squads[HOME].team, game.squads[AWAY].team)
        self._players = {p.player_id: p for squad in game.squads for p in squad.active}
        self._last_shot: Play | None = None

    def action(self, note: Note) -> Payload:
        """Return the action of one play."""
        play = note.play
        qualifiers = list(play.flags)
        action = self._common(note)
        action["qualifiers"] = qualifiers
        action.update(_WRITERS[play.kind](self, note, qualifiers))
        player = self._players.get(play.player)
        if player:
            action["playerName"], action["playerNameI"] = player.family_name, player.name_i
        people = [play.player, *action.pop("_others", ())]
        action["personIdsFilter"] = [person for person in people if person]
        if play.kind in (Kind.SHOT, Kind.HEAVE, Kind.FREE_THROW):
            self._last_shot = play
        return action

    def _common(self, note: Note) -> Payload:
        """Return what every action has, whatever its kind."""
        play = note.play
        actual = self._game.tip_off + timedelta(seconds=play.wall_s)
        # Some entries are touched up within seconds, as the real ones are.
        edited = actual + timedelta(seconds=play.number % 10)
        ends = play.kind is Kind.GAME_END or (play.kind is Kind.PERIOD_START and play.period == 1)
        holder = NEITHER if ends else play.possession
        common: Payload = {
            "actionNumber": play.number,
            "clock": clock_text(play.clock),
            "timeActual": f"{actual.isoformat()[:19]}.{actual.microsecond // 100_000}Z",
            "period": play.period,
            "periodType": period_type(play.period),
            "personId": play.player,
            "x": None,
            "y": None,
            "side": None,
            "possession": 0 if holder == NEITHER else self._teams[holder].team_id,
            "scoreHome": str(note.home),
            "scoreAway": str(note.away),
            "edited": f"{edited.isoformat()[:19]}Z",
            "orderNumber": play.order,
            "isTargetScoreLastPeriod": False,
            "xLegacy": None,
            "yLegacy": None,
            "isFieldGoal": 1 if play.kind is Kind.SHOT else 0,
        }
        if play.side != NEITHER:
            team = self._teams[play.side]
            common["teamId"], common["teamTricode"] = team.team_id, team.tricode
        if play.official:
            common["officialId"] = play.official
        return common

    def _name(self, player_id: int) -> str:
        return self._players[player_id].name_i

    # One writer a kind of play

    def period_start(self, _: Note, __: list[str]) -> Payload:
        return {"actionType": "period", "subType": "start", "description": "Period Start"}

    def period_end(self, _: Note, __: list[str]) -> Payload:
        return {"actionType": "period", "subType": "end", "description": "Period End"}

    def game_end(self, _: Note, __: list[str]) -> Payload:
        return {"actionType": "game", "subType": "end", "description": "Game End"}

    def jump_ball(self, note: Note, _: list[str]) -> Payload:
        play = note.play
        won, lost, gainer = (self._players[each] for each in (play.third, play.other, play.player))
        return {
            "actionType": "jumpball",
            "subType": "recovered",
            "descriptor": play.detail,
            "jumpBallRecoveredName": gainer.name_i,
            "jumpBallRecoverdPersonId": gainer.player_id,
            "jumpBallWonPlayerName": won.family_name,
            "jumpBallWonPersonId": won.player_id,
            "description": f"Jump Ball {won.name_i} vs. {lost.name_i}: Tip to {gainer.name_i}",
            "jumpBallLostPlayerName": lost.family_name,
            "jumpBallLostPersonId": lost.player_id,
            "_others": [won.player_id, lost.player_id],
        }

    def shot(self, note: Note, _: list[str]) -> Payload:
        play = note.play
        style = SHOT_STYLES[play.detail]
        body: Payload = {"actionType": f"{play.value}pt", "subType": style.cdn}
        if style.descriptor:
            body["descriptor"] = style.descriptor
        body.update(self._where(play))
        body["shotResult"] = "Made" if play.made else "Missed"
        if play.made:
            body["pointsTotal"] = note.total
        body["description"] = self._shot_text(note)
        body["_others"] = [play.other if play.made else play.third]
        if play.made and play.other:
            body["assistPlayerNameInitial"] = self._name(play.other)
            body["assistPersonId"], body["assistTotal"] = play.other, note.second
        if not play.made and play.third:
            body["blockPlayerName"] = self._players[play.third].family_name
            body["blockPersonId"] = play.third
        return body

    def _where(self, play: Play) -> Payload:
        """Return position, area and distance; the sides change ends at half time."""
        right = (play.side == HOME) == (play.period <= 2)
        x = _BASKET_X + play.y * _FEET_TO_X
        y = 50 - play.x * _FEET_TO_Y
        return {
            "x": 100 - x if right else x,
            "y": 100 - y if right else y,
            **area(play),
            "side": "right" if right else "left",
            "shotDistance": round(hypot(play.x, play.y) / 10, 2),
            "xLegacy": play.x,
            "yLegacy": play.y,
        }

    def _shot_text(self, note: Note) -> str:
        play = note.play
        style = SHOT_STYLES[play.detail]
        name, distance = self._name(play.player), distance_text(play)
        if play.value == 3:
            words = f"3PT {style.descriptor}" if play.made else f"{style.descriptor} 3PT".strip()
        elif style.cdn == "Jump Shot" and not play.made and style.descriptor:
            words = f"{style.descriptor} Shot"
        else:
            words = f"{style.descriptor} {style.cdn}".strip()
        text = f"{name} {distance}{words}"
        if not play.made:
            return f"MISS {text}" + (" - blocked" if play.third else "")
        assist = f" ({self._name(play.other)} {note.second} AST)" if play.other else ""
        return f"{text} ({note.total} PTS){assist}"

    def block(self, note: Note, _: list[str]) -> Payload:
        text = f"{self._name(note.play.player)} BLOCK ({note.total} BLK)"
        return {"actionType": "block", "subType": "", **self._last_area(), "description": text}

    def steal(self, note: Note, _: list[str]) -> Payload:
        text = f"{self._name(note.play.player)} STEAL ({note.total} STL)"
        return {"actionType": "steal", "subType": "", **self._last_area(), "description": text}

    def _last_area(self) -> Payload:
        if self._last_shot is None or self._last_shot.kind is Kind.FREE_THROW:
            return {"area": "Mid-Range", "areaDetail": "8-16 Center"}
        return area(self._last_shot)

    def free_throw(self, note: Note, _: list[str]) -> Payload:
        play = note.play
        technical = "technical " if play.detail == "technical" else ""
        text = f"{self._name(play.player)} {technical}Free Throw {play.attempt} of {play.of}"
        body: Payload = {"actionType": "freethrow", "subType": f"{play.attempt} of {play.of}"}
        if technical:
            body["descriptor"] = "technical"
        body["shotResult"] = "Made" if play.made else "Missed"
        if play.made:
            body["pointsTotal"] = note.total
        body["description"] = f"{text} ({note.total} PTS)" if play.made else f"MISS {text}"
        return body

    def rebound(self, note: Note, qualifiers: list[str]) -> Payload:
        play = note.play
        kind = "offensive" if play.offensive else "defensive"
        body: Payload = {"actionType": "rebound", "subType": kind}
        if self._last_shot and self._last_shot.kind is not Kind.FREE_THROW:
            body.update(area(self._last_shot))
        body["shotActionNumber"] = self._last_shot.number if self._last_shot else 0
        if not play.player:
            if "team" not in qualifiers:
                qualifiers.append("team")
            body["description"] = f"TEAM {kind} REBOUND"
            return body
        body["reboundTotal"] = note.total + note.second
        body["reboundDefensiveTotal"], body["reboundOffensiveTotal"] = note.second, note.total
        body["description"] = f"{self._name(play.player)} REBOUND (Off:{note.total} Def:{note.second})"
        return body

    def turnover(self, note: Note, qualifiers: list[str]) -> Payload:
        play = note.play
        kind, descriptor, _, _ = TURNOVERS[play.detail]
        body: Payload = {"actionType": "turnover", "subType": kind}
        if descriptor:
            body["descriptor"] = descriptor
        body.update(self._last_area())
        words = f"{descriptor} {kind}".strip()
        if not play.player:
            qualifiers.append("team")
            team = self._teams[play.side]
            body["description"] = f"{team.tricode} {words} Team TURNOVER"
            return body
        body["turnoverTotal"] = note.total
        body["description"] = f"{self._name(play.player)} {words} TURNOVER ({note.total} TO)"
        body["_others"] = [play.third]
        if play.third:
            body["stealPlayerName"] = self._players[play.third].family_name
            body["stealPersonId"] = play.third
        return body

    def foul(self, note: Note, qualifiers: list[str]) -> Payload:
        play = note.play
        kind, descriptor, _, _ = FOULS[play.detail]
        body: Payload = {"actionType": "foul", "subType": kind}
        if descriptor:
            body["descriptor"] = descriptor
        if play.penalty:
            qualifiers.append("inpenalty")
        if play.of:
            qualifiers.append(f"{play.of}freethrow")
        who = self._name(play.player) if play.player else "TEAM"
        body["foulPersonalTotal"], body["foulTechnicalTotal"] = note.total, note.second
        if play.detail == "technical":
            body["description"] = f"{who} technical FOUL ({note.second} Tech)"
            return body
        shots = f" ({self._players[play.other].family_name} {play.of} FT)" if play.of and play.other else ""
        body["description"] = f"{who} {f'{descriptor} {kind}'.strip()} FOUL ({note.total} PF){shots}"
        body["_others"] = [play.other]
        if play.other:
            body["foulDrawnPlayerName"] = self._players[play.other].family_name
            body["foulDrawnPersonId"] = play.other
        return body

    def violation(self, note: Note, qualifiers: list[str]) -> Payload:
        play = note.play
        who = self._name(play.player) if play.player else "TEAM"
        if not play.player:
            qualifiers.append("team")
        return {
            "actionType": "violation",
            "subType": play.detail,
            "description": f"{who} {play.detail} VIOLATION",
        }

    def sub_out(self, note: Note, _: list[str]) -> Payload:
        text = f"SUB out: {self._name(note.play.player)}"
        return {"actionType": "substitution", "subType": "out", "description": text}

    def sub_in(self, note: Note, _: list[str]) -> Payload:
        text = f"SUB in: {self._name(note.play.player)}"
        return {"actionType": "substitution", "subType": "in", "description": text}

    def timeout(self, note: Note, _: list[str]) -> Payload:
        team = self._teams[note.play.side]
        return {
            "actionType": "timeout",
            "subType": note.play.detail,
            "description": f"{team.tricode} Timeout",
        }

    def heave(self, note: Note, _: list[str]) -> Payload:
        team = self._teams[note.play.side]
        return {
            "actionType": "heave",
            "subType": "",
            **area(note.play),
            "shotDistance": round(hypot(note.play.x, note.play.y) / 10, 2),
            "description": f"{team.tricode} Heave",
        }


_WRITERS = {
    Kind.PERIOD_START: _Actions.period_start,
    Kind.PERIOD_END: _Actions.period_end,
    Kind.GAME_END: _Actions.game_end,
    Kind.JUMP_BALL: _Actions.jump_ball,
    Kind.SHOT: _Actions.shot,
    Kind.BLOCK: _Actions.block,
    Kind.FREE_THROW: _Actions.free_throw,
    Kind.REBOUND: _Actions.rebound,
    Kind.TURNOVER: _Actions.turnover,
    Kind.STEAL: _Actions.steal,
    Kind.FOUL: _Actions.foul,
    Kind.VIOLATION: _Actions.violation,
    Kind.SUB_OUT: _Actions.sub_out,
    Kind.SUB_IN: _Actions.sub_in,
    Kind.TIMEOUT: _Actions.timeout,
    Kind.HEAVE: _Actions.heave,
}


def distance_text(play: Play) -> str:
    """Return `26' `, or nothing for a corner three or a shot at the rim, as the league does."""
    feet = hypot(play.x, play.y) / 10
    corner = play.value == 3 and play.y < _CORNER_Y
    return "" if corner or feet < _NAMED_DISTANCE_FT else f"{round(feet)}' "


def area(play: Play) -> Payload:
    """Return `area` and `areaDetail` of a shot's spot."""
    feet = hypot(play.x, play.y) / 10
    band = "0-8" if feet < 8 else "8-16" if feet < 16 else "16-24" if feet < 22 and play.value != 3 else "24+"
    return {"area": _area_name(play, feet), "areaDetail": f"{band} {_sector(play, band)}"}


def _area_name(play: Play, feet: float) -> str:
    if play.value == 3 or play.kind is Kind.HEAVE:
        if play.y < _CORNER_Y:
            return "Left Corner 3" if play.x < 0 else "Right Corner 3"
        return "Above the Break 3"
    if feet < 4:
        return "Restricted Area"
    return "In The Paint (Non-RA)" if abs(play.x) <= 80 and play.y <= 137 else "Mid-Range"


def _sector(play: Play, band: str) -> str:
    if band == "0-8" or abs(play.x) < 0.2 * abs(play.y):
        return "Center"
    hand = "Left" if play.x < 0 else "Right"
    return f"{hand} Center" if band in {"16-24", "24+"} and abs(play.x) < play.y else hand


# Box score


def boxscore(game: Game, ledger: Ledger, status: int, moment: datetime) -> Payload:
    """Return `boxscore_ID.json` for the plays of `ledger`."""
    fixture, home = game.fixture, game.squads[HOME].team
    local = fixture.tip_off.astimezone(ZoneInfo(home.zone)).isoformat()
    away_time = fixture.tip_off.astimezone(ZoneInfo(game.squads[AWAY].team.zone)).isoformat()
    return {
        "meta": meta(f"games/{fixture.game_id}/boxscore", moment),
        "game": {
            "gameId": fixture.game_id,
            "gameTimeLocal": local,
            "gameTimeUTC": utc_text(fixture.tip_off),
            "gameTimeHome": local,
            "gameTimeAway": away_time,
            "gameEt": fixture.tip_off.astimezone(EASTERN).isoformat(),
            "duration": round(ledger.notes[-1].play.wall_s / 60) if ledger.notes else 0,
            "gameCode": game_code(game.squads[AWAY].team, home, fixture),
            "gameStatusText": status_text(fixture, status, ledger),
            "gameStatus": status,
            "regulationPeriods": REGULATION_PERIODS,
            "period": ledger.period,
            "gameClock": clock_text(0 if status == 3 else ledger.clock),
            "attendance": game.attendance,
            "sellout": "1" if game.attendance > 19_000 else "0",
            "arena": arena(home),
            "officials": [
                {
                    "personId": each.person_id,
                    "name": f"{each.first_name} {each.family_name}",
                    "nameI": f"{each.first_name[0]}. {each.family_name}",
                    "firstName": each.first_name,
                    "familyName": each.family_name,
                    "jerseyNum": each.jersey,
                    "assignment": f"OFFICIAL{number}",
                }
                for number, each in enumerate(game.officials, start=1)
            ],
            "homeTeam": _box_team(game, ledger, HOME),
            "awayTeam": _box_team(game, ledger, AWAY),
        },
    }


def arena(team: Team) -> Payload:
    """Return a team's home arena."""
    return {
        "arenaId": team.team_id - 1610612700,
        "arenaName": team.arena,
        "arenaCity": team.arena_city,
        "arenaState": team.arena_state,
        "arenaCountry": "CA" if team.arena_state == "ON" else "US",
        "arenaTimezone": team.zone,
    }


def game_code(away: Team, home: Team, fixture: Fixture) -> str:
    """Return for example `20260211/ATLCHA`."""
    return f"{fixture.day:%Y%m%d}/{away.tricode}{home.tricode}"


def _box_team(game: Game, ledger: Ledger, side: int) -> Payload:
    squad, line = game.squads[side], ledger.teams[side]
    return {
        "teamId": squad.team.team_id,
        "teamName": squad.team.name,
        "teamCity": squad.team.city,
        "teamTricode": squad.team.tricode,
        "score": line.score,
        "inBonus": "1" if ledger.teams[1 - side].period_fouls >= 5 else "0",
        "timeoutsRemaining": max(0, 7 - line.timeouts),
        "periods": periods(line),
        "players": _box_players(squad, ledger, side),
        "statistics": _team_statistics(ledger, side),
    }


def periods(line: TeamLine) -> list[Payload]:
    """Return a team's points by period."""
    return [
        {"period": number, "periodType": period_type(number), "score": score}
        for number, score in enumerate(line.periods, start=1)
    ]


def _box_players(squad: Squad, ledger: Ledger, side: int) -> list[Payload]:
    starters = {player.player_id for player in squad.starters}
    # The starters first, then the bench: those who played before those who did not.
    bench = sorted(squad.active[5:], key=lambda each: not ledger.lines[each.player_id].tenths)
    rows: list[Payload] = []
    for player in [*squad.starters, *bench]:
        line = ledger.lines[player.player_id]
        started = player.player_id in starters
        row: Payload = {
            "status": "ACTIVE",
            "order": len(rows) + 1,
            "personId": player.player_id,
            "jerseyNum": player.jersey,
        }
        if started:
            row["position"] = player.position
        row["starter"] = "1" if started else "0"
        row["oncourt"] = "1" if player.player_id in ledger.court[side] else "0"
        row["played"] = "1" if line.tenths else "0"
        rows.append({**row, "statistics": _player_statistics(line), **_names(player)})
    for player, reason, words in squad.inactive:
        row = {"status": "INACTIVE", "notPlayingReason": reason}
        if words:
            row["notPlayingDescription"] = words
        row |= {"order": len(rows) + 1, "personId": player.player_id, "jerseyNum": player.jersey}
        row |= {"starter": "0", "oncourt": "0", "played": "0"}
        rows.append({**row, "statistics": _player_statistics(Line()), **_names(player)})
    return rows


def _names(player: Player) -> Payload:
    return {
        "name": player.name,
        "nameI": player.name_i,
        "firstName": player.first_name,
        "familyName": player.family_name,
    }


def ratio(part: float, whole: float) -> float:
    """Return a share, 0 where there was nothing."""
    return part / whole if whole else 0.0


def _player_statistics(line: Line) -> Payload:
    twos_tried, twos_made = line.fga - line.fg3a, line.fgm - line.fg3m
    return {
        "assists": line.assists,
        "blocks": line.blocks,
        "blocksReceived": line.blocks_received,
        "fieldGoalsAttempted": line.fga,
        "fieldGoalsMade": line.fgm,
        "fieldGoalsPercentage": ratio(line.fgm, line.fga),
        "foulsOffensive": line.fouls_offensive,
        "foulsDrawn": line.fouls_drawn,
        "foulsPersonal": line.fouls,
        "foulsTechnical": line.fouls_technical,
        "freeThrowsAttempted": line.fta,
        "freeThrowsMade": line.ftm,
        "freeThrowsPercentage": ratio(line.ftm, line.fta),
        "minus": float(line.minus),
        "minutes": clock_text(line.tenths),
        "minutesCalculated": f"PT{(line.tenths + 300) // 600:02d}M",
        "plus": float(line.plus),
        "plusMinusPoints": float(line.plus - line.minus),
        "points": line.points,
        "pointsFastBreak": line.fast_points,
        "pointsInThePaint": line.paint_points,
        "pointsSecondChance": line.second_points,
        "reboundsDefensive": line.dreb,
        "reboundsOffensive": line.oreb,
        "reboundsTotal": line.oreb + line.dreb,
        "steals": line.steals,
        "threePointersAttempted": line.fg3a,
        "threePointersMade": line.fg3m,
        "threePointersPercentage": ratio(line.fg3m, line.fg3a),
        "turnovers": line.turnovers,
        "twoPointersAttempted": twos_tried,
        "twoPointersMade": twos_made,
        "twoPointersPercentage": ratio(twos_made, twos_tried),
    }


def _team_statistics(ledger: Ledger, side: int) -> Payload:
    team = ledger.teams[side]
    total = team.total
    statistics = _player_statistics(total)
    for key in ("minus", "plus", "plusMinusPoints"):
        del statistics[key]
    shots = total.fga + 0.44 * total.fta  # true shooting attempts, the league's own definition
    rebounds_team = team.team_oreb + team.team_dreb
    statistics |= {
        "assistsTurnoverRatio": ratio(total.assists, total.turnovers),
        "benchPoints": team.bench_points,
        "biggestLead": team.biggest_lead,
        "biggestLeadScore": team.lead_score,
        "biggestScoringRun": team.run,
        "biggestScoringRunScore": team.run_score,
        "fastBreakPointsAttempted": total.fast_tried,
        "fastBreakPointsMade": total.fast_made,
        "fastBreakPointsPercentage": ratio(total.fast_made, total.fast_tried),
        "fieldGoalsEffectiveAdjusted": ratio(total.fgm + 0.5 * total.fg3m, total.fga),
        "foulsTeam": team.fouls_counted,
        "foulsTeamTechnical": team.team_technicals,
        "leadChanges": ledger.lead_changes,
        "minutesCalculated": f"PT{total.tenths // 600}M",
        "pointsAgainst": ledger.teams[1 - side].score,
        "pointsFromTurnovers": team.turnover_points,
        "pointsInThePaintAttempted": total.paint_tried,
        "pointsInThePaintMade": total.paint_made,
        "pointsInThePaintPercentage": ratio(total.paint_made, total.paint_tried),
        "reboundsPersonal": total.oreb + total.dreb,
        "reboundsTeam": rebounds_team,
        "reboundsTeamDefensive": team.team_dreb,
        "reboundsTeamOffensive": team.team_oreb,
        # As in the real box score the total counts the team's rebounds too.
        "reboundsTotal": total.oreb + total.dreb + rebounds_team,
        "secondChancePointsAttempted": total.second_tried,
        "secondChancePointsMade": total.second_made,
        "secondChancePointsPercentage": ratio(total.second_made, total.second_tried),
        "teamFieldGoalAttempts": team.heaves,
        "timeLeading": clock_text(team.leading_tenths),
        "timesTied": ledger.times_tied,
        "trueShootingAttempts": shots,
        "trueShootingPercentage": ratio(total.points, 2 * shots),
        "turnoversTeam": team.team_turnovers,
        "turnoversTotal": total.turnovers + team.team_turnovers,
    }
    if not team.biggest_lead:
        del statistics["biggestLeadScore"]
    return dict(sorted(statistics.items()))


# Scoreboard


def leaders(squad: Squad, ledger: Ledger) -> Payload:
    """Return a team's first scorer with his rebounds and assists."""
    best = max(squad.active, key=lambda each: (ledger.lines[each.player_id].points, -each.player_id))
    line = ledger.lines[best.player_id]
    return {
        "personId": best.player_id,
        "name": best.name,
        "jerseyNum": best.jersey,
        "position": best.position[-1],
        "teamTricode": squad.team.tricode,
        "playerSlug": None,
        "points": line.points,
        "rebounds": line.oreb + line.dreb,
        "assists": line.assists,
    }


NO_LEADER: Payload = {
    "personId": 0, "name": "", "jerseyNum": "", "position": "", "teamTricode": "", "playerSlug": None,
    "points": 0, "rebounds": 0, "assists": 0,
}  # fmt: skip


def scoreboard(day: str, games: Sequence[Payload], moment: datetime) -> Payload:
    """Return `todaysScoreboard_00.json` of a day with games from `scoreboard_game`."""
    return {
        "meta": meta("liveData/scoreboard/todaysScoreboard_00.json", moment),
        "scoreboard": {
            "gameDate": day,
            "leagueId": "00",
            "leagueName": "National Basketball Association",
            "games": list(games),
        },
    }


def scoreboard_game(
    fixture: Fixture, teams: tuple[Team, Team], status: int, played: tuple[Game, Ledger] | None
) -> Payload:
    """Return one game of the scoreboard; `played` is None before the game."""
    ledger = played[1] if played else None
    return {
        "gameId": fixture.game_id,
        "gameCode": game_code(teams[AWAY], teams[HOME], fixture),
        "gameStatus": status,
        "gameStatusText": status_text(fixture, status, ledger),
        "period": ledger.period if ledger else 0,
        "gameClock": clock_text(ledger.clock) if ledger and status == 2 else "",
        "gameTimeUTC": utc_text(fixture.tip_off),
        # The real file writes Eastern time with a Z.
        "gameEt": fixture.tip_off.astimezone(EASTERN).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "regulationPeriods": REGULATION_PERIODS,
        "ifNecessary": False,
        "seriesGameNumber": "",
        "gameLabel": "",
        "gameSubLabel": "",
        "seriesText": "",
        "seriesConference": "",
        "poRoundDesc": "",
        "gameSubtype": "",
        "isNeutral": False,
        "homeTeam": _scoreboard_team(teams[HOME], ledger, HOME),
        "awayTeam": _scoreboard_team(teams[AWAY], ledger, AWAY),
        "gameLeaders": {
            "homeLeaders": leaders(played[0].squads[HOME], played[1]) if played else dict(NO_LEADER),
            "awayLeaders": leaders(played[0].squads[AWAY], played[1]) if played else dict(NO_LEADER),
        },
        "pbOdds": {"team": None, "odds": 0.0, "suspended": 0},
    }


def _scoreboard_team(team: Team, ledger: Ledger | None, side: int) -> Payload:
    line = ledger.teams[side] if ledger else TeamLine()
    return {
        "teamId": team.team_id,
        "teamName": team.name,
        "teamCity": team.city,
        "teamTricode": team.tricode,
        # The simulated league keeps no standings.
        "wins": 0,
        "losses": 0,
        "score": line.score,
        "seed": None,
        "inBonus": None,
        "timeoutsRemaining": max(0, 7 - line.timeouts),
        "periods": periods(line)
        or [{"period": number, "periodType": "REGULAR", "score": 0} for number in range(1, 5)],
    }
