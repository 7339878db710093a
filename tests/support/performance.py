"""Look at one database's performance, as a test wants it."""

from __future__ import annotations

from typing import Any

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding, Result
from courtkeeper.postgres.performance.run import performance
from courtkeeper.postgres.performance.settings import performance_settings_from


def look(dsn: str, *, check_mode: bool = False, **told: Any) -> Result:
    """Look at the database of `dsn`: `look(dsn, parts=["settings"], memory_mb=4096)`."""
    return performance(DatabaseSettings.from_dsn(dsn), performance_settings_from(told), check_mode=check_mode)


def of(result: Result, kind: str) -> list[Finding]:
    """The findings of one kind: `of(result, "setting")`."""
    return [one for one in result.findings if one.id == f"postgres.performance.{kind}"]
