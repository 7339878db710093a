"""When the next batch may begin: inside the time window, and not while a replica is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable

from courtkeeper.database import Connection
from courtkeeper.postgres.retention.settings import RetentionSettings

_POLL_S = 0.2
_LOOK_EVERY_S = 1.0
# A replica that does not catch up in this time is not slow but in trouble: the rest waits for the next run.
_PATIENCE_S = 30.0
_LAG = """
SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::float8 / 1048576
  FROM pg_stat_replication
"""
# Who may not see the statistics of others (pg_monitor) is shown that they are there, and no more.
_UNSEEN = "SELECT count(*) FROM pg_stat_replication WHERE state IS NULL"


class Pace:
    """Holds the next batch back, or says why there is to be none in this run."""

    def __init__(
        self,
        settings: RetentionSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._clock, self._sleep = settings, clock, sleep
        self._ends = clock() + settings.window_s if settings.window_s else float("inf")
        self._begun = False
        self._look_at = clock()

    def over(self) -> str:
        """Return why no further batch may begin: the window; empty where one may."""
        if self._clock() >= self._ends:
            return f"the time window of {self._settings.window_s:g} s is over"
        return ""

    def wait(self, connection: Connection) -> str:
        """Wait until the next batch may begin; return why there is to be none, or nothing."""
        if self._begun and self._settings.pause_s:
            self._sleep(max(0.0, min(self._settings.pause_s, self._ends - self._clock())))
        self._begun = True
        if self._settings.max_replica_lag_mb and self._clock() >= self._look_at:
            if why := self._replicas(connection):
                return why
            self._look_at = self._clock() + _LOOK_EVERY_S
        return self.over()

    def unseen(self, connection: Connection) -> int:
        """Return how many replicas there are whose lag the role may not see, where it would matter."""
        if not self._settings.max_replica_lag_mb:
            return 0
        row = connection.execute(_UNSEEN).fetchone()
        return int(row[0]) if row else 0

    def _replicas(self, connection: Connection) -> str:
        patience = self._clock() + _PATIENCE_S
        while not self.over() and (lag := self._lag(connection)) > self._settings.max_replica_lag_mb:
            if self._clock() >= patience:
                return f"a replica is {lag:.0f} MB behind and does not catch up"
            self._sleep(_POLL_S)
        return ""

    @staticmethod
    def _lag(connection: Connection) -> float:
        row = connection.execute(_LAG).fetchone()
        return float(row[0]) if row else 0.0
