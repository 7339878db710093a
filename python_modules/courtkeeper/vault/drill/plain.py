"""Drills of files and caches: unpacked, or loaded, in scratch, and counted."""

from __future__ import annotations

import time
from pathlib import Path

from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.drill.work import Drilled, Opened
from courtkeeper.vault.proofs import Check
from courtkeeper.vault.restore import redis, valkey
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.trees import Unpacking
from courtkeeper.vault.sources.redis import Wire
from courtkeeper.vault.unseal import unseal


def files(opened: Opened, path: Path) -> Drilled:
    """Unpack every tree of a backup below `path`, and count. Raises RestoreError and its like."""
    drilled = Drilled()
    part = next(part for part in opened.backup.manifest.parts if part.kind == "tar")
    places = {root: str(path / f"{number}") for number, root in enumerate(part.roots)}
    begun = time.monotonic()
    unpacking = Unpacking(places)
    try:
        unseal(
            opened.place,
            opened.backup.prefix,
            part,
            opened.identities,
            unpacking.write,
            progress=lambda size: opened.progress(part, size),
        )
        unpacking.finish()
    except OSError as error:
        raise RestoreError(f"the files cannot be unpacked: {error.strerror}") from error
    finally:
        unpacking.close()
    drilled.restore_s = time.monotonic() - begun
    drilled.rto_s = time.monotonic() - opened.begun
    opened.trace("unpacked")
    drilled.checks.append(
        Check(name="restore", passed=True, sentence=f"unpacked in {drilled.restore_s:.1f} s")
    )
    drilled.checks.append(
        Check(
            name="contents",
            passed=unpacking.count == part.files,
            sentence=f"{unpacking.count} files and directories, and the manifest has {part.files}",
            observed=unpacking.count,
            limit=part.files,
            unit="files",
        )
    )
    return drilled


def cache(opened: Opened, path: Path, policy: DrillPolicy) -> Drilled:
    """Load an RDB into a scratch server, write a key, and count. Raises RestoreError and its like."""
    drilled = Drilled()
    part = next(part for part in opened.backup.manifest.parts if part.kind == "redis_rdb")
    program = valkey.server_program(policy.server_program)
    begun = time.monotonic()
    redis.written(
        part,
        opened.place,
        opened.backup.prefix,
        opened.identities,
        path / "dump.rdb",
        lambda size: opened.progress(part, size),
    )
    with valkey.loaded(path, program) as found:
        drilled.restore_s = time.monotonic() - begun
        with Wire(found.settings) as wire:
            wire.ask("SET", "courtkeeper:drill", "written")
            wire.ask("DEL", "courtkeeper:drill")
        drilled.rto_s = time.monotonic() - opened.begun
        opened.trace("loaded")
        drilled.software["server"] = found.version
        wrong = redis.judged(part, found)
    kept = sum(found.keys.values())
    drilled.checks.append(
        Check(name="restore", passed=True, sentence=f"loaded and written to in {drilled.rto_s:.1f} s")
    )
    sentence = wrong or f"{kept} keys loaded, {found.expired} had expired since"
    drilled.checks.append(
        Check(name="contents", passed=not wrong, sentence=sentence, observed=kept, unit="keys")
    )
    return drilled
