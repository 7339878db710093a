"""The nightly refresh: every Final game of some days, fetched, judged and stored.

One run is safe to kill at any point and to repeat: each game is one transaction, what the
cache has to forget waits in the outbox, and a second run finds nothing to change.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.nba import cache, database, quality, reports
from courtkeeper.nba.client import Client, FeedClient, FeedSettings, ReplayClient
from courtkeeper.nba.feed import GameMissingError, Window, fetch_game, games_between
from courtkeeper.nba.formats import archive
from courtkeeper.nba.load import GameStore, Issue, Stored
from courtkeeper.nba.model import Game, GameData, PayloadError, Team
from courtkeeper.nba.payloads import PayloadStore
from courtkeeper.nba.quality import Thresholds
from courtkeeper.nba.reports import GameReport

LEAGUE_ZONE: Final = ZoneInfo("America/New_York")
# Statistics are corrected for days after a game (docs/nba.md, "The feed").
LOOK_BACK_DAYS: Final = 7
_FETCHED_AHEAD: Final = 4
# Beyond so many games a chart of each would only make the result large.
_GAMES_WITH_FLOW: Final = 120
_LOCK_NAME: Final = "courtkeeper nba_refresh"

Progress = Callable[[int, int, str], None]
Trace = Callable[[str], None]


class RefreshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one refresh needs. `payload_directory` keeps the raw payloads.

    `source` is how reports call the feed (`live`, `recorded`, `simulated`). With `replay`
    nothing is fetched: kept payloads are parsed again. With `archive` and `archive_log` the
    games come from a season archive instead, restricted to the days if any are given.
    """

    database: database.DatabaseSettings
    cache: cache.CacheSettings | None
    payload_directory: Path
    feed: FeedSettings = msgspec.field(default_factory=FeedSettings)
    thresholds: Thresholds = msgspec.field(default_factory=Thresholds)
    source: str = "live"
    replay: bool = False
    archive: Path | None = None
    archive_log: Path | None = None


def settings_from(parameters: Mapping[str, Any]) -> RefreshSettings:
    """Settings from the plain values of a module's arguments; what it does not know it passes over."""
    return msgspec.convert(
        parameters, RefreshSettings, strict=False, dec_hook=lambda kind, value: kind(value)
    )


def league_today(now: datetime) -> date:
    """The league's day at `now`: US Eastern time."""
    return now.astimezone(LEAGUE_ZONE).date()


def parse_day(text: str, *, now: datetime) -> date:
    """The day to refresh: `text` as YYYY-MM-DD, or yesterday where it is empty.

    Raises ConfigurationError where it is malformed or after the league's today.
    """
    today = league_today(now)
    if not text:
        return today - timedelta(days=1)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, not a time
    except ValueError as error:
        raise ConfigurationError(f"the date {text[:40]!r} is not a day: write it as 2026-02-11") from error
    if day > today:
        raise ConfigurationError(
            f"the date {day} lies in the future (it is {today} in New York): no game of it can be Final"
        )
    return day


def refresh(
    settings: RefreshSettings,
    *,
    first: date | None,
    last: date | None,
    now: datetime,
    check: bool = False,
    progress: Progress | None = None,
    trace: Trace | None = None,
) -> Result:
    """Refresh the Final games from `first` to `last` (US Eastern days, both included).

    Both may be None only with an archive: all its games, then. In `check` mode every change
    is rolled back, nothing is kept on disk, and the result says what would have been done.
    `trace` is called with the name of each step as it is reached (for tests that crash there).

    Raises ConfigurationError and CourtkeeperError, each with one sentence.
    """
    with _database_troubles(settings), database.connect(settings.database) as connection:
        run = _Run(settings, connection, now=now, check=check, progress=progress, trace=trace)
        return run.execute(first, last)


@contextmanager
def _database_troubles(settings: RefreshSettings) -> Iterator[None]:
    """Turn what a database may answer in mid-run into one sentence."""
    where = settings.database.where
    try:
        yield
    except errors.DiskFull as error:
        raise CourtkeeperError(
            f"the disk of the database {where} is full: free space there and run again; nothing was lost"
        ) from error
    except (errors.LockNotAvailable, errors.QueryCanceled) as error:
        raise CourtkeeperError(f"the database {where} is busy ({_short(error)}): run again later") from error
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"the role lacks a right on {where} ({_short(error)}): grant it, or name another role"
        ) from error
    except psycopg.OperationalError as error:
        raise CourtkeeperError(
            f"the database {where} went away ({_short(error)}): start it and run again; nothing was lost"
        ) from error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


class _Run:
    def __init__(
        self,
        settings: RefreshSettings,
        connection: database.Connection,
        *,
        now: datetime,
        check: bool,
        progress: Progress | None,
        trace: Trace | None,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._now = now
        self._check = check
        self._progress = progress or (lambda _done, _total, _text: None)
        self._trace = trace or (lambda _step: None)
        self._run_id = uuid.uuid4()
        self._steps: dict[str, float] = {}
        self._games: list[GameReport] = []
        self._result = Result()
        self._simulated = False
        self._payloads = None if check else PayloadStore(settings.payload_directory)
        self._store: GameStore

    def execute(self, first: date | None, last: date | None) -> Result:
        started = time.monotonic()
        self._take_lock()
        self._store = GameStore(
            self._connection,
            now=self._now,
            cached=self._settings.cache is not None,
            check=self._check,
            trace=self._trace,
        )
        self._open_run(first, last)
        try:
            self._invalidate()
            if self._settings.archive:
                first, last = self._refresh_archive(first, last)
            elif first and last:
                asyncio.run(self._refresh_feed(first, last))
            self._invalidate()
        except BaseException:
            self._close_run("failed")
            raise
        self._summarise(first, last, time.monotonic() - started)
        self._close_run("finished")
        return self._result

    # --- the run's own record -------------------------------------------------------------

    def _take_lock(self) -> None:
        """One refresh at a time: the lock ends with the connection, so a dead run holds nothing."""
        if self._check:
            return
        try:
            # Waits as long as for any lock: a run killed a moment ago may not be gone on the server yet.
            self._connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [_LOCK_NAME])
        except errors.LockNotAvailable as error:
            raise CourtkeeperError(
                f"another refresh of {self._settings.database.where} is running: wait for it to end"
            ) from error
        self._connection.commit()

    def _open_run(self, first: date | None, last: date | None) -> None:
        if self._check:
            return
        with self._connection.transaction():
            # We hold the lock, so whoever is still called running has died.
            self._connection.execute(
                "UPDATE refresh_runs SET status = 'interrupted' WHERE status = 'running'"
            )
            self._connection.execute(
                "INSERT INTO refresh_runs (run_id, started_at, date_from, date_to, source, status)"
                " VALUES (%s, %s, %s, %s, %s, 'running')",
                [self._run_id, self._now, first, last, self._settings.source],
            )
        self._trace("run opened")

    def _close_run(self, status: str) -> None:
        if self._check or self._connection.broken:
            return
        with self._connection.transaction():
            self._connection.execute(
                "UPDATE refresh_runs SET status = %s, simulated = %s, metrics = %s::jsonb,"
                " finished_at = greatest(now(), started_at) WHERE run_id = %s",
                [
                    status,
                    self._simulated,
                    msgspec.json.encode(self._result.metrics).decode(),
                    self._run_id,
                ],
            )

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._steps[name] = self._steps.get(name, 0.0) + time.monotonic() - started

    # --- where games come from ------------------------------------------------------------

    async def _refresh_feed(self, first: date, last: date) -> None:
        async with self._client() as client:
            with self._step("list games"):
                window = await games_between(client, first, last)
            self._simulated |= window.simulated
            self._judge_window(window, first, last)
            finals = [game for game in window.games if game.status == "final"]
            async with aclosing(_in_order(client, finals)) as fetched_games:
                for number, listed in enumerate(finals):
                    with self._step("fetch"):
                        fetched = await anext(fetched_games)
                    self._trace(f"fetched {listed.game_id}")
                    outcome = await asyncio.to_thread(self._settle, listed, fetched, window.simulated)
                    self._progress(number + 1, len(finals), f"{listed.title} {outcome}")
            self._result.metrics["requests"] = client.requests

    def _client(self) -> Client:
        if self._settings.replay:
            return ReplayClient(PayloadStore(self._settings.payload_directory))
        return FeedClient(self._settings.feed, self._payloads)

    def _refresh_archive(self, first: date | None, last: date | None) -> tuple[date, date]:
        """Load an archive's games; return the days they span."""
        path, log_path = self._settings.archive, self._settings.archive_log
        if path is None or log_path is None:
            raise ConfigurationError("an archive needs the season's game log beside it (archive_log)")
        seen: set[str] = set()
        try:
            log = archive.SeasonLog(log_path.read_bytes())
            wanted = log.between(first or date.min, last or date.max)
            for game_id, payload in archive.members(path):
                if game_id in wanted or game_id not in log:
                    seen.add(game_id)
                    self._settle_archived(game_id, payload, log)
                    self._progress(len(seen), len(wanted), f"{game_id} {self._games[-1].outcome}")
            days = log.span(seen)
            for game_id in sorted(log.between(*days) - seen):
                listed, _ = log.game(game_id)
                self._settle(
                    listed, GameMissingError("the archive has no file for it", reachable=True), False
                )
        except PayloadError as error:
            raise ConfigurationError(f"the archive was refused: {error}") from error
        except OSError as error:
            raise ConfigurationError(f"the archive cannot be read: {error}") from error
        return days

    def _settle_archived(self, game_id: str, payload: bytes, log: archive.SeasonLog) -> None:
        kept = self._payloads.put(f"archive:{game_id}", payload, now=self._now) if self._payloads else ""
        hashes = (kept,) if kept else ()
        unknown_team = Team(0, "", "", "")
        listed = Game(game_id=game_id, game_date=None, status="final", home=unknown_team, away=unknown_team)
        fetched: GameData | GameMissingError
        try:
            listed, _ = log.game(game_id)
            fetched = archive.parse(game_id, payload, log, payloads=hashes)
        except PayloadError as error:
            fetched = GameMissingError(str(error), reachable=True, payloads=hashes)
        self._settle(listed, fetched, simulated=False)

    # --- what becomes of a game -----------------------------------------------------------

    def _settle(self, listed: Game, fetched: GameData | GameMissingError, simulated: bool) -> str:
        """Judge and store one game; return its outcome."""
        if isinstance(fetched, GameMissingError):
            report, stored = self._not_there(listed, fetched, simulated)
        else:
            report, stored = self._judge_and_store(fetched)
        self._games.append(report)
        if stored:
            self._count(report, stored)
        return report.outcome

    def _judge_and_store(self, data: GameData) -> tuple[GameReport, Stored]:
        self._simulated |= data.simulated
        with self._step("judge"):
            measured = quality.judge(data)
            failing = measured.failing(self._settings.thresholds)
            report = reports.game_report(data.game, data, measured)
        if failing:
            return report, self._quarantine(data, report, reports.below_threshold(data.game, failing))
        try:
            with self._step("store"):
                stored = self._store.load(data)
        except PayloadError as error:
            return report, self._quarantine(data, report, [reports.refused(data.game, error)])
        report.outcome = _outcome(stored)
        return report, stored

    def _quarantine(self, data: GameData, report: GameReport, found: list[Finding]) -> Stored:
        issues = [Issue(f.id.removeprefix("nba.game."), "crit", f.summary) for f in found]
        with self._step("store"):
            stored = self._store.refuse(
                data.game, issues, source=data.source, simulated=data.simulated, payloads=data.payloads
            )
        report.outcome = "quarantined"
        report.reason = " ".join(f.summary for f in found)
        if stored.was_loaded:
            note = "The version stored before stands."
            found = [msgspec.structs.replace(f, status=Status.WARN, applied=note) for f in found]
        self._result.findings += found
        return stored

    def _not_there(
        self, listed: Game, missing: GameMissingError, simulated: bool
    ) -> tuple[GameReport, Stored | None]:
        """A Final game whose payloads the feed has not got, or not in a usable shape."""
        report = reports.game_report(listed)
        report.reason = str(missing)
        if self._store.is_loaded(listed.game_id):
            report.outcome = "unchanged"
            self._result.findings.append(reports.not_rechecked(listed, missing))
            return report, None
        kind = "missing" if missing.reachable else "not_fetched"
        report.outcome = "missing"
        issue = Issue(kind, "crit", f"Final game without usable payload: {missing}")
        with self._step("store"):
            stored = self._store.refuse(
                listed, [issue], source=self._settings.source, simulated=simulated, payloads=missing.payloads
            )
        self._result.findings.append(reports.not_there(listed, kind, missing))
        return report, stored

    def _count(self, report: GameReport, stored: Stored) -> None:
        counts = stored.counts
        report.inserted, report.updated, report.deleted = counts.inserted, counts.updated, counts.deleted
        if counts.any or stored.issues_changed:
            self._result.changed = True
            self._result.actions.append(reports.action(report, stored.issues_changed, check=self._check))

    # --- the whole ------------------------------------------------------------------------

    def _judge_window(self, window: Window, first: date, last: date) -> None:
        today = league_today(self._now)
        self._result.findings += [
            reports.list_trouble(text, any_games=bool(window.games))
            for text in dict.fromkeys(map(str, window.troubles))
        ]
        if window.uncovered:
            self._result.findings.append(
                reports.uncovered(sorted(window.uncovered), of=(last - first).days + 1)
            )
        self._result.findings += [
            reports.not_final(game)
            for game in window.games
            if game.status in ("scheduled", "live") and game.game_date and game.game_date < today
        ]

    def _invalidate(self) -> None:
        """Let the cache forget what has changed; what it cannot be told waits in the outbox."""
        settings = self._settings.cache
        if self._check or settings is None:
            return
        self._trace("before invalidation")
        self._result.findings = [f for f in self._result.findings if f.id != "nba.cache.outbox"]
        with self._step("invalidate cache"):
            try:
                done = cache.work_off_outbox(self._connection, settings)
            except cache.CacheUnavailableError as error:
                self._result.findings.append(reports.cache_down(error, cache.waiting(self._connection)))
                return
        self._trace("after invalidation")
        if done:
            self._result.changed = True
            metrics = self._result.metrics
            metrics["cache_invalidations"] = metrics.get("cache_invalidations", 0) + done

    def _summarise(self, first: date | None, last: date | None, duration_s: float) -> None:
        result, games = self._result, self._games
        days = f"{first}" if first == last else f"{first} to {last}"
        # A day that no list speaks of is reported by itself and is not a day without games.
        if games or not any(f.id.startswith("nba.feed.") for f in result.findings):
            result.findings += reports.overall(games, days)
        result.metrics |= {
            "games": len(games),
            **{f"games_{outcome}": sum(g.outcome == outcome for g in games) for outcome in reports.OUTCOMES},
            "rows_inserted": sum(g.inserted for g in games),
            "rows_updated": sum(g.updated for g in games),
            "rows_deleted": sum(g.deleted for g in games),
            "duration_s": round(duration_s, 3),
        }
        result.diff = reports.diff(games)
        if len(games) > _GAMES_WITH_FLOW:
            for game in games:
                game.flow = []
        result.details = {
            "source": "archive" if self._settings.archive else self._settings.source,
            "simulated": self._simulated,
            "date_from": str(first or ""),
            "date_to": str(last or ""),
            "steps": [{"name": n, "duration_s": round(s, 3)} for n, s in self._steps.items()],
            "games": [msgspec.to_builtins(game) for game in games],
        }
        good = sum(g.good for g in games)
        result.msg = (
            f"{good} of {len(games)} Final games of {days} are good" if games else f"no Final games, {days}"
        )


async def _in_order(client: Client, finals: list[Game]) -> AsyncGenerator[GameData | GameMissingError, None]:
    """Fetch a few games ahead and yield them in their order; memory holds only those few."""
    ahead: deque[asyncio.Task[GameData | GameMissingError]] = deque()
    remaining = iter(finals)
    try:
        for listed in remaining:
            ahead.append(asyncio.create_task(_fetch(client, listed)))
            if len(ahead) >= _FETCHED_AHEAD:
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


async def _fetch(client: Client, listed: Game) -> GameData | GameMissingError:
    try:
        return await fetch_game(client, listed)
    except GameMissingError as missing:
        return missing


def _outcome(stored: Stored) -> str:
    if not stored.counts.any:
        return "unchanged"
    return "corrected" if stored.was_loaded else "loaded"
