"""The simulator behind the real addresses.

What is served depends on the seed, the address and the clock only. A game is scheduled before
its tip-off, then live with the plays so far, then Final; a schedule reaches `SCHEDULE_AHEAD_DAYS`
past the clock. A schedule or log needs the result of every game so far, some 10 ms each the first
time: keep `first_night` within a few weeks of the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from courtkeeper.platform.feed import shapes_cdn, shapes_stats
from courtkeeper.platform.feed.addresses import Address, Endpoint
from courtkeeper.platform.feed.corrections import Change, correct_plays
from courtkeeper.platform.feed.league import (
    EASTERN,
    TEAMS,
    Calendar,
    Fixture,
    Team,
    rosters,
    season_name,
    season_of,
    season_start,
)
from courtkeeper.platform.feed.ledger import Ledger
from courtkeeper.platform.feed.plays import Game
from courtkeeper.platform.feed.simulator import simulate

Payload = dict[str, Any]
SCHEDULED, LIVE, FINAL = 1, 2, 3
SCHEDULE_AHEAD_DAYS = 14
# The cdn's scoreboard turns to the new day at noon, US Eastern.
SCOREBOARD_TURNS = timedelta(hours=12)
# The last numbers arrive a little after the horn.
SETTLES = timedelta(minutes=4)


class State(NamedTuple):
    """A game at a moment. `moment` is when its numbers last changed."""

    status: int
    game: Game
    ledger: Ledger
    moment: datetime


class SimulatedSource:
    """The payloads of a simulated league."""

    def __init__(self, seed: int, first_night: date, games_per_night: int) -> None:
        self._seed = seed
        self._calendar = Calendar(seed, first_night, games_per_night)

    def payload(self, address: Address, now: datetime, changes: Mapping[str, Change]) -> bytes | None:
        """Return the body for `address` at `now` (UTC); None where the league has no such game."""
        payload = self._payload(address, now, changes)
        return None if payload is None else msgspec.json.encode(payload)

    def _payload(self, address: Address, now: datetime, changes: Mapping[str, Change]) -> Payload | None:
        match address.endpoint:
            case Endpoint.CDN_SCOREBOARD:
                return self._today(now, changes)
            case Endpoint.SCOREBOARD:
                return self._scoreboard(address.day or now.date(), now, changes)
            case Endpoint.CDN_SCHEDULE:
                return self._schedule(season_of(now.astimezone(EASTERN).date()), now, changes)
            case Endpoint.SCHEDULE:
                return self._schedule(int(address.season[:4]), now, changes)
            case Endpoint.GAMELOG:
                return self._gamelog(address.season, now, changes)
            case Endpoint.PLAYERS:
                return self._players()
            case _:
                return self._game(address, now, changes)

    # One game

    def _game(self, address: Address, now: datetime, changes: Mapping[str, Change]) -> Payload | None:
        fixture = self._calendar.fixture(address.game_id)
        if fixture is None:
            return None
        state = self._state(fixture, now, changes.get(fixture.game_id))
        cdn = address.endpoint in {Endpoint.CDN_PLAYBYPLAY, Endpoint.CDN_BOXSCORE}
        if cdn and state.status == SCHEDULED:
            return None  # the cdn has no object before the game
        match address.endpoint:
            case Endpoint.CDN_PLAYBYPLAY:
                return shapes_cdn.playbyplay(state.game, state.ledger, state.moment)
            case Endpoint.CDN_BOXSCORE:
                return shapes_cdn.boxscore(state.game, state.ledger, state.status, state.moment)
            case Endpoint.PLAYBYPLAY:
                return shapes_stats.playbyplay(state.game, state.ledger, state.moment)
            case Endpoint.BOXSCORE:
                return shapes_stats.boxscore(state.game, state.ledger, state.moment)
            case _:
                return shapes_stats.summary(state.game, state.ledger, state.status, state.moment)

    def _state(self, fixture: Fixture, now: datetime, change: Change | None) -> State:
        game = simulate(self._seed, fixture)
        passed = (now - fixture.tip_off).total_seconds()
        if passed < 0:
            return State(SCHEDULED, game, Ledger(game, ()), _morning(fixture.day))
        if passed >= game.duration_s:
            moment = fixture.tip_off + timedelta(seconds=game.duration_s) + SETTLES
            return State(FINAL, game, _final(self._seed, fixture, change), moment)
        plays = [play for play in game.plays if play.wall_s <= passed]
        return State(LIVE, game, Ledger(game, plays), now)

    # Lists of games

    def _entry(
        self, fixture: Fixture, now: datetime, change: Change | None, *, cdn: bool
    ) -> tuple[Payload, datetime]:
        write = shapes_cdn.scoreboard_game if cdn else shapes_stats.scoreboard_entry
        if now < fixture.tip_off:
            return write(fixture, _teams(fixture), SCHEDULED, None), _morning(fixture.day)
        state = self._state(fixture, now, change)
        return write(fixture, _teams(fixture), state.status, (state.game, state.ledger)), state.moment

    def _entries(
        self, day: date, now: datetime, changes: Mapping[str, Change], *, cdn: bool
    ) -> tuple[list[Payload], datetime]:
        entries = [
            self._entry(fixture, now, changes.get(fixture.game_id), cdn=cdn)
            for fixture in self._calendar.night(day)
        ]
        moment = max((moment for _, moment in entries), default=_morning(day))
        return [entry for entry, _ in entries], moment

    def _today(self, now: datetime, changes: Mapping[str, Change]) -> Payload:
        day = (now.astimezone(EASTERN) - SCOREBOARD_TURNS).date()
        games, moment = self._entries(day, now, changes, cdn=True)
        return shapes_cdn.scoreboard(day.isoformat(), games, moment)

    def _scoreboard(self, day: date, now: datetime, changes: Mapping[str, Change]) -> Payload:
        games, moment = self._entries(day, now, changes, cdn=False)
        return shapes_stats.scoreboard(day, games, moment)

    def _schedule(self, season: int, now: datetime, changes: Mapping[str, Change]) -> Payload:
        last = now.astimezone(EASTERN).date() + timedelta(days=SCHEDULE_AHEAD_DAYS)
        moment = _morning(season_start(season))
        days: list[tuple[date, Sequence[Payload]]] = []
        for day in self._calendar.days(season, last):
            entries: list[Payload] = []
            for sequence, fixture in enumerate(self._calendar.night(day), start=1):
                status, scored, settled = self._scored(fixture, now, changes.get(fixture.game_id))
                moment = max(moment, settled)
                entries.append(
                    shapes_stats.schedule_entry(fixture, _teams(fixture), sequence, status, scored)
                )
            days.append((day, entries))
        return shapes_stats.schedule(season, days, moment)

    def _scored(
        self, fixture: Fixture, now: datetime, change: Change | None
    ) -> tuple[int, Payload | None, datetime]:
        """Return status, schedule's words and last change of a game; Final games come from a small cache."""
        if now < fixture.tip_off:
            return SCHEDULED, None, _morning(season_start(season_of(fixture.day)))
        duration_s, scored, _ = _summary(self._seed, fixture, change)
        end = fixture.tip_off + timedelta(seconds=duration_s)
        if now >= end:
            return FINAL, scored, end + SETTLES
        state = self._state(fixture, now, change)
        return LIVE, shapes_stats.scored_game(state.game, state.ledger, LIVE), now

    def _gamelog(self, season: str, now: datetime, changes: Mapping[str, Change]) -> Payload:
        year = int(season[:4])
        rows: list[list[Any]] = []
        moment = _morning(season_start(year))
        for day in self._calendar.days(year, now.astimezone(EASTERN).date()):
            for fixture in self._calendar.night(day):
                if now < fixture.tip_off:
                    continue
                duration_s, _, lines = _summary(self._seed, fixture, changes.get(fixture.game_id))
                end = fixture.tip_off + timedelta(seconds=duration_s)
                if now >= end:
                    rows += lines
                    moment = max(moment, end + SETTLES)
        return shapes_stats.gamelog(season, rows[::-1], moment)

    def _players(self) -> Payload:
        first = self._calendar.first_night
        return shapes_stats.players(rosters(self._seed), season_name(season_of(first)), _morning(first))


def _teams(fixture: Fixture) -> tuple[Team, Team]:
    return TEAMS[fixture.home], TEAMS[fixture.away]


def _morning(day: date) -> datetime:
    """Return a day's ten o'clock UTC: when lists of games not yet begun were last true."""
    return datetime.combine(day, time(10), UTC)


@lru_cache(maxsize=48)
def _final(seed: int, fixture: Fixture, change: Change | None) -> Ledger:
    game = simulate(seed, fixture)
    return Ledger(game, correct_plays(game, change) if change else game.plays)


@lru_cache(maxsize=8192)
def _summary(seed: int, fixture: Fixture, change: Change | None) -> tuple[float, Payload, list[list[Any]]]:
    """Return duration, schedule's words and log rows of a finished game: small, so many fit in memory."""
    game, ledger = simulate(seed, fixture), _final(seed, fixture, change)
    return (
        game.duration_s,
        shapes_stats.scored_game(game, ledger, FINAL),
        shapes_stats.gamelog_rows(game, ledger),
    )
