"""Backups of any age in a vault of directories, written as a run writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from courtkeeper.vault import manifest as manifests
from courtkeeper.vault import pipe, recipients
from courtkeeper.vault.destinations import Destination
from courtkeeper.vault.manifest import Manifest, Part, Table
from courtkeeper.vault.settings import Pace

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GLOBALS = (
    b"--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE api;\n"
    b"-- PostgreSQL database cluster dump complete\n--\n"
)


def hollow(
    destinations: Sequence[Destination],
    taken_at: datetime,
    *,
    source: str = "database",
    number: int = 0,
    size: int = 40,
    plain_size: int = 1_000_000,
    tables: Sequence[str] = (),
    key: Any = None,
) -> Manifest:
    """Store a backup whose part has the right size and nothing in it: for whoever looks no further."""
    part = Part(
        name="nba.dump.zst.age",
        kind="pg_dump",
        database="nba",
        plain_size=plain_size,
        plain_sha256="0" * 64,
        sealed_size=size,
        sealed_sha256=hashlib.sha256(b"x" * size).hexdigest(),
        tables=[Table(schema="public", name=name) for name in tables],
    )
    return _stored(destinations, taken_at, source, "postgres", [(part, b"x" * size)], number, key)


def sealed(
    destinations: Sequence[Destination],
    taken_at: datetime,
    public: str,
    *,
    content: bytes = GLOBALS,
    kind: Any = "pg_globals",
    name: str = "globals.sql.zst.age",
    source: str = "database",
    number: int = 0,
    key: Any = None,
    **more: Any,
) -> Manifest:
    """Store a backup of one part that is really sealed."""
    backup_id = _id(taken_at, number)
    where = f"nba/{source}/{backup_id}/{name}"
    done = pipe.seal(
        lambda write: write(content), where, destinations, recipients.parsed([public]), Pace(threads=1)
    )
    part = Part(
        name=name,
        kind=kind,
        plain_size=done.plain_size,
        plain_sha256=done.plain_sha256,
        sealed_size=done.sealed_size,
        sealed_sha256=done.sealed_sha256,
        **more,
    )
    kinds = {"pg_globals": "postgres", "pg_dump": "postgres", "redis_rdb": "redis", "tar": "files"}
    return _stored(destinations, taken_at, source, kinds[kind], [(part, None)], number, key)


def _id(taken_at: datetime, number: int) -> str:
    return f"{taken_at:%Y%m%dT%H%M%SZ}-{number:08x}"


def _stored(
    destinations: Sequence[Destination],
    taken_at: datetime,
    source: str,
    kind: Any,
    parts: Sequence[tuple[Part, bytes | None]],
    number: int,
    key: Any,
) -> Manifest:
    manifest = Manifest(
        vault="nba",
        source=source,
        kind=kind,
        id=_id(taken_at, number),
        taken_at=taken_at,
        finished_at=taken_at + timedelta(minutes=1),
        duration_s=60.0,
        parts=[part for part, _ in parts],
        recipients=[],
    )
    for destination in destinations:
        for part, content in parts:
            if content is not None:
                destination.put(manifest.prefix + part.name, content)
        destination.put(manifest.prefix + manifests.NAME, manifests.write(manifest, key))
        arrived(destination, manifest.prefix, taken_at + timedelta(minutes=1))
    return manifest


def arrived(destination: Destination, prefix: str, when: datetime) -> None:
    """Let the files under a prefix of a directory have come at `when`."""
    folder = Path(destination.where, prefix)
    if folder.is_dir():
        for path in folder.iterdir():
            os.utime(path, (when.timestamp(), when.timestamp()))


def flip(destination: Destination, key: str, offset: int = -20) -> None:
    """Change one byte of a file, and nothing else about it."""
    path = Path(destination.where, key)
    facts = path.stat()
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
