"""What the store forgets, and when."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Table, delete, func, select

from courtkeeper.runner.store import runs_dir
from courtkeeper.store.connection import Database
from courtkeeper.store.notice_tables import noticed, outbox, probes
from courtkeeper.store.recording import run_began
from courtkeeper.store.spans import drop_empty_keys
from courtkeeper.store.tables import (
    actions,
    approvals,
    audit,
    documents,
    holds,
    metrics,
    observations,
    output,
    owners,
    run_hosts,
    runs,
    slots,
    spans,
)

_BATCH = 500  # runs a transaction: nobody else waits for long


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long things are kept. What is still open, running or waited for is kept however old it is."""

    details: timedelta = timedelta(days=90)  # output and whole records; also the directories of var/runs/
    runs: timedelta = timedelta(days=400)  # a year, and the month to compare it with
    audit: timedelta = timedelta(days=3 * 366)


@dataclass(frozen=True, kw_only=True)
class Removed:
    """How much was removed."""

    runs: int = 0
    details: int = 0
    slots: int = 0
    spans: int = 0
    directories: int = 0


class Retention:
    """Removes what is older than it must be."""

    def __init__(self, database: Database) -> None:
        """Remove from `database`."""
        self._database = database

    def apply(self, now: datetime, keep: Keep | None = None, root: Path | None = None) -> Removed:
        """Remove what is too old, in small transactions; with `root` also the directories of its runs.

        The last run of each job stays.
        """
        limits = keep or Keep()
        details = sum(self._details(now - limits.details))
        gone = sum(self._runs(now - limits.runs))
        closed = self._older(spans, spans.c.closed_at, now - limits.runs)
        ended = self._older(slots, slots.c.finished_at, now - limits.runs)
        self._older(owners, owners.c.ended_at, now - limits.details)
        self._older(holds, holds.c.released_at, now - limits.audit)
        self._older(approvals, approvals.c.scheduled_for, now - limits.audit)
        self._older(audit, audit.c.at, now - limits.audit)
        self._older(outbox, outbox.c.ended_at, now - limits.details)
        self._older(noticed, noticed.c.at, now - limits.details)
        self._older(probes, probes.c.hour, now - limits.runs)
        with self._database.write() as connection:
            drop_empty_keys(connection, 10 * _BATCH)
        directories = _remove_directories(root, now - limits.details) if root else 0
        return Removed(runs=gone, details=details, slots=ended, spans=closed, directories=directories)

    def _details(self, before: datetime) -> Iterator[int]:
        for table in (documents, output):
            old = (
                select(table.c.run)
                .join(runs, runs.c.id == table.c.run)
                .where(runs.c.started_at < before, runs.c.finished_at.is_not(None))
                .limit(_BATCH)
            )
            yield from self._repeat(table, old)

    def _repeat(self, table: Table, old: object) -> Iterator[int]:
        while True:
            with self._database.write() as connection:
                count = connection.execute(delete(table).where(table.c.run.in_(old))).rowcount  # type: ignore[arg-type]
            if not count:
                return
            yield count

    def _runs(self, before: datetime) -> Iterator[int]:
        newest = select(func.max(runs.c.started_at)).group_by(runs.c.system, runs.c.job, runs.c.check_mode)
        old = (
            select(runs.c.id)
            .where(runs.c.started_at < before, runs.c.finished_at.is_not(None))
            .where(runs.c.started_at.not_in(newest))
            .order_by(runs.c.started_at)
            .limit(_BATCH)
        )
        while True:
            with self._database.write() as connection:
                numbers = list(connection.execute(old).scalars())
                for table in (run_hosts, documents, output, observations, actions, metrics):
                    connection.execute(delete(table).where(table.c.run.in_(numbers)))
                connection.execute(delete(runs).where(runs.c.id.in_(numbers)))
            if not numbers:
                return
            yield len(numbers)

    def _older(self, table: Table, column: object, before: datetime) -> int:
        with self._database.write() as connection:
            return connection.execute(delete(table).where(column < before)).rowcount  # type: ignore[operator, arg-type]


def _remove_directories(root: Path, before: datetime) -> int:
    """Remove the directories of finished runs begun before; those that are driven or are no run's stay."""
    removed = 0
    for path in sorted(runs_dir(root).glob("*/run.json")):
        began = run_began(path.parent.name)
        if began is not None and began < before and not (path.parent / "driver.lock").exists():
            shutil.rmtree(path.parent, ignore_errors=True)
            removed += 1
    return removed
