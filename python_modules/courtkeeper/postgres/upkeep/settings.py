"""What a caller may set for the upkeep, beside the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.check import choose
from courtkeeper.settings import converted, within

Duty = Literal[
    "invalid_indexes",
    "freeze",
    "vacuum",
    "analyze",
    "constraints",
    "collations",
    "bloated_indexes",
    "bloated_tables",
    "extensions",
    "foreign_key_indexes",
    "redundant_indexes",
    "sequences",
]


class Terminate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions may be ended: idle in a transaction, or at one query, for longer than so many seconds.

    0 seconds: never. Only sessions of `allow_users` (`*`: of every role that is no superuser; a superuser
    is touched only by name), never those of `never_users` and `never_applications`. A query is cancelled
    first and its session ended where it is still at it `grace_s` later.
    """

    idle_in_transaction_s: float = 0.0
    query_s: float = 0.0
    allow_users: tuple[str, ...] = ()
    never_users: tuple[str, ...] = ()
    never_applications: tuple[str, ...] = ("pg_dump", "pg_dumpall", "pg_restore")
    grace_s: float = 5.0


class UpkeepSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the upkeep is to be done.

    Nothing is begun that is not expected to end within `window_s` seconds of the start. A statement waits
    `lock_timeout_s` for a lock, and takes at most `statement_timeout_s` or what is left of the window.
    `duties` (empty: all) are what is looked after, `thresholds` limits by check. `extensions` are updated,
    an index for each foreign key in `create_indexes` is built, and those of `drop_indexes` are dropped where
    another one repeats them: nothing of that untold. `repack` allows pg_repack. The usage statistics are
    copied every `snapshot_interval_h` and kept for `snapshot_keep_days`, as are actions that later ones
    on the same object replaced.
    """

    window_s: float = 3600.0
    lock_timeout_s: float = 2.0
    statement_timeout_s: float = 1800.0
    duties: tuple[Duty, ...] = ()
    thresholds: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    repack: bool = False
    extensions: tuple[str, ...] = ()
    create_indexes: tuple[str, ...] = ()
    drop_indexes: tuple[str, ...] = ()
    terminate: Terminate = Terminate()
    snapshot_interval_h: float = 20.0
    snapshot_keep_days: float = 90.0

    def wants(self, duty: str) -> bool:
        """Whether a duty is among the chosen ones."""
        return not self.duties or duty in self.duties


def upkeep_settings_from(given: Mapping[str, Any]) -> UpkeepSettings:
    """Return the settings of a mapping, as an inventory gives them.

    Raises ConfigurationError, naming the key, for what cannot be; nothing has been asked of a server yet.
    """
    settings = converted(given, UpkeepSettings)
    within("window_s", settings.window_s, 0, 7 * 86400)
    within("lock_timeout_s", settings.lock_timeout_s, 0.001, 60)
    within("statement_timeout_s", settings.statement_timeout_s, 0.001, 7 * 86400)
    within("snapshot_interval_h", settings.snapshot_interval_h, 0, 8760)
    within("snapshot_keep_days", settings.snapshot_keep_days, 1, 3650)
    _terminate(settings.terminate)
    choose(names=["indexes.invalid"], thresholds=settings.thresholds)  # refuses what no check has
    return settings


def _terminate(told: Terminate) -> None:
    within("terminate.idle_in_transaction_s", told.idle_in_transaction_s, 0, 30 * 86400)
    within("terminate.query_s", told.query_s, 0, 30 * 86400)
    within("terminate.grace_s", told.grace_s, 0, 60)
    if (told.idle_in_transaction_s or told.query_s) and not told.allow_users:
        raise ConfigurationError(
            "terminate.allow_users is empty: name the roles whose sessions may be ended, or '*' for every "
            "role that is no superuser"
        )
