"""What a recovery would do, in its order: which backup of which source, what it takes, and what is lost."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from pyrage import x25519

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault import catalog
from courtkeeper.vault.catalog import Backup, Catalog
from courtkeeper.vault.destinations import Destination
from courtkeeper.vault.destinations.base import content
from courtkeeper.vault.findings import lasted, sized
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.proofs import Proof, name_of
from courtkeeper.vault.recovery.host import Host
from courtkeeper.vault.recovery.wish import Wish
from courtkeeper.vault.restore import copies, database, room
from courtkeeper.vault.restore.server import major
from courtkeeper.vault.settings import FilesSource, SourceSettings, VaultSettings
from courtkeeper.vault.unseal import WrongKeyError

# Configuration first: with it the servers listen where, and let in whom, the vault's sources say.
_ORDER = ("files", "postgres", "redis")
# de_DE.UTF-8, de_DE.utf8, sr_RS.UTF-8@latin; C, POSIX and C.UTF-8 are everywhere.
_LOCALE = re.compile(r"(?P<language>[a-z]{2,3}_[A-Z]{2})\.(?P<charset>[A-Za-z0-9-]+)(?P<modifier>@[a-z]+)?")
_PROOF_BYTES = 1 << 20
_DEFAULT_LOG = 1 << 30  # Postgres' own max_wal_size


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A source and the backup that it is recovered from. `paths`: the trees, of files."""

    source: SourceSettings
    backup: Backup
    paths: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`postgres`, `redis` or `files`."""
        return self.backup.manifest.kind

    @property
    def parts(self) -> list[Part]:
        """What has to open."""
        return self.backup.manifest.parts


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is recovered, in this order. `left`: sources of logs, which can wait.

    `locales`: lines of Debian's /etc/locale.gen that the databases need and that no host has by itself.
    """

    chosen: tuple[Chosen, ...]
    left: tuple[str, ...]
    packages: tuple[str, ...]
    services: tuple[str, ...]
    locales: tuple[str, ...]

    def of(self, kind: str) -> list[Chosen]:
        """Return what is of one kind."""
        return [each for each in self.chosen if each.kind == kind]


def made(settings: VaultSettings, wish: Wish, seen: Catalog, fixed: Mapping[str, str]) -> Plan:
    """Choose. `fixed`: backups that an earlier try took, by source.

    Raises ConfigurationError, naming it, for a source that is not known or has no whole backup.
    """
    names = wish.sources or tuple(
        source.name for source in settings.sources if not (isinstance(source, FilesSource) and source.growing)
    )
    if not names:
        raise ConfigurationError("sources is empty: the vault names nothing that could be recovered")
    for name in (*wish.backups, *wish.trees):
        if name not in names:
            raise ConfigurationError(f"{name!r} is none of the sources to recover: {', '.join(names)}")
    found = []
    for name in dict.fromkeys(names):
        source = settings.source(name)
        backup_id = fixed.get(name) or wish.backups.get(name, "")
        until = None if backup_id else wish.moment
        backup = copies.chosen(seen, name, backup_id=backup_id, until=until)
        found.append(Chosen(source=source, backup=backup, paths=_paths(source, backup, wish)))
    found.sort(key=lambda each: _ORDER.index(each.kind))
    return Plan(
        chosen=tuple(found),
        left=tuple(source.name for source in settings.sources if source.name not in names),
        packages=_packages(found, wish),
        services=tuple(dict.fromkeys(service for each in found if (service := _service(each)))),
        locales=tuple(dict.fromkeys(line for each in found for line in _locales(each))),
    )


def _paths(source: SourceSettings, backup: Backup, wish: Wish) -> tuple[str, ...]:
    if not isinstance(source, FilesSource):
        if source.name in wish.trees:
            raise ConfigurationError(f"trees.{source.name} is for files, which it is not: leave it out")
        return ()
    roots = [root for part in backup.manifest.parts for root in part.roots]
    paths = [os.path.normpath(path) for path in wish.trees.get(source.name, ())] or roots
    for path in paths:
        if not any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots):
            there = ", ".join(roots) or "nothing"
            raise ConfigurationError(f"trees.{source.name}: {path} is not in {backup.id}, which has {there}")
    return tuple(paths)


def _packages(chosen: Sequence[Chosen], wish: Wish) -> tuple[str, ...]:
    found = []
    for each in chosen:
        server = each.backup.manifest.server
        if each.kind == "postgres":
            found.append(f"postgresql-{wish.postgres_version or major(server.get('version', ''))}")
        elif service := _service(each):
            found.append(service)
    return tuple(dict.fromkeys([*found, *wish.packages]))


def _locales(each: Chosen) -> list[str]:
    """Return what /etc/locale.gen has to name: a cluster without it makes no such database."""
    found = []
    for part in each.parts:
        known = database.facts(each.backup.manifest, part.database) if part.kind == "pg_dump" else {}
        for name in {known.get("collate", ""), known.get("ctype", "")}:
            if match := _LOCALE.fullmatch(name):
                charset = match["charset"].upper().replace("UTF8", "UTF-8")
                found.append(f"{match['language']}.{charset}{match['modifier'] or ''} {charset}")
    return sorted(found)


def _service(each: Chosen) -> str:
    """Return what Debian calls the service of a server."""
    if each.kind == "postgres":
        return "postgresql"
    if each.kind == "redis":
        return "valkey-server" if each.backup.manifest.server.get("kind") == "valkey" else "redis-server"
    return ""


def require_keys(
    plan: Plan, places: Mapping[str, Destination], wish: Wish, opening: Sequence[x25519.Identity]
) -> None:
    """See that every part of every backup opens, by its beginning. Raises ConfigurationError."""
    for each in plan.chosen:
        try:
            copies.from_copies(each.backup, places, partial(_open, each, opening), first=wish.destination)
        except WrongKeyError as error:
            raise ConfigurationError(f"{error}: give the identity of one of its recipients") from error


def _open(each: Chosen, opening: Sequence[x25519.Identity], place: Destination) -> None:
    copies.require_key(each.backup, each.parts, place, opening)


def require_empty(plan: Plan, wish: Wish, host: Host) -> None:
    """Raise ConfigurationError where anything that would be recovered is here already and was not named."""
    for each in plan.chosen:
        if taken := host.in_use(each.source, each.paths, wish.replace):
            raise ConfigurationError(
                f"this host is not empty: {taken}. A recovery is for an empty host; name what may be "
                "replaced in replace, or take the playbook restore"
            )


def require_room(plan: Plan, host: Host) -> None:
    """Raise ConfigurationError where the disks cannot hold it. What packages take is not counted."""
    needed: dict[int, int] = {}
    where: dict[int, Path] = {}
    for each in plan.chosen:
        for place, size in _sizes(each, host):
            device = place.stat().st_dev
            where[device], needed[device] = place, needed.get(device, 0) + size
    for device, size in needed.items():
        free = shutil.disk_usage(where[device]).free
        if free < size:
            raise ConfigurationError(
                f"the disk of {where[device]} has {sized(free)} free, and the recovery needs about "
                f"{sized(size)}: make room first"
            )


def _sizes(each: Chosen, host: Host) -> list[tuple[Path, int]]:
    if each.kind == "postgres":
        dumps = [part for part in each.parts if part.kind == "pg_dump"]
        return [(_there(host.clusters), room.needs(each.backup.manifest, dumps, _DEFAULT_LOG))]
    if each.kind == "redis":
        return [(_there(host.caches[0]), 2 * each.backup.plain_size)]  # the scratch server's, and its own
    return [(_there(each.paths[0]), each.backup.plain_size)] if each.paths else []


def _there(path: str) -> Path:
    """Return the nearest directory above a path that is there."""
    place = Path(path)
    while not place.is_dir():
        place = place.parent
    return place


def lines(
    plan: Plan, wish: Wish, places: Mapping[str, Destination], seen: Catalog, now: datetime
) -> list[str]:
    """Say in its order what would be done, and how long it should take by the last drills."""
    found = [f"install {' and '.join(plan.packages)}"] if plan.packages else []
    for each in plan.chosen:
        backup, age = each.backup, lasted(max((now - each.backup.taken_at).total_seconds(), 0))
        keys = sum(sum(part.keys.values()) for part in each.parts)
        what = {
            "files": f"restore {', '.join(each.paths)}",
            "postgres": f"restore the roles and {_databases(each)}",
            "redis": f"load {keys} keys into {each.source.name}",
        }[each.kind]
        found.append(f"{what} from {backup.id} ({age} old; {_duration(each, places, seen)})")
        if each.kind == "files" and plan.services:
            found.append(f"restart {' and '.join(plan.services)} with that configuration")
    found += [f"wait until {url} answers" for url in wish.answers]
    return found


def _databases(each: Chosen) -> str:
    dumps = [part for part in each.parts if part.kind == "pg_dump"]
    tables = sum(len(part.tables) for part in dumps)
    return f"{', '.join(part.database for part in dumps)}, and check rows and checksums of {tables} tables,"


def _duration(each: Chosen, places: Mapping[str, Destination], seen: Catalog) -> str:
    size = sized(each.backup.plain_size)
    if proof := _proof(each, places, seen):
        seconds = each.backup.plain_size * proof.restore_s / max(proof.plain_bytes, 1)
        return f"{size}, about {lasted(seconds)} by the drill of {proof.drilled_at:%Y-%m-%d}"
    return f"{size}, how long it takes is not known, as no drill left evidence"


def _proof(each: Chosen, places: Mapping[str, Destination], seen: Catalog) -> Proof | None:
    """Return the evidence of the newest drill of a source that can be read: rates died with the host."""
    drilled = [backup for backup in seen.of(each.source.name) if backup.proven_at]
    for backup in sorted(drilled, key=lambda found: found.proven_at or found.taken_at, reverse=True)[:3]:
        for name in backup.where:
            if name in places and backup.proven_at:
                try:
                    key = backup.prefix + name_of(backup.proven_at)
                    return msgspec.json.decode(content(places[name], key, _PROOF_BYTES), type=Proof)
                except (CourtkeeperError, msgspec.MsgspecError, ValueError):
                    continue
    return None


def load(settings: VaultSettings, places: Mapping[str, Destination]) -> Catalog:
    """Return all backups of the vault."""
    return catalog.of(settings, list(places.values()))
