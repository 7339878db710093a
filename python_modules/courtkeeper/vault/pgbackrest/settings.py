"""What is told of one stanza: its server, when which backup is due, what stays. No secret is in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, known, usable_directory, within
from courtkeeper.vault import retention
from courtkeeper.vault.retention import Policy

VARIABLE = "COURTKEEPER_PGBACKREST"
SYSTEM = "/etc/courtkeeper/pgbackrest.json"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW_DAYS = 7.0
_MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class StanzaPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When which backup is taken, what stays, and what is too much.

    `full_on` and `differential_on` are days of the week (`sun`) by `retention.time_zone`; on the others it is
    an incremental one. What a day missed is made up for. A repository whose newest backup is younger than
    `every_hours` needs none. `verify_hours`: its files are read whole that often (0: never). `fresh_hours`:
    so old may the newest good backup be. `archive_minutes`: so long may finished log wait to be archived.
    `proven_days`: so long ago may the last drill be. `timeout_hours` bounds one run of pgBackRest.
    """

    full_on: tuple[str, ...] = ("sun",)
    differential_on: tuple[str, ...] = ()
    every_hours: float = 20.0
    fresh_hours: float = 26.0
    verify_hours: float = 20.0
    archive_minutes: float = 15.0
    proven_days: float = 35.0
    timeout_hours: float = 24.0
    retention: Policy = Policy(window_days=_WINDOW_DAYS)


class Stanza(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stanza of a pgBackRest that is configured on this machine, and its server's socket or address.

    `owner` is the system user that the server runs as: as root, pgBackRest and scratch servers run as it.
    `bin_directory` has the server's own programs, which a restore needs; empty: as Debian keeps them.
    `state_directory` holds the lock and what is remembered; `scratch_directory` is where drills restore to.
    """

    name: str
    config: str = "/etc/pgbackrest/pgbackrest.conf"
    program: str = "pgbackrest"
    host: str = "/var/run/postgresql"
    port: int = 5432
    user: str = ""
    database: str = "postgres"
    owner: str = "postgres"
    bin_directory: str = ""
    state_directory: str = ""
    scratch_directory: str = ""
    policy: StanzaPolicy = StanzaPolicy()

    @property
    def server(self) -> DatabaseSettings:
        """How to connect to the server; the password, if it needs one, is for ~/.pgpass."""
        return DatabaseSettings(host=self.host, port=self.port, name=self.database, user=self.user)


def stanza_from(given: Mapping[str, Any]) -> Stanza:
    """Return the settings of a mapping. Raises ConfigurationError that names the key."""
    told = dict(given)
    policy = told.get("policy")
    if isinstance(policy, Mapping):
        kept = policy.get("retention", {})
        if isinstance(kept, Mapping):
            told["policy"] = {**policy, "retention": {"window_days": _WINDOW_DAYS, **kept}}
    stanza = converted(told, Stanza)
    if not _NAME.fullmatch(stanza.name):
        raise ConfigurationError(f"name is {stanza.name!r}: a stanza has letters, digits, '-', '_' and '.'")
    for key in ("config", "state_directory", "scratch_directory", "bin_directory"):
        value = getattr(stanza, key)
        if value and not value.startswith("/"):
            raise ConfigurationError(f"{key} {value!r} is no absolute path")
    within("port", stanza.port, 1, 65535)
    usable_directory("state_directory", stanza.state_directory)
    _check_policy(stanza.policy)
    return stanza


def _check_policy(policy: StanzaPolicy) -> None:
    retention.checked(policy.retention, "policy.retention.")
    known("day of the week", [*policy.full_on, *policy.differential_on], DAYS)
    if not policy.full_on:
        raise ConfigurationError("policy.full_on is empty: name the day of a full backup, as sun")
    for name, least, most in (
        ("every_hours", 0, 24 * 366),
        ("fresh_hours", 0.01, 24 * 3660),
        ("verify_hours", 0, 24 * 366),
        ("archive_minutes", 0.01, 60 * 24 * 30),
        ("proven_days", 0.01, 3660),
        ("timeout_hours", 0.001, 24 * 30),
    ):
        within(f"policy.{name}", getattr(policy, name), least, most)


def path_of(explicit: str) -> Path | None:
    """Return a file of stanzas: `explicit`, $COURTKEEPER_PGBACKREST, or the system's; None where none is."""
    if named := explicit or os.environ.get(VARIABLE, ""):
        return Path(named)
    return Path(SYSTEM) if Path(SYSTEM).is_file() else None


def stanzas_file(path: Path) -> list[Stanza]:
    """Read `{"stanzas": [...]}`. Raises ConfigurationError that names the file."""
    try:
        with path.open("rb") as stream:
            given = json.loads(stream.read(_MOST_BYTES))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): mend its path") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read: {str(error)[:160]}") from None
    entries = given.get("stanzas") if isinstance(given, dict) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f'{path} names no stanzas: it is to be {{"stanzas": [{{"name": …}}]}}')
    try:
        return [stanza_from(entry) for entry in entries]
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
