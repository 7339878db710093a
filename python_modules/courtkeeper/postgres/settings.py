"""What a caller may set for the integrity checks, beside the server and the choice of checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError

Struct = TypeVar("Struct", bound=msgspec.Struct)


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
    `roles_expected` are the roles that may be superusers or the like (group `security`). The group
    `corruption` uses `jobs` connections (0: one for each CPU here) for at most `corruption_budget_s`, and
    remembers in `state_directory`, where there is one, whose turn it is next; with `corruption_unique` it
    looks for duplicates in unique indexes too (17 and later, half as long again). Every statement waits at
    most `lock_timeout_s` for a lock; those that read catalogs take at most `statement_timeout_s`.
    """

    rules: tuple[Rule, ...] = ()
    settings_expected: dict[str, str] = msgspec.field(default_factory=dict)
    roles_expected: tuple[str, ...] = ()
    state_directory: str = ""
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
    settings = _converted(given, IntegritySettings, "")
    _within("jobs", settings.jobs, 0, 256)
    _within("corruption_budget_s", settings.corruption_budget_s, 0, 7 * 86400)
    _within("lock_timeout_s", settings.lock_timeout_s, 0.001, 3600)
    _within("statement_timeout_s", settings.statement_timeout_s, 0.001, 86400)
    names = [rule.name for rule in settings.rules]
    for number, rule in enumerate(settings.rules):
        if not rule.name or not rule.sql.strip():
            raise ConfigurationError(f"rules[{number}] has no name or no sql: give both")
        if rule.name in names[:number]:
            raise ConfigurationError(f"rules[{number}] is called {rule.name!r} like another: rename one")
        _within(f"rules[{number}].limit", rule.limit, 1, 1000)
    _usable(settings.state_directory)
    return settings


def database_from(given: Mapping[str, Any]) -> DatabaseSettings:
    """Return where the database is. Raises ConfigurationError, naming the key, for what cannot be."""
    settings = _converted(given, DatabaseSettings, "database.")
    if not settings.name:
        raise ConfigurationError("database.name is empty: name the database to check")
    return settings


def _converted(given: Mapping[str, Any], kind: type[Struct], prefix: str) -> Struct:
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        name = prefix + where.strip("`").removeprefix("$").lstrip(".") or "the settings"
        raise ConfigurationError(f"{name} cannot be: {what[0].lower()}{what[1:]}") from error


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigurationError(f"{name} is {value:g}: give a number from {least:g} to {most:g}")


def _usable(directory: str) -> None:
    if not directory:
        return
    path = Path(directory)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"state_directory {directory} cannot be made ({error.strerror}): name a directory that "
            "may be written to, or leave it empty"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"state_directory {directory} may not be written to: mend its permissions, or leave it empty"
        )
