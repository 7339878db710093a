"""The refresh's own record in the database, `refresh_runs`, and the lock that keeps runs apart."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

import msgspec
from psycopg import errors

from courtkeeper.database import Connection
from courtkeeper.findings import CourtkeeperError
from courtkeeper.nba.settings import RefreshSettings

_LOCK_NAME: Final = "courtkeeper nba_refresh"


class RunLog:
    """One run's row. In check mode nothing is written and nobody is locked out."""

    def __init__(
        self, connection: Connection, settings: RefreshSettings, *, now: datetime, check: bool
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._now = now
        self._check = check
        self._run_id = uuid.uuid4()

    def open(self, first: date | None, last: date | None) -> None:
        """Take the lock and write the row. Raises CourtkeeperError where another run holds the lock."""
        if self._check:
            return
        try:
            # Waits as long as for any lock: a run killed a moment ago may not be gone on the server yet.
            # The lock ends with the connection, so a dead run holds nothing.
            self._connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [_LOCK_NAME])
        except errors.LockNotAvailable as error:
            raise CourtkeeperError(
                f"another refresh of {self._settings.database.where} is running: wait for it to end"
            ) from error
        self._connection.commit()
        with self._connection.transaction():
            # We hold the lock, so whoever is still called running has died.
            self._connection.execute(
                "UPDATE refresh_runs SET status = 'interrupted' WHERE status = 'running'"
            )
            self._connection.execute(
                "INSERT INTO refresh_runs (run_id, started_at, date_from, date_to, source, status)"
                " VALUES (%s, %s, %s, %s, %s, 'running')",
                [self._run_id, self._now, first, last, self._settings.source_name],
            )

    def close(
        self,
        status: str,
        *,
        first: date | None,
        last: date | None,
        simulated: bool,
        metrics: Mapping[str, float],
    ) -> None:
        """Write how it ended; where the connection is gone, the next run calls it interrupted."""
        if self._check or self._connection.broken:
            return
        with self._connection.transaction():
            self._connection.execute(
                "UPDATE refresh_runs SET status = %s, simulated = %s, metrics = %s::jsonb, date_from = %s,"
                " date_to = %s, finished_at = greatest(now(), started_at) WHERE run_id = %s",
                [status, simulated, msgspec.json.encode(metrics).decode(), first, last, self._run_id],
            )
