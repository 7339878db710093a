"""What one run of the retention needs to know, checked as far as that goes without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, within

MAX_KEEP_DAYS: Final = 36500
MAX_BATCH_ROWS: Final = 100_000
ARCHIVE_SCHEMA: Final = "archive"


class TableRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the rows of one table are kept, and where they go then.

    `table`, `column` and `archive_table` are written as in SQL (`public.jobs`, `"Jobs"`); a table without
    a schema is in `public`. `column` (timestamptz or date) says how old a row is; a null is never old.
    `where` narrows it further (`status IN ('done', 'failed')`). `to`: `archive` (`archive_table`, or the
    table's own name in the schema `archive`), `delete`, or `drop_partitions` (copied to `archive_table`
    first where one is given).
    """

    table: str
    column: str
    keep_days: int
    to: Literal["archive", "delete", "drop_partitions"] = "archive"
    where: str = ""
    archive_table: str = ""
    batch_rows: int = 10_000


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one run needs.

    `window_s`: after so many seconds no further batch is begun (0: no end). `pause_s`: rest between two
    batches. `max_replica_lag_mb`: while a replica is further behind, the next batch waits (0: never).
    """

    database: DatabaseSettings
    tables: tuple[TableRule, ...]
    window_s: float = 0
    pause_s: float = 0
    max_replica_lag_mb: float = 50
    lock_timeout_s: float = 2
    statement_timeout_s: float = 60


def settings_from(parameters: Mapping[str, Any]) -> RetentionSettings:
    """Settings from the plain values of a module's arguments.

    Raises ConfigurationError, naming the table and the value that cannot be.
    """
    tables = parameters.get("tables")
    if not isinstance(tables, list | tuple) or not tables:
        raise ConfigurationError("tables: no table is declared: name at least one")
    rules = tuple(_rule(number, table) for number, table in enumerate(tables, 1))
    settings = converted({**parameters, "tables": rules}, RetentionSettings)
    within("window_s", settings.window_s, 0, 30 * 86400)
    within("pause_s", settings.pause_s, 0, 86400)
    within("max_replica_lag_mb", settings.max_replica_lag_mb, 0, 1e9)
    # Postgres takes 0 for "no limit", and nothing here runs without one.
    within("lock_timeout_s", settings.lock_timeout_s, 0.001, 86400)
    within("statement_timeout_s", settings.statement_timeout_s, 0.001, 86400)
    return settings


def _rule(number: int, value: object) -> TableRule:
    name = value.get("table") if isinstance(value, Mapping) else None
    here = f"tables: number {number} ({name if isinstance(name, str) and name else 'without a name'})"
    if isinstance(value, Mapping):
        given = {key: text for key, text in value.items() if text is not None}
        for key in ("keep_days", "batch_rows"):
            if key in given and (isinstance(given[key], bool) or not _is_whole(given[key])):
                raise ConfigurationError(f"{here}: {key} is {given[key]!r}: give a whole number")
    else:
        raise ConfigurationError(f"{here}: give table, column and keep_days")
    rule = converted(given, TableRule, f"{here}: ")
    within(f"{here}: keep_days", rule.keep_days, 1, MAX_KEEP_DAYS)
    within(f"{here}: batch_rows", rule.batch_rows, 1, MAX_BATCH_ROWS)
    if rule.to == "delete" and rule.archive_table:
        raise ConfigurationError(f"{here}: rows are deleted, so archive_table has no meaning: take one out")
    if rule.to == "drop_partitions" and rule.where:
        raise ConfigurationError(
            f"{here}: a partition goes as a whole, so where has no meaning: take it out, or use to: archive"
        )
    return rule


def _is_whole(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lstrip("-").isdecimal()
    return isinstance(value, int)
