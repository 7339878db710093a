"""The simulated league: 30 real teams, invented players, and a calendar of nights.

Team ids, names and arenas are public facts. The players are invented (names such as
"Tavi Kestrelwick"), and their ids start at 9,000,001, far above any real one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")

EASTERN = ZoneInfo("America/New_York")
ROSTER_SIZE = 17
MAX_GAMES_PER_NIGHT = 15
FIRST_PLAYER_ID = 9_000_001
# The simulated season runs from 1 October to 30 September: a summer date belongs to the season that ended.
SEASON_FIRST_MONTH = 10


class Team(NamedTuple):
    """One team and its home arena."""

    team_id: int
    tricode: str
    city: str
    name: str
    slug: str
    arena: str
    arena_city: str
    arena_state: str
    zone: str


_E, _C, _M, _P = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
TEAMS: tuple[Team, ...] = tuple(
    Team(1610612737 + index, *row)
    for index, row in enumerate(
        [
            ("ATL", "Atlanta", "Hawks", "hawks", "State Farm Arena", "Atlanta", "GA", _E),
            ("BOS", "Boston", "Celtics", "celtics", "TD Garden", "Boston", "MA", _E),
            ("CLE", "Cleveland", "Cavaliers", "cavaliers", "Rocket Arena", "Cleveland", "OH", _E),
            ("NOP", "New Orleans", "Pelicans", "pelicans", "Smoothie King Center", "New Orleans", "LA", _C),
            ("CHI", "Chicago", "Bulls", "bulls", "United Center", "Chicago", "IL", _C),
            ("DAL", "Dallas", "Mavericks", "mavericks", "American Airlines Center", "Dallas", "TX", _C),
            ("DEN", "Denver", "Nuggets", "nuggets", "Ball Arena", "Denver", "CO", _M),
            ("GSW", "Golden State", "Warriors", "warriors", "Chase Center", "San Francisco", "CA", _P),
            ("HOU", "Houston", "Rockets", "rockets", "Toyota Center", "Houston", "TX", _C),
            ("LAC", "LA", "Clippers", "clippers", "Intuit Dome", "Inglewood", "CA", _P),
            ("LAL", "Los Angeles", "Lakers", "lakers", "Crypto.com Arena", "Los Angeles", "CA", _P),
            ("MIA", "Miami", "Heat", "heat", "Kaseya Center", "Miami", "FL", _E),
            ("MIL", "Milwaukee", "Bucks", "bucks", "Fiserv Forum", "Milwaukee", "WI", _C),
            ("MIN", "Minnesota", "Timberwolves", "timberwolves", "Target Center", "Minneapolis", "MN", _C),
            ("BKN", "Brooklyn", "Nets", "nets", "Barclays Center", "Brooklyn", "NY", _E),
            ("NYK", "New York", "Knicks", "knicks", "Madison Square Garden", "New York", "NY", _E),
            ("ORL", "Orlando", "Magic", "magic", "Kia Center", "Orlando", "FL", _E),
            ("IND", "Indiana", "Pacers", "pacers", "Gainbridge Fieldhouse", "Indianapolis", "IN", _E),
            ("PHI", "Philadelphia", "76ers", "sixers", "Wells Fargo Center", "Philadelphia", "PA", _E),
            ("PHX", "Phoenix", "Suns", "suns", "PHX Arena", "Phoenix", "AZ", "America/Phoenix"),
            ("POR", "Portland", "Trail Blazers", "blazers", "Moda Center", "Portland", "OR", _P),
            ("SAC", "Sacramento", "Kings", "kings", "Golden 1 Center", "Sacramento", "CA", _P),
            ("SAS", "San Antonio", "Spurs", "spurs", "Frost Bank Center", "San Antonio", "TX", _C),
            ("OKC", "Oklahoma City", "Thunder", "thunder", "Paycom Center", "Oklahoma City", "OK", _C),
            ("TOR", "Toronto", "Raptors", "raptors", "Scotiabank Arena", "Toronto", "ON", _E),
            ("UTA", "Utah", "Jazz", "jazz", "Delta Center", "Salt Lake City", "UT", _M),
            ("MEM", "Memphis", "Grizzlies", "grizzlies", "FedExForum", "Memphis", "TN", _C),
            ("WAS", "Washington", "Wizards", "wizards", "Capital One Arena", "Washington", "DC", _E),
            ("DET", "Detroit", "Pistons", "pistons", "Little Caesars Arena", "Detroit", "MI", _E),
            ("CHA", "Charlotte", "Hornets", "hornets", "Spectrum Center", "Charlotte", "NC", _E),
        ]
    )
)


class Player(NamedTuple):
    """An invented player with the tendencies that the simulator draws from.

    `usage`, `rebounding`, `passing`, `stealing` and `blocking` are relative weights; `three` is the
    share of shots from behind the arc; `free_throw` a probability; `skill` is added to a shot's
    probability.
    """

    player_id: int
    first_name: str
    family_name: str
    jersey: str
    position: str
    usage: float
    rebounding: float
    passing: float
    stealing: float
    blocking: float
    three: float
    free_throw: float
    skill: float

    @property
    def name(self) -> str:
        """First and family name."""
        return f"{self.first_name} {self.family_name}"

    @property
    def name_i(self) -> str:
        """Initial and family name, as the payloads write it."""
        return f"{self.first_name[0]}. {self.family_name}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Prefix and ending make 30 x 20 family names, so that every one of the 510 players has his own.
_PREFIXES = _words(
    "Alder Birch Cinder Copper Drift Ember Fallow Glimmer Hazel Hollow Indigo Juniper Kestrel Lantern "
    "Meadow Nettle Opal Pebble Quarrel Rowan Saffron Thistle Umber Velvet Willow Yarrow Zephyr "
    "Kaštan Sälo Évre"
)
_ENDINGS = _words(
    "brook burn croft dale field fold ford gate ham hurst ley mere ridge shaw stead ton ward wick wood worth"
)
_FIRST_NAMES = _words(
    "Abel Bram Caspian Dorin Eskil Florian Gideon Halden Idris Jarek Kellan Lucan Marlow Nevin Orrin Pascoe "
    "Quill Rufus Soren Tavi Ulric Vasco Wendel Xander Yorick Zane Anselm Benno Corwin Darrow"
)
# (usage, rebounding, passing, stealing, blocking, three) by position.
_POSITIONS = {
    "PG": (1.15, 0.6, 2.2, 1.3, 0.35, 0.42),
    "SG": (1.10, 0.7, 1.3, 1.2, 0.45, 0.45),
    "SF": (1.00, 1.0, 1.0, 1.0, 0.8, 0.40),
    "PF": (0.95, 1.5, 0.8, 0.9, 1.3, 0.32),
    "C": (0.85, 2.1, 0.8, 0.7, 2.3, 0.15),
}
_ORDER = ("SF", "PF", "C", "SG", "PG")


@lru_cache(maxsize=8)
def rosters(seed: int) -> tuple[tuple[Player, ...], ...]:
    """Return the players of each team of `TEAMS` in the league of `seed`, the regulars first."""
    rng = Random(f"rosters:{seed}")  # noqa: S311 (a simulation)
    families = [prefix + ending for prefix in _PREFIXES for ending in _ENDINGS]
    shuffle(rng, families)
    return tuple(_roster(rng, index, families) for index in range(len(TEAMS)))


def _roster(rng: Random, team: int, families: list[str]) -> tuple[Player, ...]:
    jerseys = list(range(100))
    shuffle(rng, jerseys)
    return tuple(
        _player(rng, team * ROSTER_SIZE + slot, slot, families[team * ROSTER_SIZE + slot], str(jerseys[slot]))
        for slot in range(ROSTER_SIZE)
    )


def _player(rng: Random, index: int, slot: int, family: str, jersey: str) -> Player:
    position = _ORDER[slot % len(_ORDER)]
    usage, rebounding, passing, stealing, blocking, three = _POSITIONS[position]
    if rng.random() < 0.03:
        family += " Jr."
    return Player(
        FIRST_PLAYER_ID + index,
        _FIRST_NAMES[int(rng.random() * len(_FIRST_NAMES))],
        family,
        jersey,
        position,
        usage * _spread(rng, 0.35),
        rebounding * _spread(rng, 0.3),
        passing * _spread(rng, 0.4),
        stealing * _spread(rng, 0.4),
        blocking * _spread(rng, 0.5),
        min(0.75, max(0.02, three + 0.30 * (rng.random() - 0.5))),
        0.68 + 0.24 * rng.random(),
        0.05 * (rng.random() - 0.5) - (0.01 if slot >= 5 else 0.0),
    )


def _spread(rng: Random, width: float) -> float:
    return 1.0 + width * (2.0 * rng.random() - 1.0)


def shuffle(rng: Random, items: list[T]) -> None:
    """Shuffle in place from `rng.random()` alone, whose sequence Python guarantees across versions."""
    for last in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


class Fixture(NamedTuple):
    """A game of the calendar: who meets whom, when. `home` and `away` index `TEAMS`."""

    game_id: str
    day: date
    home: int
    away: int
    tip_off: datetime


# Tip-off of the slots of a night, US Eastern, as a real night spreads them.
_TIP_OFFS = (
    time(19, 0), time(19, 0), time(19, 0), time(19, 30), time(19, 30), time(20, 0), time(20, 0), time(20, 0),
    time(20, 30), time(21, 0), time(21, 30), time(22, 0), time(22, 0), time(22, 30), time(22, 30),
)  # fmt: skip


class Calendar:
    """The nights of a simulated league: every day from `first_night` on has `games_per_night` games."""

    def __init__(self, seed: int, first_night: date, games_per_night: int) -> None:
        self.seed = seed
        self.first_night = first_night
        self.games_per_night = games_per_night

    def night(self, day: date) -> tuple[Fixture, ...]:
        """Return the games of a US Eastern day, none before the first night."""
        if day < self.first_night:
            return ()
        return night(self.seed, day)[: self.games_per_night]

    def fixture(self, game_id: str) -> Fixture | None:
        """Return the game with this id, or None if the league has no such game."""
        day = day_of(game_id)
        if day is None:
            return None
        return next((game for game in self.night(day) if game.game_id == game_id), None)

    def days(self, season: int, last: date) -> list[date]:
        """Return the days with games of the season that starts in `season`, up to `last`."""
        first = max(self.first_night, season_start(season))
        last = min(last, season_start(season + 1) - timedelta(days=1))
        return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


@lru_cache(maxsize=1024)
def night(seed: int, day: date) -> tuple[Fixture, ...]:
    """Return 15 games of 30 different teams; a shorter night takes the first of them."""
    rng = Random(f"night:{seed}:{day}")  # noqa: S311 (a simulation)
    teams = list(range(len(TEAMS)))
    shuffle(rng, teams)
    return tuple(
        Fixture(game_id_of(day, slot), day, teams[2 * slot], teams[2 * slot + 1], _tip_off(day, slot))
        for slot in range(MAX_GAMES_PER_NIGHT)
    )


def _tip_off(day: date, slot: int) -> datetime:
    return datetime.combine(day, _TIP_OFFS[slot], EASTERN).astimezone(UTC)


def season_of(day: date) -> int:
    """Return the year in which the season of `day` starts."""
    return day.year if day.month >= SEASON_FIRST_MONTH else day.year - 1


def season_start(season: int) -> date:
    """Return the first day of the season that starts in the year `season`."""
    return date(season, SEASON_FIRST_MONTH, 1)


def season_name(season: int) -> str:
    """Return for example 2025-26 for 2025."""
    return f"{season}-{(season + 1) % 100:02d}"


def game_id_of(day: date, slot: int) -> str:
    """Return `002YYNNNNN`: the season's year, and the day of the season and the slot in one number."""
    season = season_of(day)
    number = (day - season_start(season)).days * MAX_GAMES_PER_NIGHT + slot + 1
    return f"002{season % 100:02d}{number:05d}"


def day_of(game_id: str) -> date | None:
    """Return the day of a game id, the inverse of `game_id_of`; None if it is no regular-season id."""
    if len(game_id) != 10 or not game_id.startswith("002") or not game_id.isascii() or not game_id.isdigit():
        return None
    short, number = int(game_id[3:5]), int(game_id[5:])
    season = (1900 if short >= 46 else 2000) + short
    day = season_start(season) + timedelta(days=(number - 1) // MAX_GAMES_PER_NIGHT)
    return day if number and season_of(day) == season else None
