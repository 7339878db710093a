"""Payloads as stats.nba.com writes them (v3), from the same ledger as the cdn's.

Its own oddities are kept: steals and blocks are rows of their own under the `actionNumber` of the
turnover or shot they belong to, an assist stands only in the description, scores are written
only where they change and at the ends of periods, substitutions between periods are not listed,
a team's own events carry its id as `personId`. Heaves have no row here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from math import hypot
from typing import Any

from courtkeeper.platform.feed.league import (
    EASTERN,
    TEAMS,
    Fixture,
    Player,
    Team,
    season_name,
    season_of,
    season_start,
)
from courtkeeper.platform.feed.ledger import Ledger, Line, Note
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
    Official,
    Play,
    Squad,
)
from courtkeeper.platform.feed.shapes_cdn import (
    NO_LEADER,
    arena,
    clock_text,
    distance_text,
    game_code,
    leaders,
    periods,
    ratio,
    scoreboard_game,
    status_text,
    utc_text,
)

Payload = dict[str, Any]
_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th")
_MEETINGS: tuple[str, ...] = (
    "nationalTvBroadcasters", "nationalRadioBroadcasters", "nationalOttBroadcasters", "homeTvBroadcasters",
    "homeRadioBroadcasters", "homeOttBroadcasters", "awayTvBroadcasters", "awayRadioBroadcasters",
    "awayOttBroadcasters", "intlRadioBroadcasters", "intlTvBroadcasters", "intlOttBroadcasters",
)  # fmt: skip


def meta(request: str, moment: datetime) -> Payload:
    """Return the `meta` block; `moment` is when its content was last true."""
    return {
        "version": 1,
        "request": f"http://nba.cloud/{request}?Format=json",
        "time": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "source": "simulated",
    }


def plain(name: str) -> str:
    """Return a name as v3 descriptions write it: without accents."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def slug(player: Player) -> str:
    """Return for example `tavi-kestrelwick`."""
    return plain(player.name).lower().replace(" ", "-").replace(".", "")


# Play-by-play


def playbyplay(game: Game, ledger: Ledger, moment: datetime) -> Payload:
    """Return `playbyplayv3` for the plays of `ledger`, empty before the game."""
    writer = _Rows(game)
    rows = [row for note in ledger.notes for row in writer.rows(note)]
    for number, row in enumerate(rows, start=1):
        row["actionId"] = number
    return {
        "meta": meta(f"games/{game.fixture.game_id}/playbyplay", moment),
        "game": {"gameId": game.fixture.game_id, "videoAvailable": 0, "actions": rows},
    }


class _Rows:
    """Writes the rows of one game in turn."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._players = {p.player_id: p for squad in game.squads for p in squad.active}
        self._surnames = {player_id: plain(player.family_name) for player_id, player in self._players.items()}
        self._officials = {each.person_id: f" ({_official(each)})" for each in game.officials}
        self._open = False
        self._number = 0

    def rows(self, note: Note) -> Iterable[Payload]:
        """Return the row of one play, or none where v3 lists none."""
        play = note.play
        if play.kind is Kind.PERIOD_START:
            self._open = True
        if play.kind in _WRITERS and (play.kind is not Kind.SUB_OUT or self._open):
            yield self._row(note)
        if play.kind is Kind.PERIOD_END:
            self._open = False

    def _row(self, note: Note) -> Payload:
        play = note.play
        if play.kind not in (Kind.STEAL, Kind.BLOCK):
            self._number = play.number
        row = {**self._blank(note), **_WRITERS[play.kind](self, note)}
        if play.points or play.kind in (Kind.PERIOD_START, Kind.PERIOD_END):
            row["scoreHome"], row["scoreAway"] = str(note.home), str(note.away)
            row["pointsTotal"] = note.home + note.away
        return row

    def _blank(self, note: Note) -> Payload:
        play = note.play
        player = self._players.get(play.player)
        team = self._game.squads[play.side].team if play.side != NEITHER else None
        own = team is not None and player is None
        return {
            "actionNumber": self._number,
            "clock": clock_text(play.clock),
            "period": play.period,
            "teamId": team.team_id if team and player else 0,
            "teamTricode": team.tricode if team and player else "",
            "personId": team.team_id if team and own else play.player,
            "playerName": player.family_name if player else "",
            "playerNameI": player.name_i if player else "",
            "xLegacy": 0,
            "yLegacy": 0,
            "shotDistance": 0,
            "shotResult": "",
            "isFieldGoal": 0,
            "scoreHome": "",
            "scoreAway": "",
            "pointsTotal": 0,
            "location": {HOME: "h", AWAY: "v", NEITHER: ""}[play.side],
            "description": "",
            "actionType": "",
            "subType": "",
            "videoAvailable": 0,
            "shotValue": 0,
            "actionId": 0,
        }

    def _who(self, play: Play) -> str:
        """Return the player's surname, or the team's name: in capitals for the home team."""
        if play.player:
            return self._surnames[play.player]
        name = self._game.squads[play.side].team.name
        return name.upper() if play.side == HOME else name

    def _local_time(self, play: Play) -> str:
        local = (self._game.tip_off + timedelta(seconds=play.wall_s)).astimezone(EASTERN)
        half = "AM" if local.hour < 12 else "PM"
        return f"{local.hour % 12 or 12}:{local.minute:02d} {half} {local.tzname()}"

    def period(self, note: Note) -> Payload:
        play = note.play
        start = play.kind is Kind.PERIOD_START
        extra = play.period - REGULATION_PERIODS
        name = f"{_ORDINALS[extra - 1]} OT" if extra > 0 else f"{_ORDINALS[play.period - 1]} Period"
        text = f"{'Start' if start else 'End'} of {name} ({self._local_time(play)})"
        return {"actionType": "period", "subType": "start" if start else "end", "description": text}

    def jump_ball(self, note: Note) -> Payload:
        play = note.play
        won, lost, gainer = (self._surnames[each] for each in (play.third, play.other, play.player))
        winner = self._players[play.third]
        return {
            "actionType": "Jump Ball",
            "personId": winner.player_id,
            "playerName": winner.family_name,
            "playerNameI": winner.name_i,
            "description": f"Jump Ball {won} vs. {lost}: Tip to {gainer}",
        }

    def shot(self, note: Note) -> Payload:
        play = note.play
        style = SHOT_STYLES[play.detail]
        three = "3PT " if play.value == 3 else ""
        text = f"{self._who(play)} {distance_text(play)}{three}{style.words}"
        if play.made:
            text += f" ({note.total} PTS)"
            if play.other:
                text += f" ({self._surnames[play.other]} {note.second} AST)"
        return {
            "actionType": "Made Shot" if play.made else "Missed Shot",
            "subType": style.v3,
            "description": text if play.made else f"MISS {text}",
            "shotResult": "Made" if play.made else "Missed",
            "isFieldGoal": 1,
            "shotValue": play.value,
            "xLegacy": play.x,
            "yLegacy": play.y,
            "shotDistance": round(hypot(play.x, play.y) / 10),
        }

    def steal(self, note: Note) -> Payload:
        return {"description": f"{self._who(note.play)} STEAL ({note.total} STL)"}

    def block(self, note: Note) -> Payload:
        return {"description": f"{self._who(note.play)} BLOCK ({note.total} BLK)"}

    def free_throw(self, note: Note) -> Payload:
        play = note.play
        words = "Technical" if play.detail == "technical" else f"{play.attempt} of {play.of}"
        text = f"{self._who(play)} Free Throw {words}"
        return {
            "actionType": "Free Throw",
            "subType": f"Free Throw {words}",
            "description": f"{text} ({note.total} PTS)" if play.made else f"MISS {text}",
        }

    def rebound(self, note: Note) -> Payload:
        play = note.play
        dead = "deadball" in play.flags
        counts = f"REBOUND (Off:{note.total} Def:{note.second})" if play.player else "Rebound"
        return {
            "actionType": "Rebound",
            "subType": "Normal Rebound" if dead else "Unknown",
            "description": f"{self._who(play)} {counts}",
        }

    def turnover(self, note: Note) -> Payload:
        play = note.play
        _, _, kind, words = TURNOVERS[play.detail]
        counts = f"(P{note.total}.T{note.team})" if play.player else f"(T#{note.team})"
        return {
            "actionType": "Turnover",
            "subType": kind,
            "description": f"{self._who(play)} {words} {counts}",
        }

    def foul(self, note: Note) -> Payload:
        play = note.play
        _, _, kind, words = FOULS[play.detail]
        official = self._officials.get(play.official, "")
        team = "PN" if play.penalty else f"T{note.team}"
        counts = f" (P{note.total})" if play.detail == "offensive" else f" (P{note.total}.{team})"
        if not play.player:
            counts = official = ""
        return {
            "actionType": "Foul",
            "subType": kind,
            "description": f"{self._who(play)} {words}{counts}{official}",
        }

    def violation(self, note: Note) -> Payload:
        play = note.play
        kind = play.detail.title()
        official = self._officials.get(play.official, "")
        return {
            "actionType": "Violation",
            "subType": kind,
            "description": f"{self._who(play)} Violation:{kind}{official}",
        }

    def substitution(self, note: Note) -> Payload:
        play = note.play
        text = f"SUB: {self._surnames[play.other]} FOR {self._who(play)}"
        return {"actionType": "Substitution", "description": text}

    def timeout(self, note: Note) -> Payload:
        words = f"Timeout: Regular (Full {note.total} Short 0)"
        return {
            "actionType": "Timeout",
            "subType": "Regular",
            "description": f"{self._who(note.play)} {words}",
        }


_WRITERS = {
    Kind.PERIOD_START: _Rows.period,
    Kind.PERIOD_END: _Rows.period,
    Kind.JUMP_BALL: _Rows.jump_ball,
    Kind.SHOT: _Rows.shot,
    Kind.BLOCK: _Rows.block,
    Kind.FREE_THROW: _Rows.free_throw,
    Kind.REBOUND: _Rows.rebound,
    Kind.TURNOVER: _Rows.turnover,
    Kind.STEAL: _Rows.steal,
    Kind.FOUL: _Rows.foul,
    Kind.VIOLATION: _Rows.violation,
    Kind.SUB_OUT: _Rows.substitution,
    Kind.TIMEOUT: _Rows.timeout,
}


def _official(official: Official) -> str:
    return f"{official.first_name[0]}.{official.family_name}"


# Box scores


def boxscore(game: Game, ledger: Ledger, moment: datetime) -> Payload:
    """Return `boxscoretraditionalv3`: the active players only."""
    fixture = game.fixture
    return {
        "meta": meta(f"games/{fixture.game_id}/boxscoretraditional", moment),
        "boxScoreTraditional": {
            "gameId": fixture.game_id,
            "awayTeamId": game.squads[AWAY].team.team_id,
            "homeTeamId": game.squads[HOME].team.team_id,
            "homeTeam": _box_team(game.squads[HOME], ledger, HOME),
            "awayTeam": _box_team(game.squads[AWAY], ledger, AWAY),
        },
    }


def _box_team(squad: Squad, ledger: Ledger, side: int) -> Payload:
    starters = squad.starters
    bench = sorted(squad.active[5:], key=lambda each: not ledger.lines[each.player_id].tenths)
    margin = ledger.teams[side].score - ledger.teams[1 - side].score
    total = ledger.teams[side].total
    return {
        **_team_head(squad.team),
        "players": [
            _box_player(player, ledger.lines[player.player_id], started=index < len(starters))
            for index, player in enumerate([*starters, *bench])
        ],
        "statistics": {**_statistics(total, minutes_text(total.tenths)), "plusMinusPoints": float(margin)},
        "starters": _sum(ledger.lines[player.player_id] for player in starters),
        "bench": _sum(ledger.lines[player.player_id] for player in bench),
    }


def _team_head(team: Team) -> Payload:
    return {
        "teamId": team.team_id,
        "teamCity": team.city,
        "teamName": team.name,
        "teamTricode": team.tricode,
        "teamSlug": team.slug,
    }


def _box_player(player: Player, line: Line, *, started: bool) -> Payload:
    played = line.tenths > 0
    return {
        "personId": player.player_id,
        "firstName": player.first_name,
        "familyName": player.family_name,
        "nameI": player.name_i,
        "playerSlug": slug(player),
        "position": player.position[-1] if started else "",
        "comment": "" if played or started else "DNP - Coach's Decision",
        "jerseyNum": player.jersey,
        "statistics": {
            **_statistics(line, minutes_text(line.tenths) if played else ""),
            "plusMinusPoints": float(line.plus - line.minus),
        },
    }


def minutes_text(tenths: int) -> str:
    """Return tenths of a second as `19:09`."""
    seconds = (tenths + 5) // 10
    return f"{seconds // 60}:{seconds % 60:02d}"


def _statistics(line: Line, minutes: str) -> Payload:
    return {
        "minutes": minutes,
        "fieldGoalsMade": line.fgm,
        "fieldGoalsAttempted": line.fga,
        "fieldGoalsPercentage": round(ratio(line.fgm, line.fga), 3),
        "threePointersMade": line.fg3m,
        "threePointersAttempted": line.fg3a,
        "threePointersPercentage": round(ratio(line.fg3m, line.fg3a), 3),
        "freeThrowsMade": line.ftm,
        "freeThrowsAttempted": line.fta,
        "freeThrowsPercentage": round(ratio(line.ftm, line.fta), 3),
        "reboundsOffensive": line.oreb,
        "reboundsDefensive": line.dreb,
        "reboundsTotal": line.oreb + line.dreb,
        "assists": line.assists,
        "steals": line.steals,
        "blocks": line.blocks,
        "turnovers": line.turnovers,
        "foulsPersonal": line.fouls,
        "points": line.points,
    }


def _sum(lines: Iterable[Line]) -> Payload:
    total = Line()
    for line in lines:
        for each in fields(Line):
            setattr(total, each.name, getattr(total, each.name) + getattr(line, each.name))
    return _statistics(total, minutes_text(total.tenths))


def summary(game: Game, ledger: Ledger, status: int, moment: datetime) -> Payload:
    """Return `boxscoresummaryv3`, the parts that a box score page needs."""
    fixture = game.fixture
    return {
        "meta": meta(f"games/{fixture.game_id}/boxscoresummary", moment),
        "boxScoreSummary": {
            "gameId": fixture.game_id,
            "gameCode": game_code(game.squads[AWAY].team, game.squads[HOME].team, fixture),
            "gameStatus": status,
            "gameStatusText": status_text(fixture, status, ledger),
            "period": ledger.period,
            "gameClock": clock_text(ledger.clock) if status == 2 else "",
            "gameTimeUTC": utc_text(fixture.tip_off),
            "gameEt": fixture.tip_off.astimezone(EASTERN).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "awayTeamId": game.squads[AWAY].team.team_id,
            "homeTeamId": game.squads[HOME].team.team_id,
            "duration": _duration_text(ledger),
            "attendance": game.attendance,
            "sellout": 1 if game.attendance > 19_000 else 0,
            "seriesGameNumber": "",
            "gameLabel": "",
            "gameSubLabel": "",
            "seriesText": "",
            "ifNecessary": False,
            "isNeutral": False,
            "arena": arena(game.squads[HOME].team),
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
            "homeTeam": _summary_team(game.squads[HOME], ledger, HOME),
            "awayTeam": _summary_team(game.squads[AWAY], ledger, AWAY),
        },
    }


def _duration_text(ledger: Ledger) -> str:
    minutes = round(ledger.notes[-1].play.wall_s / 60) if ledger.notes else 0
    return f"{minutes // 60}:{minutes % 60:02d}"


def _summary_team(squad: Squad, ledger: Ledger, side: int) -> Payload:
    line = ledger.teams[side]
    return {
        **_team_head(squad.team),
        "teamWins": 0,
        "teamLosses": 0,
        "score": line.score,
        "inBonus": None,
        "timeoutsRemaining": max(0, 7 - line.timeouts),
        "seed": 0,
        "periods": periods(line),
        "players": [_person(player) for player in squad.active],
        "inactives": [_person(player) for player, _, _ in squad.inactive],
    }


def _person(player: Player) -> Payload:
    return {
        "personId": player.player_id,
        "name": player.name,
        "nameI": player.name_i,
        "firstName": player.first_name,
        "familyName": player.family_name,
        "jerseyNum": player.jersey,
    }


# Scoreboard and schedule


def scoreboard(day: date, games: Sequence[Payload], moment: datetime) -> Payload:
    """Return `scoreboardv3` of a day with games from `scoreboard_entry`."""
    return {
        "meta": meta(f"league/00/{day:%Y/%m/%d}/scoreboard", moment),
        "scoreboard": {
            "gameDate": day.isoformat(),
            "leagueId": "00",
            "leagueName": "National Basketball Association",
            "games": list(games),
        },
    }


def scoreboard_entry(
    fixture: Fixture, teams: tuple[Team, Team], status: int, played: tuple[Game, Ledger] | None
) -> Payload:
    """Return one game of `scoreboardv3`: the cdn's, with slugs, team leaders and broadcasters."""
    entry = scoreboard_game(fixture, teams, status, played)
    del entry["pbOdds"]
    for side, key in ((HOME, "home"), (AWAY, "away")):
        team = entry[f"{key}Team"]
        team["teamSlug"], team["seed"] = teams[side].slug, 0
        leader = entry["gameLeaders"][f"{key}Leaders"]
        if played:
            best = next(p for p in played[0].squads[side].active if p.player_id == leader["personId"])
            leader["playerSlug"] = slug(best)
    entry["teamLeaders"] = {
        "homeLeaders": dict(NO_LEADER),
        "awayLeaders": dict(NO_LEADER),
        "seasonLeadersFlag": 0,
    }
    entry["broadcasters"] = {
        "nationalBroadcasters" if key == "nationalTvBroadcasters" else key: []
        for key in _MEETINGS
        if not key.startswith("intl")
    }
    return entry


def schedule(season: int, days: Sequence[tuple[date, Sequence[Payload]]], moment: datetime) -> Payload:
    """Return `scheduleleaguev2` (the cdn's schedule has the same shape) with games from `schedule_entry`."""
    return {
        "meta": meta(f"league/00/{season_name(season)}/scheduleleaguev2", moment),
        "leagueSchedule": {
            "seasonYear": season_name(season),
            "leagueId": "00",
            "gameDates": [
                {"gameDate": f"{day:%m/%d/%Y} 00:00:00", "games": list(games)} for day, games in days
            ],
            "weeks": _weeks([day for day, _ in days]),
            "broadcasterList": [],
        },
    }


def _weeks(days: Sequence[date]) -> list[Payload]:
    mondays = sorted({day - timedelta(days=day.weekday()) for day in days})
    return [
        {
            "weekNumber": number,
            "weekName": f"Week {number}",
            "startDate": f"{monday}T00:00:00Z",
            "endDate": f"{monday + timedelta(days=6)}T00:00:00Z",
        }
        for number, monday in enumerate(mondays, start=1)
    ]


def schedule_entry(
    fixture: Fixture, teams: tuple[Team, Team], sequence: int, status: int, scored: Payload | None
) -> Payload:
    """Return one game of the schedule; `scored` has `text`, `scores` and `leader`, None before the game."""
    local = fixture.tip_off.astimezone(EASTERN)
    midnight = datetime.combine(fixture.day, datetime.min.time(), EASTERN)
    start = season_start(season_of(fixture.day))
    week = (fixture.day - start + timedelta(days=start.weekday())).days // 7 + 1
    return {
        "gameId": fixture.game_id,
        "gameCode": game_code(teams[AWAY], teams[HOME], fixture),
        "gameStatus": status,
        "gameStatusText": scored["text"] if scored else status_text(fixture, 1, None),
        "gameSequence": sequence,
        "gameDateEst": f"{fixture.day}T00:00:00Z",
        "gameTimeEst": f"1900-01-01T{local:%H:%M:%S}Z",
        "gameDateTimeEst": f"{local:%Y-%m-%dT%H:%M:%S}Z",
        "gameDateUTC": utc_text(midnight),
        "gameTimeUTC": f"1900-01-01T{fixture.tip_off:%H:%M:%S}Z",
        "gameDateTimeUTC": utc_text(fixture.tip_off),
        "awayTeamTime": f"{local:%Y-%m-%dT%H:%M:%S}Z",
        "homeTeamTime": f"{local:%Y-%m-%dT%H:%M:%S}Z",
        "day": f"{fixture.day:%a}",
        "monthNum": fixture.day.month,
        "weekNumber": week,
        "weekName": f"Week {week}",
        "ifNecessary": False,
        "seriesGameNumber": "",
        "gameLabel": "",
        "gameSubLabel": "",
        "seriesText": "",
        "arenaName": teams[HOME].arena,
        "arenaState": teams[HOME].arena_state,
        "arenaCity": teams[HOME].arena_city,
        "postponedStatus": "N",
        "branchLink": "",
        "gameSubtype": "",
        "isNeutral": False,
        "broadcasters": {key: [] for key in _MEETINGS},
        "homeTeam": _schedule_team(teams[HOME], scored["scores"][HOME] if scored else 0),
        "awayTeam": _schedule_team(teams[AWAY], scored["scores"][AWAY] if scored else 0),
        "pointsLeaders": [dict(scored["leader"])] if scored and status == 3 else [],
    }


def _schedule_team(team: Team, score: int) -> Payload:
    return {
        "teamId": team.team_id,
        "teamName": team.name,
        "teamCity": team.city,
        "teamTricode": team.tricode,
        "teamSlug": team.slug,
        "wins": 0,
        "losses": 0,
        "score": score,
        "seed": 0,
    }


def scored_game(game: Game, ledger: Ledger, status: int) -> Payload:
    """Return what the schedule says of a played game: words, scores by side, the first scorer."""
    both = [(leaders(squad, ledger), squad) for squad in game.squads]
    best, squad = max(both, key=lambda each: int(each[0]["points"]))
    player = next(player for player in squad.active if player.player_id == best["personId"])
    return {
        "text": status_text(game.fixture, status, ledger),
        "scores": (ledger.teams[HOME].score, ledger.teams[AWAY].score),
        "leader": {
            "personId": player.player_id,
            "firstName": player.first_name,
            "lastName": player.family_name,
            "teamId": squad.team.team_id,
            "teamCity": squad.team.city,
            "teamName": squad.team.name,
            "teamTricode": squad.team.tricode,
            "points": float(best["points"]),
        },
    }


# Tables


def _headers(text: str) -> list[str]:
    return text.split()


GAMELOG_HEADERS = _headers(
    "SEASON_ID TEAM_ID TEAM_ABBREVIATION TEAM_NAME GAME_ID GAME_DATE MATCHUP WL MIN FGM FGA FG_PCT FG3M FG3A "
    "FG3_PCT FTM FTA FT_PCT OREB DREB REB AST STL BLK TOV PF PTS PLUS_MINUS VIDEO_AVAILABLE"
)
PLAYERS_HEADERS = _headers(
    "PERSON_ID DISPLAY_LAST_COMMA_FIRST DISPLAY_FIRST_LAST ROSTERSTATUS FROM_YEAR TO_YEAR PLAYERCODE "
    "PLAYER_SLUG TEAM_ID TEAM_CITY TEAM_NAME TEAM_ABBREVIATION TEAM_CODE TEAM_SLUG "
    "GAMES_PLAYED_FLAG OTHERLEAGUE_EXPERIENCE_CH"
)


def gamelog_rows(game: Game, ledger: Ledger) -> list[list[Any]]:
    """Return a Final game's two rows of `leaguegamelog`."""
    return [_gamelog_row(game, ledger, side) for side in (HOME, AWAY)]


def _gamelog_row(game: Game, ledger: Ledger, side: int) -> list[Any]:
    team, other = game.squads[side].team, game.squads[1 - side].team
    line = ledger.teams[side].total
    margin = line.points - ledger.teams[1 - side].score
    return [
        f"2{season_of(game.fixture.day)}", team.team_id, team.tricode, f"{team.city} {team.name}",
        game.fixture.game_id, game.fixture.day.isoformat(),
        f"{team.tricode} {'vs.' if side == HOME else '@'} {other.tricode}",
        "W" if margin > 0 else "L", line.tenths // 600,
        line.fgm, line.fga, round(ratio(line.fgm, line.fga), 3),
        line.fg3m, line.fg3a, round(ratio(line.fg3m, line.fg3a), 3),
        line.ftm, line.fta, round(ratio(line.ftm, line.fta), 3),
        line.oreb, line.dreb, line.oreb + line.dreb, line.assists, line.steals, line.blocks,
        line.turnovers + ledger.teams[side].team_turnovers, line.fouls, line.points, margin, 0,
    ]  # fmt: skip


def gamelog(season: str, rows: Sequence[list[Any]], moment: datetime) -> Payload:
    """Return `leaguegamelog` of a season."""
    parameters = {
        "LeagueID": "00", "Season": season, "SeasonType": "Regular Season", "PlayerOrTeam": "T",
        "Counter": 0, "Sorter": "DATE", "Direction": "DESC",
    }  # fmt: skip
    return _table("leaguegamelog", "LeagueGameLog", parameters, GAMELOG_HEADERS, rows, moment)


def players(rosters: Sequence[Sequence[Player]], season: str, moment: datetime) -> Payload:
    """Return `commonallplayers`: every player of the league."""
    rows = [
        _player_row(player, team, season[:4])
        for team, roster in zip(TEAMS, rosters, strict=True)
        for player in roster
    ]
    parameters = {"LeagueID": "00", "Season": season, "IsOnlyCurrentSeason": 0}
    return _table("commonallplayers", "CommonAllPlayers", parameters, PLAYERS_HEADERS, rows, moment)


def _player_row(player: Player, team: Team, year: str) -> list[Any]:
    code = slug(player).replace("-", "_")
    listed = f"{player.family_name}, {player.first_name}"
    return [
        player.player_id, listed, player.name, 1, year, year, code, code, team.team_id, team.city, team.name,
        team.tricode, team.slug, team.slug, "Y", "00",
    ]  # fmt: skip


def _table(
    resource: str,
    name: str,
    parameters: Payload,
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    moment: datetime,
) -> Payload:
    return {
        # The real tables have no meta; the simulated ones need one to say what they are.
        "meta": meta(resource, moment),
        "resource": resource,
        "parameters": parameters,
        "resultSets": [{"name": name, "headers": list(headers), "rowSet": list(rows)}],
    }
