"""One basketball game from a seed: possessions with a clock, in neutral plays (`plays`).

Each game draws from its own generator, seeded with the league's seed and the game id, and only
through `Random.random`, whose sequence Python guarantees: the same seed gives the same game in
any order of requests and on any version of Python. Rates are those of current seasons, per
team and game: about 100 possessions, 88 shots of which 36 from behind the arc, 22 free throws,
14 turnovers, 11 offensive rebounds, 113 points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import cos, radians, sin
from random import Random
from typing import TypeVar

from courtkeeper.platform.feed.league import TEAMS, Fixture, Player, rosters, shuffle
from courtkeeper.platform.feed.plays import (
    AWAY,
    HOME,
    NEITHER,
    OVERTIME_TENTHS,
    PERIOD_TENTHS,
    REGULATION_PERIODS,
    Game,
    Kind,
    Official,
    Play,
    Squad,
)

T = TypeVar("T")

FOUL_LIMIT = 6
# The fifth foul of a period (the fourth in overtime) and the second of the last two minutes give free throws.
PENALTY_FROM = 5
LAST_TWO_MINUTES = 1200
TIMEOUTS = 7
# What a shot's zone is worth: (share of two-pointers, probability, blocked when missed, assisted when made).
ZONES = {"rim": (0.60, 0.60, 0.32, 0.56), "short": (0.22, 0.435, 0.15, 0.40), "mid": (0.18, 0.42, 0.05, 0.48)}
THREE_PROBABILITY = 0.352
THREE_ASSISTED = 0.80
THREE_BLOCKED = 0.012
HOME_EDGE = 0.007
# A leading team eases off: without this the margins spread wider than real ones.
EASE_PER_POINT = 0.0018
OFFENSIVE_REBOUND = 0.235
# Tying shots near the end fall more often: without this 3 % of games went to overtime instead of 6.
CLUTCH, CLUTCH_TENTHS = 0.25, 500
OFFICIALS = (
    Official(8_000_001, "Ansgar", "Whistleton", "11"),
    Official(8_000_002, "Bartho", "Linesman", "23"),
    Official(8_000_003, "Clio", "Fairplay", "37"),
    Official(8_000_004, "Dunstan", "Stripewell", "42"),
    Official(8_000_005, "Edda", "Callahorn", "58"),
    Official(8_000_006, "Fenno", "Tossup", "64"),
)


def pick(rng: Random, items: Sequence[T], weight: Callable[[T], float]) -> T:
    """Return one of `items` with probability proportional to its weight."""
    weights = [weight(item) for item in items]
    mark = rng.random() * sum(weights)
    for item, share in zip(items, weights, strict=True):
        mark -= share
        if mark < 0:
            return item
    return items[-1]


def below(rng: Random, low: float, high: float) -> float:
    """Return a number from `low` up to `high`."""
    return low + (high - low) * rng.random()


# A game holds some 300 KB: enough for a night of fifteen and those that tests look at beside it.
@lru_cache(maxsize=48)
def simulate(seed: int, fixture: Fixture) -> Game:
    """Return the game of `fixture` in the league of `seed`. The result is shared: never change it."""
    rng = Random(f"game:{seed}:{fixture.game_id}")  # noqa: S311 (a simulation)
    squads = (_squad(rng, seed, fixture.home), _squad(rng, seed, fixture.away))
    officials = list(OFFICIALS)
    shuffle(rng, officials)
    match = _Match(rng, squads, tuple(officials[:3]))
    match.play()
    _number(rng, match.plays)
    _time(rng, match.plays)
    attendance = int(below(rng, 14_500, 19_800))
    return Game(fixture, squads, match.plays, tuple(officials[:3]), attendance)


def _squad(rng: Random, seed: int, team: int) -> Squad:
    """Draw 13 to 15 active players; the rest are injured, away or resting."""
    roster = list(rosters(seed)[team])
    absent = len(roster) - 13 - int(rng.random() * 3)
    out: list[tuple[Player, str, str]] = []
    reasons = [
        ("INACTIVE_INJURY", "Left Ankle; Sprain"),
        ("INACTIVE_GLEAGUE_TWOWAY", ""),
        ("INACTIVE_COACH", ""),
    ]
    for _ in range(absent):
        # Mostly the end of the bench is missing, now and then a regular.
        player = pick(rng, roster, lambda each: 1.0 + roster.index(each) ** 2 / 8)
        roster.remove(player)
        out.append((player, *pick(rng, reasons, lambda _: 1.0)))
    return Squad(TEAMS[team], roster, out)


class _Match:
    """The state of a game in play."""

    def __init__(self, rng: Random, squads: tuple[Squad, Squad], officials: tuple[Official, ...]) -> None:
        self.rng = rng
        self.squads = squads
        self.officials = officials
        self.plays: list[Play] = []
        self.period = 0
        self.clock = 0
        self.elapsed = 0
        self.score = [0, 0]
        self.offense = HOME
        self.court = [list(squad.starters) for squad in squads]
        self.rotation = [self._plan(squad) for squad in squads]
        self.played = {player.player_id: 0 for squad in squads for player in squad.active}
        self.fouls = dict.fromkeys(self.played, 0)
        self.warned: set[int] = set()
        self.team_fouls = [0, 0]
        self.late_fouls = [0, 0]
        self.timeouts = [TIMEOUTS, TIMEOUTS]
        self.mandatory = 0
        self.form = [below(rng, -0.022, 0.022) + HOME_EDGE, below(rng, -0.022, 0.022) - HOME_EDGE]
        self.pace = below(rng, 0.93, 1.07)
        self.whistle = below(rng, 0.75, 1.25)
        self.fast = False
        self.from_turnover = False
        self.second_chance = False
        self.opening = HOME

    def _plan(self, squad: Squad) -> dict[int, float]:
        """Return each rotation player's share of the game's time; eight to ten players take part."""
        size = 8 + int(self.rng.random() * 3)
        shares = [below(self.rng, 0.62, 0.76) for _ in range(5)]
        shares += [below(self.rng, 0.7, 1.3) for _ in range(size - 5)]
        bench = (5 - sum(shares[:5])) / sum(shares[5:])
        shares[5:] = [share * bench for share in shares[5:]]
        return {player.player_id: share for player, share in zip(squad.active, shares, strict=False)}

    # The course of the game

    def play(self) -> None:
        """Play four periods and as many overtimes as it takes."""
        while self.period < REGULATION_PERIODS or self.score[HOME] == self.score[AWAY]:
            self.period += 1
            self._period()
        self._add(Kind.GAME_END)

    def _period(self) -> None:
        self.clock = PERIOD_TENTHS if self.period <= REGULATION_PERIODS else OVERTIME_TENTHS
        self.team_fouls = [0, 0]
        self.late_fouls = [0, 0]
        self.mandatory = 0
        self.fast = self.from_turnover = self.second_chance = False
        if self.period > REGULATION_PERIODS:
            self.timeouts = [2, 2]
        if self.period > 1:
            self._line_up()
        self._add(Kind.PERIOD_START)
        if self.period == 1 or self.period > REGULATION_PERIODS:
            self.offense = self._jump_ball("startperiod", *(self._center(side) for side in (HOME, AWAY)))
            self.opening = self.offense
        else:
            self.offense = self.opening if self.period == REGULATION_PERIODS else 1 - self.opening
        while self.clock > 0:
            self._possession()
        self._add(Kind.PERIOD_END)

    def _add(self, kind: Kind, side: int = NEITHER, player: int = 0, detail: str = "") -> Play:
        play = Play(kind, self.period, self.clock, side, player, detail, possession=self.offense)
        self.plays.append(play)
        return play

    def _pass(self, tenths: float) -> None:
        """Let the clock run, to zero at most."""
        spent = min(max(int(tenths), 0), self.clock)
        # Above a minute the league writes whole seconds.
        if self.clock - spent > 600:
            spent += (self.clock - spent) % 10
        self.clock -= spent
        self.elapsed += spent
        for lineup in self.court:
            for player in lineup:
                self.played[player.player_id] += spent

    # Possessions

    def _possession(self) -> None:
        """Play until the ball changes hands or the period ends."""
        if self._fouled_on_purpose():
            return
        spent = self._tempo()
        if spent >= self.clock:
            self._last_chance()
            return
        self._pass(spent)
        self._action()

    def _tempo(self) -> float:
        """Draw how long the offense takes, in tenths of a second."""
        rng = self.rng
        lead = self.score[self.offense] - self.score[1 - self.offense]
        if self.period >= REGULATION_PERIODS and self.clock < 260 and lead >= 0:
            # Tied: the last shot. Ahead and not fouled: the ball is held.
            return self.clock - below(rng, 8, 30) if lead == 0 else float(self.clock)
        if self.period >= REGULATION_PERIODS and self.clock < 400 and lead < 0:
            return below(rng, 30, 90)
        if self.second_chance:
            return below(rng, 10, 20) if rng.random() < 0.4 else below(rng, 40, 130)
        if self.fast:
            return below(rng, 25, 75)
        return (52 + 58 * (rng.random() + rng.random())) * self.pace + (20 if rng.random() < 0.12 else 4)

    def _action(self) -> None:
        """Decide what becomes of the possession at this moment."""
        mark = self.rng.random()
        for chance, what in (
            (0.122, self._turnover),
            (0.040 * self.whistle, self._common_foul),
            (0.074 * self.whistle, self._shooting_foul),
            (0.007, self._held_ball),
            (0.012, self._violation),
            (0.003, self._technical),
        ):
            mark -= chance
            if mark < 0:
                what()
                return
        self._shot()

    def _fouled_on_purpose(self) -> bool:
        """Foul a leading team near the end, as trailing teams do; say whether that happened."""
        lead = self.score[self.offense] - self.score[1 - self.offense]
        if self.period < REGULATION_PERIODS or self.clock > 300 or not 0 < lead <= 8 or self.clock < 15:
            return False
        if self.rng.random() > 0.85:
            return False
        self._pass(below(self.rng, 12, 45))
        if self.clock == 0:
            return True
        self._common_foul("take")
        return True

    def _last_chance(self) -> None:
        """End the period with a heave, a hurried shot or nothing."""
        rng = self.rng
        leading = self.score[self.offense] > self.score[1 - self.offense]
        if (self.period >= REGULATION_PERIODS and leading) or rng.random() < 0.25:
            self._pass(self.clock)
        elif self.clock < 30 and self.period < REGULATION_PERIODS:
            self._pass(self.clock - int(below(rng, 0, 3)))
            if rng.random() < 0.3:
                self._heave()
            self._pass(self.clock)
        else:
            self._pass(self.clock - int(below(rng, 3, 22)))
            self._shot()

    def _heave(self) -> None:
        """A throw from far behind at the horn: the team's attempt, no player's (since 2025-26)."""
        play = self._add(Kind.HEAVE, self.offense)
        play.y = int(below(self.rng, 420, 720))
        play.x = int(below(self.rng, -120, 120))
        self._pass(self.clock)
        self._add(Kind.REBOUND, self.offense).offensive = True

    def _turn_over(self, *, fast: bool = False, turnover: bool = False) -> None:
        """Give the ball to the other side."""
        self.offense = 1 - self.offense
        self.fast = fast
        self.from_turnover = turnover
        self.second_chance = False

    def _keep(self) -> None:
        """Leave the ball with the offense after a stoppage."""
        self.fast = False

    # Shots

    def _shot(self, shooter: Player | None = None, style: str = "") -> None:
        rng, side = self.rng, self.offense
        shooter = shooter or pick(rng, self.court[side], lambda each: each.usage)
        play = self._add(Kind.SHOT, side, shooter.player_id)
        three = not style and rng.random() < self._three_share(shooter)
        zone = "three" if three else "rim" if style else pick(rng, tuple(ZONES), lambda name: ZONES[name][0])
        play.value = 3 if three else 2
        play.x, play.y = self._spot(zone)
        chance = THREE_PROBABILITY if three else ZONES[zone][1]
        lead = self.score[side] - self.score[1 - side]
        chance += shooter.skill + self.form[side] - EASE_PER_POINT * lead + (0.06 if self.fast else 0.0)
        if self.period >= REGULATION_PERIODS and self.clock < CLUTCH_TENTHS and lead == -play.value:
            chance += CLUTCH
        play.made = rng.random() < chance
        play.flags = self._flags(zone)
        assisted = not style and rng.random() < (THREE_ASSISTED if three else ZONES[zone][3])
        play.detail = style or self._style(zone, assisted=assisted)
        if play.made:
            self._made(play, shooter, assisted=assisted)
        else:
            self._missed(play, zone)

    def _three_share(self, shooter: Player) -> float:
        lead = self.score[self.offense] - self.score[1 - self.offense]
        if self.period >= REGULATION_PERIODS and self.clock < 240 and lead == -3:
            return 0.95
        if self.period >= REGULATION_PERIODS and self.clock < 600 and lead < -3:
            return min(0.85, shooter.three + 0.3)
        return min(0.9, shooter.three + 0.05)

    def _flags(self, zone: str) -> tuple[str, ...]:
        wanted = (
            ("fastbreak", self.fast),
            ("pointsinthepaint", zone in {"rim", "short"}),
            ("2ndchance", self.second_chance),
            ("fromturnover", self.from_turnover),
        )
        return tuple(flag for flag, holds in wanted if holds)

    def _spot(self, zone: str) -> tuple[int, int]:
        """Draw where a shot is taken: tenths of a foot, x to the right of the basket, y away from it."""
        rng = self.rng
        if zone == "three" and rng.random() < 0.24:
            return int(below(rng, 220, 236) * (1 if rng.random() < 0.5 else -1)), int(below(rng, -20, 88))
        low, high, spread = {
            "rim": (0, 39, 90),
            "short": (42, 98, 50),
            "mid": (112, 212, 80),
            "three": (240, 285, 62),
        }[zone]
        distance = below(rng, low, high)
        angle = radians(below(rng, -spread, spread))
        return int(distance * sin(angle)), int(distance * cos(angle))

    def _style(self, zone: str, *, assisted: bool) -> str:
        if zone == "three":
            styles = {"jumper": 8.0, "running_pullup": 0.5} if assisted else {"pullup": 3.0, "stepback": 2.0}
        elif zone == "rim" and assisted:
            styles = {
                "cutting_layup": 3.0, "layup": 2.0, "running_layup": 2.0, "cutting_dunk": 1.5,
                "alley_oop_dunk": 1.0, "dunk": 1.0,
            }  # fmt: skip
        elif zone == "rim":
            styles = {"driving_layup": 5.0, "finger_roll": 2.0, "driving_dunk": 1.0, "running_layup": 1.0}
        elif zone == "short":
            styles = {"floater": 4.0, "turnaround_hook": 1.0, "hook": 1.5, "jumper": 1.0, "turnaround": 1.0}
        else:
            styles = {"jumper": 3.0, "pullup": 4.0, "fadeaway": 1.5, "stepback": 1.0}
        return pick(self.rng, tuple(styles), styles.__getitem__)

    def _made(self, play: Play, shooter: Player, *, assisted: bool) -> None:
        rng, side = self.rng, self.offense
        self.score[side] += play.value
        if assisted:
            mates = [player for player in self.court[side] if player is not shooter]
            play.other = pick(rng, mates, lambda each: each.passing).player_id
        if self.clock > 0 and rng.random() < (0.045 if play.value == 2 else 0.006):
            self._foul("shooting", 1 - side, shooter).of = 1
            if not self._free_throws(shooter, 1):
                self._turn_over()
            return
        self._turn_over()
        if rng.random() < 0.035:
            self._stoppage(self.offense)

    def _missed(self, play: Play, zone: str) -> None:
        rng, side = self.rng, self.offense
        if rng.random() < (THREE_BLOCKED if zone == "three" else ZONES[zone][2]):
            blocker = pick(rng, self.court[1 - side], lambda each: each.blocking)
            play.third = blocker.player_id
            self._add(Kind.BLOCK, 1 - side, blocker.player_id)
        self._rebound(OFFENSIVE_REBOUND)

    def _rebound(self, offensive: float) -> bool:
        """Play a live rebound; return whether the offense kept the ball."""
        rng = self.rng
        attacking = rng.random() < offensive
        side = self.offense if attacking else 1 - self.offense
        if self.clock == 0 or self.clock <= 12:
            self._pass(self.clock)
            self._team_rebound(self.offense, offensive=True)
            return False
        self._pass(below(rng, 8, 40))
        if self.clock == 0:
            self._team_rebound(self.offense, offensive=True)
            return False
        if rng.random() < 0.105:
            # Out of bounds, or a scramble that belongs to nobody.
            attacking = rng.random() < 0.5
            side = self.offense if attacking else 1 - self.offense
            self._team_rebound(side, offensive=attacking)
        else:
            if rng.random() < 0.022:
                self._loose_ball(1 - side)
            player = pick(rng, self.court[side], lambda each: each.rebounding)
            rebound = self._add(Kind.REBOUND, side, player.player_id)
            rebound.offensive = attacking
            rebound.possession = side
            if attacking and rng.random() < 0.22 and self.clock > 15:
                self._putback(player)
                return True
        if attacking:
            self.second_chance, self.fast = True, False
            return True
        self._turn_over(fast=rng.random() < 0.13)
        return False

    def _putback(self, player: Player) -> None:
        self._pass(below(self.rng, 4, 13))
        self.second_chance, self.fast = True, False
        styles = {"putback_layup": 4.0, "tip_layup": 3.0, "putback_dunk": 1.0}
        self._shot(player, pick(self.rng, tuple(styles), styles.__getitem__))

    def _team_rebound(self, side: int, *, offensive: bool, dead: bool = False) -> None:
        rebound = self._add(Kind.REBOUND, side)
        rebound.offensive = offensive
        rebound.possession = side
        rebound.flags = ("deadball", "team") if dead else ("team",)

    # Free throws and fouls

    def _free_throws(self, shooter: Player, count: int) -> bool:
        """Shoot `count` free throws; return whether a rebound has already decided who has the ball.

        False: the last one went in.
        """
        side = HOME if shooter in self.court[HOME] else AWAY
        made = False
        for attempt in range(1, count + 1):
            if attempt == count:
                self._substitute(protect=shooter)
            made = self._free_throw(side, shooter, attempt, count)
            if not made and attempt < count:
                self._team_rebound(side, offensive=True, dead=True)
        if made:
            return False
        self._rebound(0.11)
        return True

    def _free_throw(self, side: int, shooter: Player, attempt: int, count: int, detail: str = "") -> bool:
        play = self._add(Kind.FREE_THROW, side, shooter.player_id, detail)
        play.attempt, play.of = attempt, count
        play.made = self.rng.random() < shooter.free_throw
        play.value = 1
        self.score[side] += play.made
        return play.made

    def _foul(self, detail: str, side: int, fouled: Player | None) -> Play:
        """Whistle a foul by `side`; a player's sixth sends him off."""
        fouler = pick(self.rng, self.court[side], lambda each: self._foul_weight(side, each))
        play = self._add(Kind.FOUL, side, fouler.player_id, detail)
        play.other = fouled.player_id if fouled else 0
        play.official = pick(self.rng, self.officials, lambda _: 1.0).person_id
        self.fouls[fouler.player_id] += 1
        if detail != "offensive":
            self.team_fouls[side] += 1
            self.late_fouls[side] += self.clock <= LAST_TWO_MINUTES
        limit = PENALTY_FROM if self.period <= REGULATION_PERIODS else PENALTY_FROM - 1
        play.penalty = detail != "offensive" and (
            self.team_fouls[side] >= limit or self.late_fouls[side] >= 2
        )
        if detail != "offensive":
            self._send_off(side)
        return play

    def _send_off(self, side: int) -> None:
        """Replace a player who has just committed his sixth foul."""
        gone = [player for player in self.court[side] if self.fouls[player.player_id] >= FOUL_LIMIT]
        self._swap([(side, player, self._replacement(side)) for player in gone])

    def _foul_weight(self, side: int, player: Player) -> float:
        count = self.fouls[player.player_id]
        if count < FOUL_LIMIT - 1:
            return 1.0 / (1.0 + 0.25 * count)
        return 0.15 if self._bench(side) else 1e-9

    def _shooting_foul(self) -> None:
        side = self.offense
        shooter = pick(self.rng, self.court[side], lambda each: each.usage)
        count = 3 if self.rng.random() < 0.05 else 2
        self._foul("shooting", 1 - side, shooter).of = count
        self._after_whistle(protect=shooter)
        if not self._free_throws(shooter, count):
            self._turn_over()

    def _common_foul(self, detail: str = "personal") -> None:
        side = self.offense
        fouled = pick(self.rng, self.court[side], lambda each: each.usage)
        foul = self._foul(detail, 1 - side, fouled)
        if foul.penalty:
            foul.of = 2
            if not self._free_throws(fouled, 2):
                self._turn_over()
            return
        self._after_whistle()
        self._keep()

    def _loose_ball(self, side: int) -> None:
        """A loose-ball foul by `side` during a rebound; below the penalty it costs only the ball."""
        limit = PENALTY_FROM if self.period <= REGULATION_PERIODS else PENALTY_FROM - 1
        if self.team_fouls[side] + 1 >= limit or self.clock <= LAST_TWO_MINUTES:
            return
        self._foul("loose ball", side, pick(self.rng, self.court[1 - side], lambda each: each.rebounding))

    def _technical(self) -> None:
        side = HOME if self.rng.random() < 0.5 else AWAY
        player = pick(self.rng, self.court[side], lambda each: each.usage)
        by_player = self.rng.random() < 0.8 and player.player_id not in self.warned
        foul = self._add(Kind.FOUL, side, player.player_id if by_player else 0, "technical")
        foul.official = pick(self.rng, self.officials, lambda _: 1.0).person_id
        foul.of = 1
        if by_player:
            self.warned.add(player.player_id)
        shooter = max(self.court[1 - side], key=lambda each: each.free_throw)
        self._free_throw(1 - side, shooter, 1, 1, "technical")
        self._keep()

    # Turnovers and the rest

    def _turnover(self) -> None:
        rng, side = self.rng, self.offense
        live = rng.random() < 0.55
        details = (
            {"bad pass": 5.0, "lost ball": 4.0}
            if live
            else {
                "out bad pass": 3.0, "out lost ball": 2.0, "traveling": 1.5, "offensive foul": 2.5,
                "shot clock": 0.9, "out step": 0.6, "backcourt": 0.3, "offensive goaltending": 0.3,
            }
        )  # fmt: skip
        detail = pick(rng, tuple(details), details.__getitem__)
        play = self._add(Kind.TURNOVER, side, self._loser(detail), detail)
        self._send_off(side)
        if live:
            stealer = pick(rng, self.court[1 - side], lambda each: each.stealing)
            play.third = stealer.player_id
            self._add(Kind.STEAL, 1 - side, stealer.player_id).possession = 1 - side
        else:
            play.official = pick(rng, self.officials, lambda _: 1.0).person_id
        self._turn_over(fast=live and rng.random() < 0.45, turnover=True)
        if not live:
            self._after_whistle()

    def _loser(self, detail: str) -> int:
        """Return who loses the ball (0: the team); an offensive foul is whistled first."""
        if detail == "shot clock":
            return 0
        if detail == "offensive foul":
            drawn = pick(self.rng, self.court[1 - self.offense], lambda _: 1.0)
            return self._foul("offensive", self.offense, drawn).player
        return pick(
            self.rng, self.court[self.offense], lambda each: each.usage + 0.3 * each.passing
        ).player_id

    def _held_ball(self) -> None:
        jumpers = [pick(self.rng, self.court[side], lambda each: each.rebounding) for side in (HOME, AWAY)]
        winner = self._jump_ball("heldball", *jumpers)
        if winner != self.offense:
            self._turn_over()
        self._keep()

    def _jump_ball(self, detail: str, home: Player, away: Player) -> int:
        """Throw the ball up between two players; return the side that gains it."""
        side = HOME if self.rng.random() < 0.5 else AWAY
        won, lost = (home, away) if side == HOME else (away, home)
        gainer = pick(self.rng, self.court[side], lambda each: 1.0 if each is not won else 0.0)
        self._pass(below(self.rng, 10, 40) if detail == "startperiod" else 0)
        play = self._add(Kind.JUMP_BALL, side, gainer.player_id, detail)
        play.other, play.third = lost.player_id, won.player_id
        play.possession = side
        return side

    def _center(self, side: int) -> Player:
        return max(self.court[side], key=lambda each: each.rebounding)

    def _violation(self) -> None:
        details = {"kicked ball": 3.0, "delay-of-game": 1.0, "lane": 0.7}
        detail = pick(self.rng, tuple(details), details.__getitem__)
        side = 1 - self.offense
        player = 0 if detail == "delay-of-game" else pick(self.rng, self.court[side], lambda _: 1.0).player_id
        play = self._add(Kind.VIOLATION, side, player, detail)
        play.official = pick(self.rng, self.officials, lambda _: 1.0).person_id
        self._keep()

    # Stoppages

    def _after_whistle(self, protect: Player | None = None) -> None:
        """Use a dead ball: a mandatory or voluntary timeout, substitutions."""
        due = (4200, 1800)
        regulation = self.period <= REGULATION_PERIODS
        if regulation and self.mandatory < len(due) and self.clock <= due[self.mandatory]:
            self.mandatory += 1
            side = HOME if self.mandatory == 1 else AWAY
            self._stoppage(side if self.timeouts[side] else 1 - side, protect, mandatory=True)
        elif self.rng.random() < 0.04:
            self._stoppage(self.offense, protect)
        else:
            self._substitute(protect)

    def _stoppage(self, side: int, protect: Player | None = None, *, mandatory: bool = False) -> None:
        if not self.timeouts[side] or self.clock == 0:
            return
        self.timeouts[side] -= 1
        play = self._add(Kind.TIMEOUT, side, 0, "full")
        play.flags = ("team", "mandatory") if mandatory else ("team",)
        play.attempt = TIMEOUTS - self.timeouts[side]
        self._substitute(protect)

    def _substitute(self, protect: Player | None = None) -> None:
        """Let both coaches change players who have had more, or less, than their share of the time."""
        closing = self.period >= REGULATION_PERIODS and self.clock < 2400
        if closing and abs(self.score[HOME] - self.score[AWAY]) < 12:
            return
        swaps = [swap for side in (HOME, AWAY) for swap in self._changes(side, protect)]
        self._swap(swaps)

    def _changes(
        self, side: int, protect: Player | None, patience: float = 2000.0
    ) -> list[tuple[int, Player, Player]]:
        shares = self.rotation[side]

        def ahead(player: Player) -> float:
            return self.played[player.player_id] - shares.get(player.player_id, 0.0) * self.elapsed

        tired = sorted((p for p in self.court[side] if p is not protect), key=ahead, reverse=True)
        fresh = sorted(self._bench(side), key=ahead)
        patience *= below(self.rng, 0.7, 1.5)
        return [
            (side, out, new)
            for out, new in zip(tired[:3], fresh[:3], strict=False)
            if ahead(out) - ahead(new) > patience
        ]

    def _bench(self, side: int) -> list[Player]:
        """Return the rotation players who may come in."""
        return [
            player
            for player in self.squads[side].active
            if player.player_id in self.rotation[side]
            and self.fouls[player.player_id] < FOUL_LIMIT
            and player not in self.court[side]
        ]

    def _replacement(self, side: int) -> Player:
        bench = self._bench(side) or [
            player
            for player in self.squads[side].active
            if self.fouls[player.player_id] < FOUL_LIMIT and player not in self.court[side]
        ]
        return max(bench, key=lambda each: self.rotation[side].get(each.player_id, 0.0))

    def _swap(self, swaps: list[tuple[int, Player, Player]]) -> None:
        """Write substitutions as the league does: who leaves, then who comes."""
        for side, out, new in swaps:
            self._add(Kind.SUB_OUT, side, out.player_id).other = new.player_id
        for side, out, new in swaps:
            self._add(Kind.SUB_IN, side, new.player_id)
            self.court[side][self.court[side].index(out)] = new

    def _line_up(self) -> None:
        """Change players between periods; the starters open the second half."""
        swaps: list[tuple[int, Player, Player]] = []
        for side in (HOME, AWAY):
            if self.period == 3 or self.period > REGULATION_PERIODS:
                swaps += self._recall(side)
            else:
                swaps += self._changes(side, None, patience=900.0)
        self._swap(swaps)

    def _recall(self, side: int) -> list[tuple[int, Player, Player]]:
        starters = [p for p in self.squads[side].starters if self.fouls[p.player_id] < FOUL_LIMIT]
        missing = [player for player in starters if player not in self.court[side]]
        others = [player for player in self.court[side] if player not in starters]
        return [(side, out, new) for out, new in zip(others, missing, strict=False)]


# What the scorer's table adds: when each play happened and which numbers it got.


def _time(rng: Random, plays: list[Play]) -> None:
    """Give each play its wall-clock second since tip-off: the game's clock and the pauses between."""
    wall = below(rng, 560, 720)
    clock = PERIOD_TENTHS
    for play in plays:
        if play.kind is Kind.PERIOD_START:
            clock = play.clock
            wall += (
                0 if play.period == 1 else below(rng, 850, 930) if play.period == 3 else below(rng, 130, 180)
            )
        wall += max(clock - play.clock, 0) / 10
        clock = play.clock if play.kind not in (Kind.SUB_OUT, Kind.SUB_IN) else min(clock, play.clock)
        play.wall_s = round(wall, 1)
        low, high = _PAUSES.get(play.kind, (0, 0))
        wall += below(rng, low, high)


_PAUSES: dict[Kind, tuple[float, float]] = {
    Kind.FOUL: (12, 26),
    Kind.FREE_THROW: (10, 18),
    Kind.TIMEOUT: (130, 170),
    Kind.TURNOVER: (0, 12),
    Kind.VIOLATION: (5, 15),
    Kind.JUMP_BALL: (0, 8),
    Kind.PERIOD_END: (1, 4),
}


def _number(rng: Random, plays: list[Play]) -> None:
    """Give each play its identity and its place, as the scorer's table leaves them.

    Numbers have gaps (13 to 19 % are missing). A few plays are entered late: their number is of
    the moment of entry, their order lies between those of their neighbours.
    """
    delays = _late_entries(rng, plays)
    gap = below(rng, 0.13, 0.19)
    number = 1
    for index in sorted(range(len(plays)), key=lambda each: (each + delays.get(each, 0), each)):
        number += 1
        while number > 2 and rng.random() < gap:
            number += 1
        plays[index].number = number
    _order(rng, plays, delays, gap)


def _late_entries(rng: Random, plays: list[Play]) -> dict[int, int]:
    """Choose up to four missed shots that are entered late, with all that belongs to them."""
    delays: dict[int, int] = {}
    for _ in range(int(rng.random() * 5)):
        start = int(rng.random() * (len(plays) - 60))
        delay = 5 + int(rng.random() * 40)
        while plays[start].kind is not Kind.SHOT or plays[start].made:
            start += 1
            if start >= len(plays) - 50:
                return delays
        stop = start + 1
        while plays[stop].kind in (Kind.BLOCK, Kind.REBOUND) and stop - start < 3:
            stop += 1
        delays.update(dict.fromkeys(range(start, stop), delay))
    return delays


def _order(rng: Random, plays: list[Play], delays: dict[int, int], gap: float) -> None:
    """Give punctual plays multiples of 10,000 and late ones the middle of what is left before the next."""
    order = 10_000
    for index, play in enumerate(plays):
        if index not in delays:
            wide = rng.random() < gap and index > 0 and index - 1 not in delays
            order += 20_000 if wide else 10_000
            play.order = order
    upper = plays[-1].order
    following = [0] * len(plays)
    for index in range(len(plays) - 1, -1, -1):
        following[index] = upper
        if index not in delays:
            upper = plays[index].order
    previous = 0
    for index, play in enumerate(plays):
        if index in delays:
            play.order = (previous + following[index]) // 2
        previous = play.order
