"""One run of the retention: look, refuse or plan, and then table by table in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import psycopg
from psycopg import errors

from courtkeeper import database
from courtkeeper.database import MEND_FILES, Connection, is_of_files
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.refusal import why_lost, words
from courtkeeper.postgres.retention import reports
from courtkeeper.postgres.retention.archives import create_archive
from courtkeeper.postgres.retention.catalog import Table
from courtkeeper.postgres.retention.lookup import look_up
from courtkeeper.postgres.retention.move import Mover, Stop, Tally, Trace
from courtkeeper.postgres.retention.pace import Pace
from courtkeeper.postgres.retention.partitions import Candidate, Dropper, Partitions
from courtkeeper.postgres.retention.plan import Plan
from courtkeeper.postgres.retention.plan import plan as make_plan
from courtkeeper.postgres.retention.predicate import check_where
from courtkeeper.postgres.retention.settings import RetentionSettings

Progress = Callable[[int, int, str], None]

# The advisory lock that one run holds in one database ("retention" of Courtkeeper).
_LOCK: Final = 0x434B5F52
# How a server ends a session.
_ENDED = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.DatabaseDropped,
    errors.IdleInTransactionSessionTimeout,
)


def retention(
    settings: RetentionSettings,
    *,
    now: datetime,
    check: bool = False,
    progress: Progress | None = None,
    trace: Trace | None = None,
    pace: Callable[[RetentionSettings], Pace] = Pace,
) -> Result:
    """Move or delete what is past its time at `now` in every declared table.

    In `check` mode nothing is changed, and the result says what would be. `trace` is called with the name
    of each step as it is reached (for tests that crash there).

    Raises ConfigurationError (then nothing was changed) and CourtkeeperError, each with one sentence and,
    where something was done before, with the partial result.
    """
    result = Result()
    run = _Run(settings, result, now=now, check=check, progress=progress, trace=trace, pace=pace(settings))
    try:
        with (
            _troubles(settings),
            database.connect(
                settings.database,
                purpose="database_retention",
                lock_timeout_s=settings.lock_timeout_s,
                statement_timeout_s=settings.statement_timeout_s,
            ) as connection,
        ):
            run.execute(connection)
    except CourtkeeperError as error:
        if isinstance(error, ConfigurationError) and result.changed:
            error = CourtkeeperError(str(error))
        if run.started:
            error.partial = run.summary()
            error = _counted(error, result)
        raise error from error.__cause__
    done = run.summary()
    if check:  # what a plan says of the world is what the run would
        done.changed = bool(done.actions)
    return done


def _counted(error: CourtkeeperError, result: Result) -> CourtkeeperError:
    done = f"{result.metrics['batches']} batches and {result.metrics['partitions_dropped']} partitions"
    counted = CourtkeeperError(f"{error}; {done} were done before")
    counted.partial = error.partial
    return counted


@contextmanager
def _troubles(settings: RetentionSettings) -> Iterator[None]:
    """Turn what a database may answer outside a batch into one sentence."""
    where = settings.database.where
    try:
        yield
    except errors.DiskFull as error:
        raise CourtkeeperError(
            f"the disk of {where} is full: free space there and run again; nothing was lost"
        ) from error
    except errors.QueryCanceled as error:
        raise CourtkeeperError(
            f"counting what is past its time took too long on {where}: "
            "raise statement_timeout_s, or give the column an index"
        ) from error
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        raise CourtkeeperError(f"{where} is busy ({words(error)}): run again later") from error
    except errors.ReadOnlySqlTransaction as error:
        raise ConfigurationError(
            f"a session on {where} may only read ({words(error)}): a where of the tables that writes is to "
            "be mended; or default_transaction_read_only is on for this role"
        ) from error
    except errors.InsufficientPrivilege as error:
        if is_of_files(error):
            raise CourtkeeperError(
                f"the server of {where} may not use its own files ({words(error)}): {MEND_FILES} and run "
                "again; nothing was lost"
            ) from error
        raise ConfigurationError(f"the role lacks a right on {where} ({words(error)}): grant it") from error
    except psycopg.Error as error:
        if error.sqlstate is None or isinstance(error, _ENDED):
            raise CourtkeeperError(
                f"{where} went away ({why_lost(error)}): start it and run again; nothing was lost"
            ) from error
        raise CourtkeeperError(f"{where} refuses a statement: {words(error)}") from error


class _Run:
    def __init__(
        self,
        settings: RetentionSettings,
        result: Result,
        *,
        now: datetime,
        check: bool,
        progress: Progress | None,
        trace: Trace | None,
        pace: Pace,
    ) -> None:
        self._settings, self._result, self._now, self._check, self._pace = settings, result, now, check, pace
        self._progress = progress or (lambda _done, _total, _text: None)
        self._trace = trace or (lambda _step: None)
        self._began = time.monotonic()
        self._plans: list[Plan] = []
        self._tallies: list[tuple[Plan, Tally]] = []
        self.started = False

    def execute(self, connection: Connection) -> None:
        """Do everything on `connection`; findings and actions go into the result."""
        server = _prepare(connection, self._settings, lock=not self._check)
        tables = look_up(connection, self._settings.tables, now=self._now)
        for table in tables:
            check_where(connection, table)
        declared = {table.relation.oid: table for table in tables}
        self._plans = [make_plan(connection, table, declared) for table in tables]
        self._result.findings += [
            reports.unindexed(table)
            for table in tables
            if any(
                heap.estimated_rows >= reports.INDEXED_FROM_ROWS and not heap.indexed for heap in table.heaps
            )
        ]
        if unseen := self._pace.unseen(connection):
            self._result.findings.append(
                reports.unseen_replicas(unseen, self._settings.max_replica_lag_mb, server.grant("pg_monitor"))
            )
        if self._check:
            self._announce()
            return
        self.started = True
        for plan in self._plans:
            self._carry_out(connection, plan, declared, server.version)

    def _announce(self) -> None:
        for plan in self._plans:
            self._result.actions += plan.actions
            self._result.findings.append(
                reports.pending(plan.table, plan.total, plan.oldest, plan.actions, plan.held)
            )
            self._spared(plan)

    def _spared(self, plan: Plan) -> None:
        if plan.partitions and plan.partitions.spared:
            self._result.findings.append(reports.spared(plan.table, plan.partitions.spared))

    def _carry_out(
        self, connection: Connection, plan: Plan, declared: Mapping[int, Table], version: int
    ) -> None:
        table, tally = plan.table, Tally()
        self._tallies.append((plan, tally))
        applied: list[str] = []
        dropped: list[Candidate] = []
        try:
            if plan.actions and (why := self._pace.over()):
                tally.stop = Stop(why)
            elif plan.actions:
                self._make_archive(connection, table, applied)
                if plan.partitions:
                    self._drop(connection, plan, plan.partitions, version, tally, applied, dropped)
                else:
                    self._move(connection, plan, declared, tally)
        except BaseException:
            tally.stop = tally.stop or Stop("the run broke off", broken=True)
            raise
        finally:
            if tally.batches:
                applied.append(reports.transfer(table, tally.rows))
            self._result.actions += applied
            back = reports.undo(table, self._now, dropped) if tally.rows or dropped else ""
            self._result.findings.append(self._finding(plan, tally, applied, back))
            self._spared(plan)

    def _finding(self, plan: Plan, tally: Tally, applied: list[str], undo: str) -> Finding:
        left = max(plan.total - tally.rows, 0)
        return reports.done(
            plan.table, tally, left=left, held=plan.held, oldest=plan.oldest, applied=applied, undo=undo
        )

    def _make_archive(self, connection: Connection, table: Table, applied: list[str]) -> None:
        if table.archive and not table.archive.exists:
            create_archive(connection, table, table.archive)
            self._result.changed = True
            applied.append(reports.creation(table))
            self._trace("archive created")

    def _move(self, connection: Connection, plan: Plan, declared: Mapping[int, Table], tally: Tally) -> None:
        def moved() -> None:
            self._result.changed = True
            self._progress(
                min(tally.rows, plan.total), plan.total, f"{plan.table.quoted}: {tally.rows:,} rows"
            )

        mover = Mover(
            connection,
            plan.table,
            declared,
            self._pace,
            now=self._now,
            tally=tally,
            moved=moved,
            trace=self._trace,
        )
        for heap in plan.table.heaps:
            if tally.stop is None and plan.rows.get(heap.oid):
                mover.move(heap, plan.rows[heap.oid])

    def _drop(
        self,
        connection: Connection,
        plan: Plan,
        found: Partitions,
        version: int,
        tally: Tally,
        applied: list[str],
        dropped: list[Candidate],
    ) -> None:
        dropper = Dropper(
            connection,
            plan.table,
            self._pace,
            version=version,
            has_default=found.has_default,
            now=self._now,
            tally=tally,
            trace=self._trace,
        )
        for candidate in found.candidates:

            def gone(count: int, candidate: Candidate = candidate) -> None:
                self._result.changed = True
                tally.rows += count
                tally.partitions += 1
                applied.append(reports.removal(plan.table, candidate, count))
                dropped.append(candidate)
                self._progress(tally.partitions, len(found.candidates), candidate.partition.quoted)

            if tally.stop is None:
                dropper.drop(candidate, gone)

    def summary(self) -> Result:
        """Return the result with its numbers, its difference and its sentence."""
        moved = sum(tally.rows for plan, tally in self._tallies if plan.table.archive)
        deleted = sum(tally.rows for plan, tally in self._tallies if not plan.table.archive)
        total = sum(plan.total for plan in self._plans)
        done = sum(tally.rows for _, tally in self._tallies)
        self._result.metrics |= {
            "tables": len(self._plans),
            "rows_due": total,
            "rows_moved": moved,
            "rows_deleted": deleted,
            "rows_left": max(total - done, 0),
            "batches": sum(tally.batches for _, tally in self._tallies),
            "partitions_dropped": sum(tally.partitions for _, tally in self._tallies),
            "duration_s": round(time.monotonic() - self._began, 3),
        }
        self._result.diff = self._difference()
        self._result.details = {
            "retention": [
                {"table": plan.table.quoted, "due": plan.total, "oldest": plan.oldest, "held": plan.held}
                for plan in self._plans
            ]
        }
        self._result.msg = self._sentence(moved, deleted)
        return self._result

    def _difference(self) -> dict[str, str]:
        rows = {plan.table.quoted: tally.rows for plan, tally in self._tallies}
        before = [(plan, plan.total) for plan in self._plans if plan.total]
        after = [
            (plan, 0 if self._check else number - rows.get(plan.table.quoted, 0)) for plan, number in before
        ]
        return {
            side: "".join(
                f"{plan.table.quoted}: {reports.rows_words(max(number, 0))} {reports.old(plan.table)}\n"
                for plan, number in state
            )
            for side, state in (("before", before), ("after", after))
        }

    def _sentence(self, moved: int, deleted: int) -> str:
        tables = f"{len(self._plans)} table{'' if len(self._plans) == 1 else 's'}"
        left = self._result.metrics["rows_left"]
        words = [
            f"{reports.rows_words(int(number))} {word}"
            for number, word in (
                (moved, "archived"),
                (deleted, "deleted"),
                (left, "would go" if self._check else "left"),
            )
            if number
        ]
        if self._result.actions and not words:
            words = ["empty partitions dropped"]
        return f"{tables}: {', '.join(words)}." if words else f"Nothing is past its time in {tables}."


def _prepare(connection: Connection, settings: RetentionSettings, *, lock: bool) -> servers.Server:
    connection.autocommit = True
    server = servers.look(connection)
    if server.in_recovery:
        raise ConfigurationError(f"{settings.database.where} is a replica: name the primary")
    # Rows that a policy hides are refused rather than passed over; scans begin where the table begins.
    connection.execute("SET row_security = off")
    connection.execute("SET synchronize_seqscans = off")
    if lock:
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        except errors.LockNotAvailable as error:
            raise CourtkeeperError(
                f"another run of the retention is at work on {settings.database.where}: wait for it"
            ) from error
    return server
