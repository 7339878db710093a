"""What a caller may set for the integrity checks, beside the server and the choice of checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, usable_directory, within


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of the platform's own: `sql` returns the rows that offend it, of which `limit` are shown.

    An offended rule is a finding of `severity`, with its `summary` and `fix` where they are given.
    """

    name: str
    sql: str
    severity: Literal["warn", "crit"] = "warn"
    summary: str = ""
    fix: str = ""
    limit: int = msgspec.field(default=10)


class IntegritySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What checks are told by `Check.configure`, and the limits of their statements.

    `rules` and `settings_expected` are what the groups `data` and `settings` compare with, and
    `roles_expected` are the roles that may be superusers or the like (group `security`). Settings that the
    performance duty applied, by its notes in `performance_directory`, are no drift. The group `corruption`
    uses `jobs` connections (0: one for each CPU here) for at most `corruption_budget_s`, and remembers in
    `state_directory`, where there is one, whose turn it is next; with `corruption_unique` it looks for
    duplicates in unique indexes too (17 and later, half as long again). Every statement waits at most
    `lock_timeout_s` for a lock; those that read catalogs take at most `statement_timeout_s`.
    """

    rules: tuple[Rule, ...] = ()
    settings_expected: dict[str, str] = msgspec.field(default_factory=dict)
    roles_expected: tuple[str, ...] = ()
    state_directory: str = ""
    performance_directory: str = ""
    jobs: int = 0
    corruption_budget_s: float = 900.0
    corruption_unique: bool = False
    lock_timeout_s: float = 2.0
    statement_timeout_s: float = 60.0

    @property
    def workers(self) -> int:
        """Return how many connections the group `corruption` opens."""
        return self.jobs or os.cpu_count() or 1


def settings_from(given: Mapping[str, Any]) -> IntegritySettings:
    """Return the settings of a mapping, as an inventory or a command line gives them.

    Raises ConfigurationError, naming the key, for what cannot be; nothing has been asked of a server yet.
    """
    settings = converted(given, IntegritySettings)
    within("jobs", settings.jobs, 0, 256)
    within("corruption_budget_s", settings.corruption_budget_s, 0, 7 * 86400)
    within("lock_timeout_s", settings.lock_timeout_s, 0.001, 3600)
    within("statement_timeout_s", settings.statement_timeout_s, 0.001, 86400)
    names = [rule.name for rule in settings.rules]
    for number, rule in enumerate(settings.rules):
        if not rule.name or not rule.sql.strip():
            raise ConfigurationError(f"rules[{number}] has no name or no sql: give both")
        if rule.name in names[:number]:
            raise ConfigurationError(f"rules[{number}] is called {rule.name!r} like another: rename one")
        within(f"rules[{number}].limit", rule.limit, 1, 1000)
    usable_directory("state_directory", settings.state_directory)
    return settings


def database_from(given: Mapping[str, Any]) -> DatabaseSettings:
    """Return where the database is. Raises ConfigurationError, naming the key, for what cannot be."""
    settings = converted(given, DatabaseSettings, "database.")
    if not settings.name:
        raise ConfigurationError("database.name is empty: name it")
    return settings
