"""The part of the report that belongs to jobs on games: the games, their quality, their course.

What comes in is `RunRecord.details` as docs/design.md describes it. It is foreign data: an
entry of the wrong shape becomes a game that could not be judged, a whole of the wrong shape an
empty part that says so (`unreadable`), never an exception. What is unknown is never counted as good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from courtkeeper.findings import Status
from courtkeeper.report import charts, text

MEASURES = (
    ("completeness", "Completeness", "Complete", 0.95),
    ("box_accuracy", "Box accuracy", "Box", 0.99),
    ("player_consistency", "Player consistency", "Player", 0.98),
    ("metadata", "Metadata", "Meta", 1.0),
)
"""Field of a game, name, name where there is little room, and the threshold where `details.thresholds`
has none: the quality gate's own default, as a share of 1."""
SHOWN_AT_MOST = 60
FOLDED_AT_MOST = 250
CHARTS_AT_MOST = 30
REASON_LIMIT = 400
ONE_TABLE = 20
"""Up to this many games that were loaded or need attention stand in one table; beyond it, the good ones
of earlier nights are folded away."""

_GOOD_OUTCOMES = frozenset({"loaded", "corrected", "unchanged"})
# Of a missing game the source has nothing; an unverified one is stored, but could not be compared with it.
_WITHOUT_PAYLOAD = frozenset({"missing", "unverified"})
_PLANNED = {"loaded": "would load", "corrected": "would correct", "quarantined": "would quarantine"}
_SOURCES = {
    "recorded": "recorded responses",
    "live": "the live feed of the league",
    "simulated": "a simulator",
    "archive": "a season archive",
}


class _Game(msgspec.Struct):
    """One entry of `details.games`, every field optional: what is absent is unknown."""

    game_id: str = ""
    game_date: str = ""
    away: str = "?"
    home: str = "?"
    away_score: int | None = None
    home_score: int | None = None
    outcome: str = "unknown"
    events: int | None = None
    players: int | None = None
    completeness: float | None = None
    box_accuracy: float | None = None
    player_consistency: float | None = None
    metadata: float | None = None
    inserted: int | None = 0
    updated: int | None = 0
    deleted: int | None = 0
    reason: str | None = ""
    flow: list[tuple[float, float]] | None = msgspec.field(default_factory=list)


class _Details(msgspec.Struct):
    games: list[Any] = msgspec.field(default_factory=list)
    source: str = ""
    simulated: bool = False
    date_from: str = ""
    date_to: str = ""
    thresholds: Any = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of quality of one game: a share of 0 to 1, or None where it is unknown."""

    name: str
    short: str
    threshold: float
    value: float | None

    @property
    def status(self) -> Status:
        """Whether the value holds its threshold."""
        if self.value is None:
            return Status.UNKNOWN
        return Status.OK if self.value >= self.threshold else Status.CRIT

    @property
    def shown(self) -> str:
        """The value in percent, or the word `unknown`."""
        return text.UNKNOWN if self.value is None else text.percent(self.value)


@dataclass(frozen=True, slots=True)
class Game:
    """One game as the page shows it."""

    game_id: str
    date: str
    away: str
    home: str
    score: str
    outcome: str
    word: str
    note: str
    status: Status
    events: str
    players: str
    measures: tuple[Measure, ...]
    inserted: int
    updated: int
    deleted: int
    reason: str
    flow: tuple[charts.Point, ...]

    @property
    def matchup(self) -> str:
        """`ATL @ CHA`."""
        return f"{self.away} @ {self.home}"

    @property
    def good(self) -> bool:
        """The database holds it, and every measure is known and holds its threshold."""
        return self.status is Status.OK


@dataclass(frozen=True, slots=True)
class Lead:
    """The picture of one game's course, with the words that stand around it."""

    game: Game
    picture: Markup


@dataclass(frozen=True, slots=True)
class GamesView:
    """All that the page shows of a job's games."""

    source: str
    simulated: bool
    period: str
    games: tuple[Game, ...]
    shown: tuple[Game, ...]
    folded: tuple[Game, ...]
    not_shown: int
    folded_title: str
    quality: tuple[Markup, ...]
    quality_note: str
    leads: tuple[Lead, ...]
    lead_reach: int
    unreadable: str = ""

    @property
    def status(self) -> Status:
        """The most severe status among the games; a missing game is at its worst `crit`."""
        order = (Status.CRIT, Status.WARN, Status.UNKNOWN)
        found = {g.status for g in self.games}
        return next((status for status in order if status in found), Status.OK)

    @property
    def rows(self) -> tuple[int, int, int]:
        """Rows inserted, updated and deleted over all games."""
        return (
            sum(g.inserted for g in self.games),
            sum(g.updated for g in self.games),
            sum(g.deleted for g in self.games),
        )


def fits(details: Mapping[str, Any]) -> bool:
    """Whether `details` hold games as docs/design.md describes them, whichever job they are of."""
    entries = details.get("games")
    if not isinstance(entries, list):
        return False
    return not entries or any(isinstance(e, Mapping) and {"game_id", "outcome"} <= e.keys() for e in entries)


def build(details: Mapping[str, Any], *, check: bool) -> GamesView:
    """Return the view of `details`; where they cannot be read, an empty one that says why."""
    try:
        decoded = msgspec.convert(details, _Details, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        simulated = bool(details.get("simulated"))  # the banner must not depend on the rest being readable
        return _view(_Details(simulated=simulated), (), unreadable=str(error))
    thresholds = _thresholds(decoded.thresholds)
    return _view(decoded, tuple(_game(_read(g), thresholds, check=check) for g in decoded.games))


def _thresholds(given: object) -> tuple[float, ...]:
    """Return the thresholds the run judged by, in MEASURES' order; the default where one is no share."""
    found = given if isinstance(given, Mapping) else {}
    return tuple(_threshold(found.get(key), default) for key, _, _, default in MEASURES)


def _threshold(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    return value if 0.0 <= value <= 1.0 else default


def summary(view: GamesView, *, check: bool) -> str:
    """Return the games in one clause: `2 of 3 games are good, 1 is missing`; empty when there are none."""
    total = len(view.games)
    if not total:
        return ""
    good = sum(g.good for g in view.games)
    if good == total:
        return "the only game is good" if total == 1 else f"all {text.integer(total)} games are good"
    rest = _Tally([g for g in view.games if not g.good])
    verb = "is" if 1 in (good, total) else "are"
    parts = [f"{text.integer(good)} of {text.plural(total, 'game')} {verb} good"]
    parts += rest.clause("missing", "is missing", "are missing")
    parts += rest.clause(
        "quarantined", *(("would be quarantined",) * 2 if check else ("is quarantined", "are quarantined"))
    )
    parts += rest.clause("unverified", "could not be checked", "could not be checked")
    parts += rest.remaining(Status.CRIT, "falls short of the quality gate", "fall short of the quality gate")
    parts += rest.remaining(Status.UNKNOWN, "could not be fully judged", "could not be fully judged")
    return ", ".join(parts)


class _Tally:
    """Counts games so that each is named once."""

    def __init__(self, games: Sequence[Game]) -> None:
        self._left = list(games)

    def clause(self, outcome: str, one: str, many: str) -> list[str]:
        return self._take([g for g in self._left if g.outcome == outcome], one, many)

    def remaining(self, status: Status, one: str, many: str) -> list[str]:
        return self._take([g for g in self._left if g.status is status], one, many)

    def _take(self, games: list[Game], one: str, many: str) -> list[str]:
        self._left = [g for g in self._left if g not in games]
        return [f"{text.integer(len(games))} {one if len(games) == 1 else many}"] if games else []


def _view(details: _Details, games: tuple[Game, ...], unreadable: str = "") -> GamesView:
    ordered = tuple(sorted(games, key=_rank))
    shown, folded = _split(ordered, details.date_to)
    drawn = shown or tuple(g for g in folded if g.date == details.date_to)
    judged = [g for g in drawn if g.events != text.NOTHING][:CHARTS_AT_MOST]
    with_flow = [g for g in drawn if g.flow][:CHARTS_AT_MOST]
    reach = _reach(with_flow)
    return GamesView(
        source=_SOURCES.get(details.source, details.source),
        simulated=details.simulated or details.source == "simulated",
        period=_period(details.date_from, details.date_to),
        games=ordered,
        shown=shown[:SHOWN_AT_MOST],
        folded=folded[:FOLDED_AT_MOST],
        not_shown=max(len(shown) - SHOWN_AT_MOST, 0) + max(len(folded) - FOLDED_AT_MOST, 0),
        folded_title=_folded_title(folded),
        quality=_quality(judged),
        quality_note=_quality_note(shown, judged, details.date_to),
        leads=_leads(with_flow, reach),
        lead_reach=reach,
        unreadable=unreadable,
    )


def _rank(game: Game) -> tuple[int, int, str]:
    """Trouble first, then the latest night, then by id."""
    severity = (Status.CRIT, Status.WARN, Status.UNKNOWN).index(game.status) if not game.good else 9
    try:
        night = -int(game.date.replace("-", ""))
    except ValueError:
        night = 0
    return severity, night, game.game_id


def _split(games: tuple[Game, ...], last_night: str) -> tuple[tuple[Game, ...], tuple[Game, ...]]:
    """Part the games into those to show and those to fold away: good ones that nobody needs to look at."""
    moved = [g for g in games if not g.good or g.outcome != "unchanged"]
    if len(moved) > ONE_TABLE:
        moved = [g for g in moved if not g.good or g.outcome == "corrected" or g.date == last_night]
    kept = {id(g) for g in moved}
    return tuple(moved), tuple(g for g in games if id(g) not in kept)


def _folded_title(folded: tuple[Game, ...]) -> str:
    if not folded:
        return ""
    unchanged = sum(g.outcome == "unchanged" for g in folded)
    if unchanged == len(folded):
        verb = "was" if unchanged == 1 else "were"
        return f"{text.plural(unchanged, 'game')} {verb} unchanged and good"
    return f"{text.plural(len(folded), 'more game')} of earlier nights, all good"


def _period(first: str, last: str) -> str:
    if not last or first == last or not first:
        return text.iso_day(last or first)
    return text.iso_days(first, last)


def _read(entry: object) -> _Game:
    """Read one entry; of an unreadable one keep what names it, so that it is seen and not lost."""
    try:
        return msgspec.convert(entry, _Game, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        named = entry if isinstance(entry, Mapping) else {}
        return _Game(
            game_id=str(named.get("game_id", "")),
            game_date=str(named.get("game_date", "")),
            away=str(named.get("away", "?")),
            home=str(named.get("home", "?")),
            outcome="unreadable",
            reason=f"The record of this game cannot be read: {error}",
        )


def _game(raw: _Game, thresholds: Sequence[float], *, check: bool) -> Game:
    absent = raw.outcome in _WITHOUT_PAYLOAD
    measures = tuple(
        Measure(name, short, threshold, _share(getattr(raw, key)))
        for (key, name, short, _), threshold in zip(MEASURES, thresholds, strict=True)
    )
    status = _status(raw.outcome, measures)
    word = _PLANNED.get(raw.outcome, raw.outcome) if check else raw.outcome
    partly = status is Status.UNKNOWN and raw.outcome in _GOOD_OUTCOMES
    return Game(
        game_id=text.short(raw.game_id, 20),
        date=text.short(raw.game_date, 10),
        away=text.short(raw.away, 12),
        home=text.short(raw.home, 12),
        score=_score(raw.away_score, raw.home_score),
        outcome=raw.outcome,
        word=text.short(word, 24),
        note="not fully judged" if partly else "",
        status=status,
        events=_count(raw.events, absent=absent),
        players=_count(raw.players, absent=absent),
        measures=measures,
        inserted=raw.inserted or 0,
        updated=raw.updated or 0,
        deleted=raw.deleted or 0,
        reason=text.sentence(raw.reason or "", REASON_LIMIT),
        flow=tuple(charts.Point(*p) for p in raw.flow or () if all(map(math.isfinite, p)))[:200],
    )


def _share(value: float | None) -> float | None:
    """A share outside 0 to 1 is no measurement: unknown."""
    return value if value is not None and 0.0 <= value <= 1.0 else None


def _status(outcome: str, measures: Sequence[Measure]) -> Status:
    if outcome == "missing":
        return Status.CRIT
    if outcome == "quarantined":
        return Status.WARN
    if outcome not in _GOOD_OUTCOMES:
        return Status.UNKNOWN
    found = {m.status for m in measures}
    return next((s for s in (Status.CRIT, Status.UNKNOWN) if s in found), Status.OK)


def _score(away: int | None, home: int | None) -> str:
    return text.NOTHING if away is None or home is None else f"{away}{text.NOTHING}{home}"


def _count(value: int | None, *, absent: bool) -> str:
    if value is None:
        return text.UNKNOWN
    return text.NOTHING if absent and not value else text.integer(value)


def _quality(games: Sequence[Game]) -> tuple[Markup, ...]:
    if not games:
        return ()
    known = [m.value for g in games for m in g.measures if m.value is not None]
    least = min(m.threshold for m in games[0].measures)
    low = 0.9 if min([least, *known]) >= 0.9 else min(0.8, math.floor(least * 10) / 10)
    return tuple(
        charts.quality_strip(
            f"quality-{index}",
            name,
            games[0].measures[index].threshold,
            [charts.Dot(f"{g.away} @ {g.home}", g.measures[index].value) for g in games],
            low=low,
        )
        for index, (_, name, _, _) in enumerate(MEASURES)
    )


def _quality_note(shown: Sequence[Game], judged: Sequence[Game], last_night: str) -> str:
    """Say which games a picture shows where it is not all those of the table above it."""
    if not shown:
        return f"Drawn: the last night, {text.iso_day(last_night)}."
    if len(judged) == len(shown):
        return ""
    return f"Drawn: the {text.plural(len(judged), 'game')} of the table with play-by-play."


def _reach(games: Sequence[Game]) -> int:
    """Return the largest lead of all games, up to the next five points: the end of the shared axis."""
    largest = max((abs(p.lead) for g in games for p in g.flow), default=0.0)
    return max(10, math.ceil(largest / 5) * 5)


def _leads(games: Sequence[Game], reach: int) -> tuple[Lead, ...]:
    end = max((p.at_s for g in games for p in g.flow), default=0.0)
    end = max(end, float(charts.REGULATION_S))
    return tuple(
        Lead(g, charts.lead_over_time(f"lead-{i}", g.away, g.home, g.flow, end_s=end, reach=reach))
        for i, g in enumerate(games)
    )
