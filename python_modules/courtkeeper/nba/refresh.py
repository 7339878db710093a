"""The nightly refresh: every Final game of some days, fetched, judged and stored.

One run is safe to kill at any point and to repeat: each game is one transaction, what the
cache has to forget waits in the outbox, and a second run finds nothing to change.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import date, datetime
from typing import Final

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.database import MEND_FILES, Connection, is_of_files
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.nba import cache, database, quality, reports
from courtkeeper.nba.client import Client, FeedClient, ReplayClient
from courtkeeper.nba.feed import GameMissingError, Window, fetch_game, games_between
from courtkeeper.nba.formats import archive
from courtkeeper.nba.load import GameStore, Issue, Stored
from courtkeeper.nba.model import Game, GameData, PayloadError, Team
from courtkeeper.nba.payloads import PayloadStore
from courtkeeper.nba.reports import GameReport
from courtkeeper.nba.runlog import RunLog
from courtkeeper.nba.settings import RefreshSettings, league_today

_FETCHED_AHEAD: Final = 4
# Beyond so many games a chart of each would only make the result large.
_GAMES_WITH_FLOW: Final = 120

# How a server ends a session.
_ENDED: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.DatabaseDropped,
    errors.IdleInTransactionSessionTimeout,
)

Progress = Callable[[int, int, str], None]
Trace = Callable[[str], None]


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

    Raises ConfigurationError (then nothing was changed) and CourtkeeperError, each with one
    sentence and with the partial result of what was done before.
    """
    run: _Run | None = None
    try:
        with _database_troubles(settings), database.connect(settings.database) as connection:
            run = _Run(settings, connection, now=now, check=check, progress=progress, trace=trace)
            return run.execute(first, last)
    except CourtkeeperError as error:
        partial = run.summary() if run else None
        if partial and partial.changed and isinstance(error, ConfigurationError):
            error = CourtkeeperError(str(error))
        error.partial = partial
        raise error from error.__cause__


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
    except (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected) as error:
        raise CourtkeeperError(f"the database {where} is busy ({_short(error)}): run again later") from error
    except errors.ReadOnlySqlTransaction as error:
        raise ConfigurationError(
            f"the database {where} is read-only: name the primary, not a standby, in the inventory"
        ) from error
    except errors.InsufficientPrivilege as error:
        if is_of_files(error):
            raise CourtkeeperError(
                f"the server of {where} may not use its own files ({_short(error)}): {MEND_FILES} and run "
                "again; nothing was lost"
            ) from error
        raise ConfigurationError(
            f"the role lacks a right on {where} ({_short(error)}): grant it, or name another role"
        ) from error
    except psycopg.Error as error:
        if error.sqlstate is None or isinstance(error, _ENDED):
            raise CourtkeeperError(
                f"the database {where} went away ({_short(error)}): start it and run again; nothing was lost"
            ) from error
        if error.sqlstate.startswith("53"):  # insufficient resources: memory, locks, temporary files
            raise CourtkeeperError(
                f"the server of {where} has not what a statement needs ({_short(error)}): raise that limit "
                "or free some, then run again; nothing was lost"
            ) from error
        raise CourtkeeperError(f"the database {where} refuses a statement: {_short(error)}") from error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


class _Run:
    def __init__(
        self,
        settings: RefreshSettings,
        connection: Connection,
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
        self._log = RunLog(connection, settings, now=now, check=check)
        self._started = time.monotonic()
        self._steps: dict[str, float] = {}
        self._games: list[GameReport] = []
        self._result = Result()
        self._simulated = False
        self._days: tuple[date | None, date | None] = (None, None)
        self._covered = ""
        self._incomplete = False
        self._payloads = None if check else PayloadStore(settings.payload_directory, self._trace)
        self._store: GameStore

    def execute(self, first: date | None, last: date | None) -> Result:
        self._days = (first, last)
        self._log.open(first, last)
        self._trace("run opened")
        status = "failed"
        try:
            self._store = GameStore(
                self._connection,
                now=self._now,
                cached=self._settings.cache is not None,
                check=self._check,
                trace=self._trace,
            )
            self._work_off_leftovers()
            if self._settings.archive:
                self._refresh_archive(first, last)
            elif first and last:
                asyncio.run(self._refresh_feed(first, last))
            self._invalidate()
            status = "incomplete" if self._incomplete else "finished"
        except BaseException:
            if not self._connection.broken:
                with suppress(psycopg.Error):
                    # Else what failed outside a transaction of its own fails what follows, and hides why.
                    self._connection.rollback()
                    # What was committed before must not be served stale until the next run.
                    self._invalidate()
            raise
        finally:
            result = self.summary()
            self._log.close(
                status,
                first=self._days[0],
                last=self._days[1],
                simulated=self._simulated,
                metrics=result.metrics,
            )
        return result

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

    def _judge_window(self, window: Window, first: date, last: date) -> None:
        today = league_today(self._now)
        found = self._result.findings
        found += [
            reports.list_trouble(text, any_games=bool(window.games))
            for text in dict.fromkeys(window.troubles)
        ]
        found += reports.uncovered(sorted(window.uncovered), requested=last, of=(last - first).days + 1)
        found += [
            reports.not_final(game)
            for game in window.games
            if game.status in ("scheduled", "live") and game.game_date and game.game_date < today
        ]
        self._covered = reports.span(window.covered) if window.covered else ""
        self._incomplete |= last in window.uncovered

    def _client(self) -> Client:
        if self._settings.replay:
            return ReplayClient(PayloadStore(self._settings.payload_directory))
        return FeedClient(self._settings.feed, self._payloads)

    def _refresh_archive(self, first: date | None, last: date | None) -> None:
        """Load an archive's games, once the whole archive has been found readable."""
        path, log_path = self._settings.archive, self._settings.archive_log
        if path is None or log_path is None:
            raise ConfigurationError("an archive needs the season's game log beside it (archive_log)")
        try:
            log = archive.SeasonLog(log_path.read_bytes())
            wanted = log.between(first or date.min, last or date.max)
            with self._step("look through the archive"):
                inside = [game_id for game_id, _ in archive.members(path)]
            chosen = {game_id for game_id in inside if game_id in wanted or game_id not in log}
            self._days = log.span(chosen)
        except PayloadError as error:
            raise ConfigurationError(f"the archive was refused: {error}") from error
        except OSError as error:
            raise ConfigurationError(f"the archive cannot be read: {error}") from error
        self._covered = reports.span([d for d in self._days if d])
        try:
            for game_id, payload in archive.members(path):
                if game_id in chosen:
                    self._settle_archived(game_id, payload, log)
                    self._progress(len(self._games), len(chosen), f"{game_id} {self._games[-1].outcome}")
        except PayloadError as error:
            raise CourtkeeperError(f"the archive has changed while it was read: {error}") from error
        for game_id in sorted(wanted & log.between(*self._days) - chosen):
            missing = GameMissingError("the archive has no file for it", reachable=True)
            self._settle(_listed(log, game_id), missing, simulated=False)

    def _settle_archived(self, game_id: str, payload: bytes, log: archive.SeasonLog) -> None:
        kept = self._payloads.put(f"archive:{game_id}", payload, now=self._now) if self._payloads else ""
        hashes = (kept,) if kept else ()
        fetched: GameData | GameMissingError
        try:
            fetched = archive.parse(game_id, payload, log, payloads=hashes)
        except PayloadError as error:
            fetched = GameMissingError(str(error), reachable=True, payloads=hashes)
        self._settle(_listed(log, game_id), fetched, simulated=False)

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
            found = reports.below_threshold(data.game, failing)
            if contradictions := quality.contradictions(data):
                found.append(reports.contradiction(data.game, contradictions))
        if found:
            return report, self._quarantine(data, report, found)
        try:
            with self._step("store"):
                stored = self._store.load(data)
        except PayloadError as error:
            return report, self._quarantine(data, report, [reports.refused(data.game, error)])
        report.outcome = _outcome(stored)
        if stored.kept:
            report.reason = f"The version from {stored.kept} stays: it carries more than {data.source}."
        return report, stored

    def _quarantine(self, data: GameData, report: GameReport, found: list[Finding]) -> Stored:
        issues = [Issue(f.id.removeprefix("nba.game."), "crit", f.summary) for f in found]
        with self._step("store"):
            stored = self._store.refuse(
                data.game,
                issues,
                judged=True,
                source=data.source,
                simulated=data.simulated,
                payloads=data.payloads,
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
        self._incomplete |= not missing.reachable
        if self._store.is_loaded(listed.game_id):
            report.outcome = "unverified"
            self._result.findings.append(reports.not_rechecked(listed, missing))
            return report, None
        kind = "missing" if missing.reachable else "not_fetched"
        report.outcome = "missing"
        issue = Issue(kind, "crit", f"Final game without usable payload: {missing}")
        with self._step("store"):
            stored = self._store.refuse(
                listed,
                [issue],
                judged=False,
                source=self._settings.source_name,
                simulated=simulated,
                payloads=missing.payloads,
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

    def _work_off_leftovers(self) -> None:
        """Invalidate what an earlier run, that died, left in the outbox."""
        waiting = cache.waiting(self._connection) if self._settings.cache else 0
        if not waiting:
            return
        self._invalidate()
        if self._check or not cache.waiting(self._connection):
            self._result.changed = True
            self._result.actions.append(reports.leftovers(waiting, check=self._check))

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
                waiting = cache.waiting(self._connection)
                self._result.findings.append(reports.cache_down(error, waiting, error.fix))
                return
        self._trace("after invalidation")
        if done:
            self._result.changed = True
            metrics = self._result.metrics
            metrics["cache_invalidations"] = metrics.get("cache_invalidations", 0) + done

    def summary(self) -> Result:
        """The result so far: what was found and done, also where the run breaks off."""
        games = self._games
        details_games = [msgspec.to_builtins(game) for game in games]
        if len(games) > _GAMES_WITH_FLOW:
            details_games = [{**game, "flow": []} for game in details_games]
        first, last = self._days
        return msgspec.structs.replace(
            self._result,
            findings=self._result.findings + reports.overall(games, self._covered),
            metrics={
                **self._result.metrics,
                "games": len(games),
                **{f"games_{o}": sum(g.outcome == o for g in games) for o in reports.OUTCOMES},
                "rows_inserted": sum(g.inserted for g in games),
                "rows_updated": sum(g.updated for g in games),
                "rows_deleted": sum(g.deleted for g in games),
                "duration_s": round(time.monotonic() - self._started, 3),
            },
            diff=reports.diff(games),
            details={
                "source": self._settings.source_name,
                "simulated": self._simulated,
                "date_from": str(first or ""),
                "date_to": str(last or ""),
                "thresholds": msgspec.to_builtins(self._settings.thresholds),
                "steps": [{"name": n, "duration_s": round(s, 3)} for n, s in self._steps.items()],
                "games": details_games,
            },
            msg=reports.verdict(games, self._covered),
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


def _listed(log: archive.SeasonLog, game_id: str) -> Game:
    """The game as the log lists it, or as good as nothing of it where the log's rows are odd."""
    try:
        return log.game(game_id)[0]
    except PayloadError:
        nobody = Team(0, "", "", "")
        return Game(game_id=game_id, game_date=None, status="final", home=nobody, away=nobody)


def _outcome(stored: Stored) -> str:
    if not stored.counts.any:
        return "unchanged"
    return "corrected" if stored.was_loaded else "loaded"
