"""What the simulator writes: neutral plays, without running totals. Everything else derives from them.

Clocks are tenths of a second left in the period. A side is `HOME`, `AWAY` or `NEITHER`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, auto
from typing import NamedTuple

from courtkeeper.platform.feed.league import Fixture, Player, Team

HOME, AWAY, NEITHER = 0, 1, -1
REGULATION_PERIODS = 4
PERIOD_TENTHS = 7200
OVERTIME_TENTHS = 3000


class Kind(IntEnum):
    """What happened. Integers, because an `Enum` hashes slowly and every play looks its writer up."""

    PERIOD_START = auto()
    PERIOD_END = auto()
    GAME_END = auto()
    JUMP_BALL = auto()
    SHOT = auto()
    BLOCK = auto()
    FREE_THROW = auto()
    REBOUND = auto()
    TURNOVER = auto()
    STEAL = auto()
    FOUL = auto()
    VIOLATION = auto()
    SUB_OUT = auto()
    SUB_IN = auto()
    TIMEOUT = auto()
    HEAVE = auto()


@dataclass(slots=True)
class Play:
    """One event.

    `player` 0 is the team itself. `other` is the assisting player of a made shot, the fouled
    player of a foul, the incoming player of `SUB_OUT`, the beaten jumper of a jump ball. `third`
    is the blocker of a shot, the stealer of a turnover, the winning jumper of a jump ball.
    `value` is what a shot is worth. `attempt` and `of` number
    free throws (a foul's `of`: how many it gives; a timeout's `attempt`: the team's how-many-th).
    `x` and `y` are tenths of a foot from the basket, x to the
    right and y away from it. `wall_s` counts seconds since tip-off.
    """

    kind: Kind
    period: int
    clock: int
    side: int = NEITHER
    player: int = 0
    detail: str = ""
    made: bool = False
    value: int = 0
    other: int = 0
    third: int = 0
    attempt: int = 0
    of: int = 0
    x: int = 0
    y: int = 0
    offensive: bool = False
    penalty: bool = False
    flags: tuple[str, ...] = ()
    possession: int = NEITHER
    official: int = 0
    number: int = 0
    order: int = 0
    wall_s: float = 0.0

    @property
    def points(self) -> int:
        """Points scored by this play."""
        if not self.made:
            return 0
        return self.value if self.kind is Kind.SHOT else 1


class Official(NamedTuple):
    """An invented referee."""

    person_id: int
    first_name: str
    family_name: str
    jersey: str


@dataclass(slots=True)
class Squad:
    """One side of a game: the active players (starters first) and those who do not dress."""

    team: Team
    active: list[Player]
    inactive: list[tuple[Player, str, str]] = field(default_factory=list)

    @property
    def starters(self) -> list[Player]:
        """The five who begin the game."""
        return self.active[:5]


@dataclass(slots=True)
class Game:
    """A whole simulated game."""

    fixture: Fixture
    squads: tuple[Squad, Squad]
    plays: list[Play]
    officials: tuple[Official, ...]
    attendance: int

    @property
    def tip_off(self) -> datetime:
        """Scheduled start in UTC."""
        return self.fixture.tip_off

    @property
    def duration_s(self) -> float:
        """Seconds from the scheduled start to the last play."""
        return self.plays[-1].wall_s


class ShotStyle(NamedTuple):
    """How a shot looks in both shapes: cdn `subType` and `descriptor`, v3 `subType` and words."""

    cdn: str
    descriptor: str
    v3: str
    words: str


SHOT_STYLES: dict[str, ShotStyle] = {
    "jumper": ShotStyle("Jump Shot", "", "Jump Shot", "Jump Shot"),
    "pullup": ShotStyle("Jump Shot", "pullup", "Pullup Jump shot", "Pullup Jump Shot"),
    "stepback": ShotStyle("Jump Shot", "step back", "Step Back Jump shot", "Step Back Jump Shot"),
    "running_pullup": ShotStyle(
        "Jump Shot", "running pullup", "Running Pull-Up Jump Shot", "Running Pull-Up Jump Shot"
    ),
    "fadeaway": ShotStyle("Jump Shot", "fadeaway", "Fadeaway Jump Shot", "Fadeaway Jumper"),
    "turnaround": ShotStyle("Jump Shot", "turnaround", "Turnaround Jump Shot", "Turnaround Jump Shot"),
    "floater": ShotStyle(
        "Jump Shot", "driving floating", "Driving Floating Jump Shot", "Driving Floating Jump Shot"
    ),
    "layup": ShotStyle("Layup", "", "Layup Shot", "Layup"),
    "driving_layup": ShotStyle("Layup", "driving", "Driving Layup Shot", "Driving Layup"),
    "finger_roll": ShotStyle(
        "Layup", "driving finger roll", "Driving Finger Roll Layup Shot", "Driving Finger Roll Layup"
    ),
    "cutting_layup": ShotStyle("Layup", "cutting", "Cutting Layup Shot", "Cutting Layup Shot"),
    "running_layup": ShotStyle("Layup", "running", "Running Layup Shot", "Running Layup"),
    "putback_layup": ShotStyle("Layup", "putback", "Putback Layup Shot", "Putback Layup"),
    "tip_layup": ShotStyle("Layup", "tip", "Tip Layup Shot", "Tip Layup Shot"),
    "dunk": ShotStyle("DUNK", "", "Dunk Shot", "Dunk"),
    "driving_dunk": ShotStyle("DUNK", "driving", "Driving Dunk Shot", "Driving Dunk"),
    "cutting_dunk": ShotStyle("DUNK", "cutting", "Cutting Dunk Shot", "Cutting Dunk Shot"),
    "alley_oop_dunk": ShotStyle("DUNK", "alley-oop", "Alley Oop Dunk Shot", "Alley Oop Dunk"),
    "putback_dunk": ShotStyle("DUNK", "putback", "Putback Dunk Shot", "Putback Dunk"),
    "hook": ShotStyle("Hook", "", "Hook Shot", "Hook Shot"),
    "turnaround_hook": ShotStyle("Hook", "turnaround", "Turnaround Hook Shot", "Turnaround Hook Shot"),
}

# detail: (cdn subType, cdn descriptor, v3 subType, v3 words)
TURNOVERS: dict[str, tuple[str, str, str, str]] = {
    "bad pass": ("bad pass", "", "Bad Pass", "Bad Pass Turnover"),
    "lost ball": ("lost ball", "", "Lost Ball", "Lost Ball Turnover"),
    "out bad pass": ("out-of-bounds", "bad pass", "Out of Bounds - Bad Pass Turnover", "Bad Pass Turnover"),
    "out lost ball": (
        "out-of-bounds", "lost ball", "Out of Bounds Lost Ball Turnover", "Out of Bounds Lost Ball Turnover",
    ),
    "out step": ("out-of-bounds", "step", "Step Out of Bounds Turnover", "Step Out of Bounds Turnover"),
    "traveling": ("traveling", "", "Traveling", "Traveling Turnover"),
    "backcourt": ("backcourt", "", "Backcourt Turnover", "Backcourt Turnover"),
    "offensive goaltending": (
        "offensive goaltending", "", "Offensive Goaltending Turnover", "Offensive Goaltending Turnover",
    ),
    "offensive foul": ("offensive foul", "", "Offensive Foul Turnover", "Offensive Foul Turnover"),
    "shot clock": ("shot clock", "", "Shot Clock", "Turnover: Shot Clock"),
}  # fmt: skip

# detail: (cdn subType, cdn descriptor, v3 subType, v3 words)
FOULS: dict[str, tuple[str, str, str, str]] = {
    "personal": ("personal", "", "Personal", "P.FOUL"),
    "take": ("personal", "take", "Personal Take", "Personal Take Foul"),
    "shooting": ("personal", "shooting", "Shooting", "S.FOUL"),
    "loose ball": ("personal", "loose ball", "Loose Ball", "L.B.FOUL"),
    "offensive": ("offensive", "", "Offensive", "OFF.Foul"),
    "technical": ("technical", "", "Technical", "T.FOUL"),
}
