"""A cache is the replica of a scratch server while it copies from it; who is killed then leaves it one.

A marker in the vault's state says so. As nobody can write to such a cache, the next backup or restore of the
vault, of whatever source, makes it its own master again, and verification names it until then.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status
from courtkeeper.vault.lock import BusyError, alone
from courtkeeper.vault.restore import valkey
from courtkeeper.vault.settings import RedisSource, VaultSettings
from courtkeeper.vault.sources.redis import Wire


class _Copying(msgspec.Struct, frozen=True):
    """The scratch server: port and SHA-256 of its password. `auth`: the cache had a `masterauth` before."""

    port: int
    password: str
    auth: bool


def mark(settings: VaultSettings, source: RedisSource, scratch: RedisSource, *, auth: bool) -> None:
    """Note that a cache is about to copy from a scratch server."""
    note = _Copying(scratch.port, _digest(scratch.password), auth)
    _marker(settings, source).write_bytes(msgspec.json.encode(note))


def unmark(settings: VaultSettings, source: RedisSource) -> None:
    """Note that it is its own master again."""
    _marker(settings, source).unlink(missing_ok=True)


def release(settings: VaultSettings) -> tuple[list[str], list[Finding]]:
    """Make caches their own masters again that a killed restore left; return what was done and what is wrong.

    Never raises: a cache that does not answer is named by whatever is done with it, and its marker stays.
    Nothing is done while a restore is at work.
    """
    with contextlib.suppress(BusyError, ConfigurationError, OSError), _idle(settings):
        return release_held(settings)
    return [], []


def release_held(settings: VaultSettings) -> tuple[list[str], list[Finding]]:
    """Do as `release`, for who holds the lock of restores."""
    actions, findings = [], []
    for source, left in _left(settings):
        try:
            with Wire(source) as wire:
                if _is_replica(wire, left):
                    wire.ask("REPLICAOF", "NO", "ONE")
                    actions.append(
                        f"made {source.name} its own master again, which a killed restore had left a replica"
                    )
                if _digest(valkey.setting(wire, "masterauth")) == left.password:
                    wire.ask("CONFIG", "SET", "masterauth", "")
                    findings += [_without_auth(source)] if left.auth else []
        except CourtkeeperError as error:
            findings.append(_unknown(source, error))
        else:
            unmark(settings, source)
    return actions, findings


def findings(settings: VaultSettings) -> Iterator[Finding]:
    """Name the caches that a killed restore left as replicas. A restore at work is none."""
    with contextlib.suppress(BusyError, ConfigurationError, OSError), _idle(settings):
        for source, left in _left(settings):
            try:
                with Wire(source) as wire:
                    if _is_replica(wire, left):
                        yield Finding(
                            id="restore.replica",
                            subject=source.name,
                            status=Status.CRIT,
                            summary=f"Nobody can write to {source.name}: a restore was killed while it "
                            "copied, and left it the replica of a scratch server.",
                            fix="run a backup or a restore of this vault: either makes it a master again",
                        )
            except CourtkeeperError as error:
                yield _unknown(source, error)


@contextlib.contextmanager
def _idle(settings: VaultSettings) -> Iterator[None]:
    """Hold the lock of restores, where there is something to look at."""
    if not _left(settings):
        yield
        return
    with alone(settings, "restore"):
        yield


def _left(settings: VaultSettings) -> list[tuple[RedisSource, _Copying]]:
    found = []
    for source in settings.sources:
        if isinstance(source, RedisSource) and settings.state_directory:
            with contextlib.suppress(OSError):
                found.append((source, _read(_marker(settings, source).read_bytes())))
    return found


def _read(content: bytes) -> _Copying:
    """Return what a marker says; one that was cut short was written before anything else was done."""
    try:
        return msgspec.json.decode(content, type=_Copying)
    except msgspec.MsgspecError:
        return _Copying(0, "", auth=False)


def _is_replica(wire: Wire, left: _Copying) -> bool:
    known = valkey.facts(wire)
    return known.get("role") == "slave" and known.get("master_port") == str(left.port)


def _without_auth(source: RedisSource) -> Finding:
    return Finding(
        id="restore.replica",
        subject=source.name,
        status=Status.WARN,
        summary=f"{source.name} had a masterauth before the restore that was killed, and has none now.",
        fix="set it again (CONFIG SET masterauth), or restart the server, which reads it from its file",
    )


def _unknown(source: RedisSource, error: CourtkeeperError) -> Finding:
    return Finding(
        id="restore.replica",
        subject=source.name,
        status=Status.UNKNOWN,
        summary=f"A restore was killed while it copied into {source.name}, which may be a replica: {error}",
        fix="start it or mend its address, and run this again",
    )


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _marker(settings: VaultSettings, source: RedisSource) -> Path:
    return Path(settings.state_directory, f"{settings.name}.{source.name}.copying")
