"""What a refresh says about games: one report per game, and the findings in their words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.nba.model import Game, GameData
from courtkeeper.nba.quality import Measure, Quality

OUTCOMES: Final = ("loaded", "corrected", "unchanged", "unverified", "quarantined", "missing")
_GOOD: Final = ("loaded", "corrected", "unchanged")
_FLOW_POINTS: Final = 80
_MISSED_SHOWN: Final = 3
_REGULATION_PERIODS, _PERIOD_S, _OVERTIME_S = 4, 720, 300
_FIX_QUARANTINE: Final = (
    "The game is quarantined and its payloads are kept; the next refresh loads it if the source corrects it."
)


class GameReport(msgspec.Struct, kw_only=True):
    """What became of one game (docs/design.md, `details.games`)."""

    game_id: str
    game_date: str
    away: str
    home: str
    away_score: int | None
    home_score: int | None
    outcome: str = ""
    events: int = 0
    players: int = 0
    completeness: float | None = None
    box_accuracy: float | None = None
    player_consistency: float | None = None
    metadata: float | None = None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    reason: str = ""
    flow: list[tuple[int, int]] = msgspec.field(default_factory=list)

    @property
    def good(self) -> bool:
        """Tell whether good events of this game are stored now."""
        return self.outcome in _GOOD

    @property
    def rows_changed(self) -> bool:
        """Tell whether any stored row differs from before."""
        return bool(self.inserted or self.updated or self.deleted)


def game_report(game: Game, data: GameData | None = None, measured: Quality | None = None) -> GameReport:
    """Describe a game, with its events and measures as far as there are any."""
    values: dict[str, Any] = (
        {name: getattr(measured, name).value for name in Quality.__struct_fields__} if measured else {}
    )
    return GameReport(
        game_id=game.game_id,
        game_date=str(game.game_date or ""),
        away=game.away.tricode or "?",
        home=game.home.tricode or "?",
        away_score=game.away_score,
        home_score=game.home_score,
        events=len(data.events) if data else 0,
        players=len(data.player_lines) if data else 0,
        flow=_flow(data) if data else [],
        **values,
    )


def _flow(data: GameData) -> list[tuple[int, int]]:
    """The home side's lead over the game's seconds, thinned to at most 80 points."""
    points: list[tuple[int, int]] = [(0, 0)]
    for event in data.events:
        if event.home_score is None or event.away_score is None:
            continue
        lead = event.home_score - event.away_score
        if lead != points[-1][1] or event is data.events[-1]:
            points.append((_elapsed_s(event.period, event.clock_ms), lead))
    step = max(1, -(-len(points) // (_FLOW_POINTS - 1)))
    return points[:-1:step] + points[-1:]


def _elapsed_s(period: int, clock_ms: int) -> int:
    overtimes = max(0, period - _REGULATION_PERIODS)
    ended = min(period, _REGULATION_PERIODS) * _PERIOD_S + overtimes * _OVERTIME_S
    return ended - clock_ms // 1000


def action(report: GameReport, issues_changed: int, *, check: bool) -> str:
    """One line saying what was done with a game, or in check mode what would be."""
    rows = f"{report.inserted} inserted, {report.updated} updated, {report.deleted} deleted"
    issues = f"; issues opened or closed: {issues_changed}" if issues_changed else ""
    would = "would be " if check else ""
    return (
        f"game {report.game_id} ({report.away} @ {report.home}): {would}{report.outcome}; rows {rows}{issues}"
    )


def diff(games: Sequence[GameReport]) -> dict[str, str]:
    """What `--diff` shows: a line for each game whose stored rows differ."""
    changed = [(f"{g.game_id} {g.away} @ {g.home}", g) for g in games if g.rows_changed]
    if not changed:
        return {}
    new = ("loaded", "missing")
    return {
        "before": "".join(f"{t}: {'not stored' if g.outcome in new else 'stored'}\n" for t, g in changed),
        "after": "".join(
            f"{t}: {g.outcome}, rows {g.inserted} inserted, {g.updated} updated, {g.deleted} deleted\n"
            for t, g in changed
        ),
    }


# --- findings about one game ------------------------------------------------------------------


def below_threshold(game: Game, failing: Sequence[tuple[Measure, float]]) -> list[Finding]:
    """One finding for each measure of the gate that a game does not reach."""
    return [
        Finding(
            id=f"nba.game.{measure.name}",
            subject=game.game_id,
            status=Status.CRIT,
            observed=round(measure.value or 0.0, 4),
            threshold=limit,
            unit="share",
            summary=f"{game.title}: {measure.name.replace('_', ' ')} {measure.value or 0:.4f} is under"
            f" {limit:g}: {_missed(measure)}.",
            fix=_FIX_QUARANTINE,
        )
        for measure, limit in failing
    ]


def _missed(measure: Measure) -> str:
    shown = "; ".join(measure.missed[:_MISSED_SHOWN])
    more = len(measure.missed) - _MISSED_SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def contradiction(game: Game, found: Sequence[str]) -> Finding:
    """The box score contradicts itself or the plays."""
    return Finding(
        id="nba.game.contradiction",
        subject=game.game_id,
        status=Status.CRIT,
        observed=len(found),
        threshold=0,
        unit="contradictions",
        summary=f"{game.title}: {'; '.join(found)}.",
        fix=_FIX_QUARANTINE,
    )


def refused(game: Game, reason: object) -> Finding:
    """The database could not take what the payload says."""
    return Finding(
        id="nba.game.refused",
        subject=game.game_id,
        status=Status.CRIT,
        summary=f"{game.title}: {reason}.",
        fix=_FIX_QUARANTINE,
    )


def not_rechecked(game: Game, reason: object) -> Finding:
    """A game that is stored, but whose payload could not be compared with it now."""
    return Finding(
        id="nba.game.not_rechecked",
        subject=game.game_id,
        status=Status.UNKNOWN,
        summary=f"{game.title}: stored before, but could not be compared now: {reason}.",
        fix="Run the refresh again when the feed answers.",
    )


def not_there(game: Game, kind: str, reason: object) -> Finding:
    """A Final game without stored events: `kind` is `missing` or `not_fetched`."""
    return Finding(
        id=f"nba.game.{kind}",
        subject=game.game_id,
        status=Status.CRIT,
        observed=0,
        threshold=1,
        unit="payloads",
        summary=f"{game.title} of {game.game_date} is Final, but its events are not stored: {reason}.",
        fix="The next refreshes look again for seven days; after that run one with the game's date.",
    )


def not_final(game: Game) -> Finding:
    """A game of a past day that the league has not called Final."""
    return Finding(
        id="nba.game.not_final",
        subject=game.game_id,
        status=Status.WARN,
        summary=f"{game.title} of {game.game_date} is past and still {game.status}.",
        fix="The next refresh looks again; if it was postponed, the league will say so.",
    )


# --- findings about the whole -----------------------------------------------------------------


def list_trouble(trouble: object, *, any_games: bool) -> Finding:
    """A list of games that should be there could not be read."""
    return Finding(
        id="nba.feed.list",
        subject="feed",
        status=Status.WARN if any_games else Status.CRIT,
        summary=f"A list of games could not be read: {trouble}.",
        fix="Check that the feed is reachable from here and does not block this address.",
    )


def uncovered(days: Sequence[date], *, requested: date, of: int) -> list[Finding]:
    """Days of which no list of the feed speaks: critical for the requested one, unknown for the others."""
    found = []
    if requested in days:
        found.append(
            Finding(
                id="nba.feed.day",
                subject=str(requested),
                status=Status.CRIT,
                summary=f"The feed does not list {requested}, the day asked for: its games are unknown.",
                fix="Check the feed, then run the refresh for this day again.",
            )
        )
    others = [day for day in days if day != requested]
    if others:
        found.append(
            Finding(
                id="nba.feed.coverage",
                subject=span(others),
                status=Status.UNKNOWN,
                observed=len(others),
                threshold=0,
                unit="days",
                summary=f"The feed lists no games for {len(others)} of the {of} days; whether any were"
                " played is unknown.",
                fix="Run the refresh for these days when the feed lists them.",
            )
        )
    return found


def span(days: Sequence[date]) -> str:
    """Days in words: one, a range, or a list of them."""
    if not days:
        return "no day"
    if len(days) > 1 and (days[-1] - days[0]).days == len(days) - 1:
        return f"{days[0]} to {days[-1]}"
    return ", ".join(map(str, days))


def leftovers(count: int, *, check: bool) -> str:
    """One line saying what was done with the invalidations that an earlier run left."""
    return f"cache: {count} invalidations left by an earlier run {'would be ' if check else ''}worked off"


def verdict(games: Sequence[GameReport], days: str) -> str:
    """The refresh in one sentence."""
    if not days:
        return "the feed lists none of the days: nothing is known of their games"
    if not games:
        return f"no Final games, {days}"
    unverified = sum(g.outcome == "unverified" for g in games)
    doubt = f"; {unverified} could not be checked" if unverified else ""
    return f"{sum(g.good for g in games)} of {len(games)} Final games of {days} are good{doubt}"


def cache_down(error: object, waiting: int, fix: str) -> Finding:
    """The cache could not be told what has changed."""
    return Finding(
        id="nba.cache.outbox",
        subject="cache",
        status=Status.WARN,
        observed=waiting,
        threshold=0,
        unit="invalidations",
        summary=f"{error}; {waiting} invalidations wait in the outbox.",
        fix=f"{fix}; the next refresh works the outbox off.",
    )


def overall(games: Sequence[GameReport], days: str) -> list[Finding]:
    """That all is well on the days that were listed, where it is; and what could not be judged in full.

    Where a game is not good, its own finding says so: it is not counted a second time here.
    """
    found = []
    if days and all(g.good for g in games):
        found.append(
            Finding(
                id="nba.games.good",
                subject=days,
                status=Status.OK,
                observed=len(games),
                threshold=len(games),
                unit="games",
                summary=f"All {len(games)} Final games of {days} are stored and good."
                if games
                else f"No Final games, {days}.",
            )
        )
    unjudged = [g for g in games if g.good and g.events and g.player_consistency is None]
    if unjudged:
        found.append(
            Finding(
                id="nba.games.player_consistency",
                subject=days,
                status=Status.UNKNOWN,
                observed=len(unjudged),
                threshold=0,
                unit="games",
                summary=f"{len(unjudged)} games have no player box score to compare their events with.",
                fix="None from this source; a refresh from the feed would bring one.",
            )
        )
    return found
