"""Asking for the upkeep of a test's database."""

from __future__ import annotations

from typing import Any

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Result
from courtkeeper.postgres.upkeep.run import upkeep
from courtkeeper.postgres.upkeep.settings import upkeep_settings_from


class Upkeep:
    """`upkeep(duties=["vacuum"], check_mode=True)`: the settings are those of an inventory."""

    def __init__(self, dsn: str) -> None:
        self.settings = DatabaseSettings.from_dsn(dsn)

    def __call__(self, *, check_mode: bool = False, room: Any = None, **told: Any) -> Result:
        more = {"room": room} if room else {}
        return upkeep(self.settings, upkeep_settings_from(told), check_mode=check_mode, **more)
