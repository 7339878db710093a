"""Asking for the upkeep of a test's database."""

from __future__ import annotations

from typing import Any

import psycopg

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Result
from courtkeeper.postgres.upkeep.run import upkeep
from courtkeeper.postgres.upkeep.settings import upkeep_settings_from

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
