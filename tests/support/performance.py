"""Look at one database's performance, as a test wants it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding, Result
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.performance.run import performance
from courtkeeper.postgres.performance.settings import performance_settings_from


def look(dsn: str, *, check_mode: bool = False, **told: Any) -> Result:
    """Look at the database of `dsn`: `look(dsn, parts=["settings"], memory_mb=4096)`."""
    return performance(DatabaseSettings.from_dsn(dsn), performance_settings_from(told), check_mode=check_mode)


def of(result: Result, kind: str) -> list[Finding]:
    """The findings of one kind: `of(result, "setting")`."""
    return [one for one in result.findings if one.id == f"postgres.performance.{kind}"]


OURS = "courtkeeper postgres_performance"


def gone(admin: psycopg.Connection[Any]) -> bool:
    """Whether the server has noticed that its client was killed."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    return admin.execute(query, [OURS]).fetchone() == (0,)


class Killed:
    """Performance in a process that ends, as by SIGKILL, before its n-th step after the undo is written."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def at(self, number: int) -> bool:
        """Do it; tell whether that step was reached."""
        child = os.fork()
        if not child:
            self._child(number)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in {0, -signal.SIGKILL}, "the work failed by itself"
        return code != 0

    def _child(self, number: int) -> None:
        left, armed = [number], [False]

        def counted(call: Callable[..., Any], *, arms: bool = False) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **named: Any) -> Any:
                if arms and arguments[1]:
                    armed[0] = True
                left[0] -= armed[0]
                if armed[0] and left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **named)

            return wrapped

        Record._write = counted(Record._write, arms=True)  # type: ignore[method-assign] # it ends by a kill
        psycopg.Connection.execute = counted(psycopg.Connection.execute)  # type: ignore[method-assign]
        psycopg.Transaction.__exit__ = counted(psycopg.Transaction.__exit__)  # type: ignore[method-assign]
        try:
            self.work()
        except BaseException:  # noqa: BLE001 - a child of pytest must not go on
            os._exit(1)
        os._exit(0)
