"""What is to be restored, and what may be done for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted
from courtkeeper.vault import manifest
from courtkeeper.vault.settings import FilesSource, PostgresSource, SourceSettings


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One restore of one source.

    `backup`: an id; else the newest taken no later than `until` (ISO 8601, UTC unless it says otherwise).
    `destination`: read from this one first. `database`: one of a Postgres server; empty: all of them, and the
    roles that are missing. `table`: `schema.name` of that database. `path`: one of the trees of a backup of
    files; empty: all. `beside`: it is not swapped in and stays beside what is in use. `replace`: the names
    (databases, tables, paths, the Redis source) that are in use and may be replaced. `end_sessions`: those of
    a database that is replaced. `roles`: make missing ones for one database, too. `accept_differences`: swap
    in what differs from the manifest, because it is better than nothing.
    """

    source: str
    backup: str = ""
    until: str = ""
    destination: str = ""
    database: str = ""
    table: str = ""
    path: str = ""
    beside: bool = False
    replace: tuple[str, ...] = ()
    end_sessions: bool = False
    roles: bool = False
    accept_differences: bool = False

    @property
    def moment(self) -> datetime | None:
        """`until`, as a moment in UTC. Raises ConfigurationError."""
        if not self.until:
            return None
        try:
            found = datetime.fromisoformat(self.until)
        except ValueError:
            raise ConfigurationError(
                f"until {self.until!r} is no moment: write it as 2026-02-12T06:00:00+00:00"
            ) from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def request_from(given: Mapping[str, Any]) -> Request:
    """Return the request of a mapping. Raises ConfigurationError that names the key."""
    request = converted(given, Request)
    if request.backup and not manifest.is_id(request.backup):
        raise ConfigurationError(f"backup {request.backup!r} is no id: look at `courtkeeper vault list`")
    if request.backup and request.until:
        raise ConfigurationError("backup and until exclude each other: give one of them")
    _ = request.moment
    return request


def fitting(request: Request, source: SourceSettings) -> None:
    """Raise ConfigurationError where the request asks for what its source is not."""
    for key in ("database", "table", "end_sessions", "roles"):
        if getattr(request, key) and not isinstance(source, PostgresSource):
            raise ConfigurationError(f"{key} is for databases, and {source.name} is none: leave it out")
    if request.path and not isinstance(source, FilesSource):
        raise ConfigurationError(f"path is for backups of files, and {source.name} is none: leave it out")
    if request.table and request.table.count(".") < 1:
        raise ConfigurationError(f"table {request.table!r} has no schema: write it as public.games")
