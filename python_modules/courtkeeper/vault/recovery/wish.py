"""What a recovery is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, within
from courtkeeper.vault import manifest
from courtkeeper.vault.restore.request import request_from


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recovery of one host.

    `sources`: those to recover; empty: all but logs (`growing`). `backups`: the id to take, by source; the
    others' newest, taken no later than `until`. `destination`: read from this one first. `trees`: by source
    of files, the paths to bring back; left out, all that are in the backup. `replace`: what is in use and may
    be replaced (databases, paths, the Redis source). `end_sessions`: those of a database that is replaced.
    `accept_differences`: take what differs from its manifest, because it is better than nothing.
    `packages`: to be installed beside those that the backups ask for. `postgres_version`: another major
    version than the backup's. `answers`: URLs that have to answer with 200 in the end, within `patience_s`.
    `waited_s`: what passed from the decision to recover until the first step.
    """

    sources: tuple[str, ...] = ()
    backups: dict[str, str] = msgspec.field(default_factory=dict)
    until: str = ""
    destination: str = ""
    trees: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    replace: tuple[str, ...] = ()
    end_sessions: bool = False
    accept_differences: bool = False
    packages: tuple[str, ...] = ()
    postgres_version: str = ""
    answers: tuple[str, ...] = ()
    patience_s: float = 120.0
    waited_s: float = 0.0

    @property
    def moment(self) -> datetime | None:
        """`until`, as a moment in UTC. Raises ConfigurationError."""
        return request_from({"source": "any", "until": self.until}).moment


def wish_from(given: Mapping[str, Any]) -> Wish:
    """Return the wish of a mapping. Raises ConfigurationError that names the key."""
    wish = converted(given, Wish)
    for source, backup in wish.backups.items():
        if not manifest.is_id(backup):
            raise ConfigurationError(
                f"backups.{source} {backup!r} is no id: look at `courtkeeper vault list`"
            )
    _ = wish.moment
    for source, paths in wish.trees.items():
        for path in paths:
            if not path.startswith("/") or path.rstrip("/") == "":
                raise ConfigurationError(f"trees.{source} {path!r} is no absolute path of a tree")
    for url in wish.answers:
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"answers {url!r} is no address, such as http://127.0.0.1:8000/health")
    if wish.postgres_version and not wish.postgres_version.isdecimal():
        raise ConfigurationError(f"postgres_version {wish.postgres_version!r} is no number, such as 15")
    within("patience_s", wish.patience_s, 1, 86400)
    within("waited_s", wish.waited_s, 0, 1e7)
    return wish
