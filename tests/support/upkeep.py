"""Asking for the upkeep of a test's database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import psycopg

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Result
from courtkeeper.postgres.upkeep.run import upkeep
from courtkeeper.postgres.upkeep.settings import upkeep_settings_from
from support.platform import LIBRARY

Admin = psycopg.Connection[Any]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = %s"


def invalid(admin: Admin, table: str = "t") -> None:
    """A table with an invalid index `<table>_n` and one row."""
    admin.execute(f"CREATE TABLE {table} (n int); INSERT INTO {table} VALUES (1)")
    admin.execute(f"CREATE INDEX {table}_n ON {table} (n)")
    admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [f"{table}_n"])


def another(admin: Admin) -> Admin:
    """One more connection like that one, in a transaction."""
    return psycopg.connect(admin.info.dsn, password=admin.info.password)


class Upkeep:
    """`upkeep(duties=["vacuum"], check_mode=True)`: the settings are those of an inventory."""

    def __init__(self, dsn: str) -> None:
        self.settings = DatabaseSettings.from_dsn(dsn)

    def __call__(self, *, check_mode: bool = False, room: Any = None, **told: Any) -> Result:
        more = {"room": room} if room else {}
        return upkeep(self.settings, upkeep_settings_from(told), check_mode=check_mode, **more)


class Killed:
    """An upkeep in a process of its own, which is killed while its statement waits or works."""

    CODE = """
import json
import sys
from courtkeeper.database import DatabaseSettings
from courtkeeper.postgres.upkeep.run import upkeep
from courtkeeper.postgres.upkeep.settings import upkeep_settings_from
upkeep(DatabaseSettings.from_dsn(sys.stdin.readline().strip()), upkeep_settings_from(json.loads(sys.argv[1])))
"""

    def __init__(self, dsn: str, **told: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, json.dumps(told)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(LIBRARY)},
            text=True,
        )
        assert self.process.stdin
        self.process.stdin.write(dsn + "\n")
        self.process.stdin.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
