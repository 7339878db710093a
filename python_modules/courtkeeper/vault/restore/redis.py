"""A cache: loaded into a scratch server and counted there, then copied into the one in use by replication.

The server in use keeps serving what it has until the whole copy has arrived, and changes over to it by itself
(`REPLICAOF`); afterwards it is nobody's replica again. What it held before is kept as an RDB.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from pyrage import x25519

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.drill import scratch
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.pipe import Chunk
from courtkeeper.vault.policy import policy_from
from courtkeeper.vault.restore import asides, copies, estimate, replica, valkey
from courtkeeper.vault.restore.asides import Aside
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.valkey import Loaded
from courtkeeper.vault.restore.work import Work
from courtkeeper.vault.settings import RedisSource
from courtkeeper.vault.sources.redis import RedisServer, Wire
from courtkeeper.vault.unseal import unseal

_LOCAL = {"127.0.0.1", "localhost", "::1", ""}
_SYNC_S = 3600.0


def wanted(work: Work) -> Part:
    """Return the RDB. Raises ConfigurationError where there is none."""
    for part in work.backup.manifest.parts:
        if part.kind == "redis_rdb":
            return part
    raise ConfigurationError(f"the backup {work.backup.id} has no RDB")


def written(
    part: Part,
    place: Destination,
    prefix: str,
    opening: list[x25519.Identity],
    path: Path,
    progress: Callable[[int], None],
) -> None:
    """Write the plain RDB into a new file (0600). Raises as `unseal` does, and RestoreError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            unseal(place, prefix, part, opening, stream.write, progress=progress)
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise RestoreError(f"{path} cannot be written: {error.strerror}") from error


def judged(part: Part, found: Loaded) -> str:
    """Say in which way keys are missing; empty where all came back (or expired since)."""
    then, now = sum(part.keys.values()), sum(found.keys.values())
    if now + found.expired >= then:
        return ""
    return f"{now} keys were loaded and {found.expired} had expired, and the manifest has {then}"


def plan(work: Work, source: RedisSource) -> None:
    """Say what would happen."""
    part = wanted(work)
    valkey.server_program(_program(work))
    copies.from_copies(
        work.backup,
        work.places,
        lambda place: copies.require_key(work.backup, [part], place, work.identities),
        first=work.request.destination,
    )
    how_long = estimate.duration(work.settings, "redis", part.plain_size)
    count = sum(part.keys.values())
    work.result.actions.append(
        f"load {count} keys of {work.backup.id} ({work.age} old) into a scratch server ({how_long})"
    )
    if not work.request.beside:
        now = _held(source)
        work.result.actions.append(
            f"copy them into {source.name} by replication; the {now} keys that it has now are kept as an RDB"
        )
        text = f"Lost would be what was written in the {work.age} since then: {now} keys now, {count} then."
        work.found("lost", source.name, Status.WARN, text, fix="it stays in the RDB of the former state")
        if refused := refusal(work, source, now):
            work.found("refused", source.name, Status.CRIT, f"It would be refused: {refused}.")
    work.result.changed = True
    work.result.msg = f"would restore {source.name} from {work.backup.id}"


def refusal(work: Work, source: RedisSource, held: int) -> str:
    """Say why it may not be done; empty where it may."""
    if work.request.beside:
        return ""
    if not source.socket and source.host not in _LOCAL:
        return f"{source.host} cannot copy from a scratch server here: restore on that host, or beside"
    if held and source.name not in work.request.replace:
        return f"{source.name} is in use ({held} keys): say replace {source.name}, or restore it beside"
    return ""


def restore(work: Work, source: RedisSource) -> None:
    """Restore. Raises ConfigurationError where it is refused, RestoreError and its like where it fails."""
    part = wanted(work)
    program = valkey.server_program(_program(work))
    if not work.request.beside and (refused := refusal(work, source, _held(source))):
        raise ConfigurationError(f"{refused}: nothing was done")
    for each in asides.noted(work.settings):
        if each.state == "restoring" and each.source == source.name:
            asides.discard(work.settings, each)
            work.did(f"removed {each.path}, which a killed restore had left")
    parent = work.settings.state_directory
    for path in scratch.remove_leftovers(parent, _mark(work)):
        work.did(f"removed {path}, which a killed restore had left")
    copies.from_copies(
        work.backup,
        work.places,
        lambda place: _restored(work, source, part, place, program),
        first=work.request.destination,
    )


def _restored(work: Work, source: RedisSource, part: Part, place: Destination, program: str) -> None:
    begun = time.monotonic()
    with scratch.directory(work.settings.state_directory, _mark(work)) as path:
        _ours(path)
        work.trace("scratch")
        written(
            part,
            place,
            work.backup.prefix,
            work.identities,
            path / "dump.rdb",
            lambda size: work.passed(part, size),
        )
        work.trace("written")
        with valkey.loaded(path, program) as found:
            work.remember(part.plain_size, time.monotonic() - begun)
            if wrong := judged(part, found):
                if not work.request.accept_differences:
                    raise RestoreError(f"{source.name} did not come out as it was backed up: {wrong}")
                work.found("contents", source.name, Status.CRIT, f"It is not as it was backed up: {wrong}.")
            else:
                text = f"{sum(found.keys.values())} keys were loaded, {found.expired} had expired."
                work.found("contents", source.name, Status.OK, text)
            work.trace("checked")
            if not work.request.beside:
                _swapped(work, source, found)
        if work.request.beside:
            _kept(work, source, path / "dump.rdb")


def _kept(work: Work, source: RedisSource, path: Path) -> None:
    aside = _aside(work, source, "restored")
    asides.note(work.settings, aside)
    path.rename(aside.path)
    asides.note(work.settings, msgspec.structs.replace(aside, state="checked"))
    work.did(f"restored {source.name} as {aside.path}, beside the one in use")


def _swapped(work: Work, source: RedisSource, found: Loaded) -> None:
    """Keep what is there as an RDB, and let the server copy from the scratch one."""
    former = _aside(work, source, "former")
    asides.note(work.settings, former)
    try:
        _saved(source, Path(former.path))
    except BaseException:
        with suppress(OSError, CourtkeeperError):  # the half of it would keep the disk full
            asides.discard(work.settings, former)
        raise
    asides.note(work.settings, msgspec.structs.replace(former, state="former"))
    work.did(f"kept what {source.name} held as {former.path}")
    work.found(
        "former",
        source.name,
        Status.OK,
        f"What it held before is kept as {former.path}.",
        fix=f"courtkeeper vault former {source.name} --remove {former.path}, when not needed",
    )
    work.result.details["former"] = {source.name: former.path}
    work.trace("saved")
    with Wire(source) as wire, _as_replica(work, source, wire, found):
        work.trace("copying")
        deadline = time.monotonic() + _SYNC_S
        while time.monotonic() < deadline:
            known = valkey.facts(wire)
            if known.get("master_link_status") == "up" and known.get("master_sync_in_progress") == "0":
                break
            time.sleep(0.05)
        else:
            raise RestoreError(f"{source.name} did not copy from the scratch server in {_SYNC_S:g} s")
        work.trace("copied")
    with Wire(source) as wire:
        now = sum(valkey.keys_of(valkey.facts(wire)).values())
    work.trace("swapped")
    work.did(f"swapped in {source.name} as of {work.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC: {now} keys")


@contextmanager
def _as_replica(work: Work, source: RedisSource, wire: Wire, found: Loaded) -> Iterator[None]:
    """Make the server a replica of the scratch one, and nobody's again afterwards."""
    before = {name: valkey.setting(wire, name) for name in ("masterauth", "masteruser")}
    replica.mark(work.settings, source, found.settings, auth=bool(before["masterauth"]))
    try:
        wire.ask("CONFIG", "SET", "masteruser", "")
        wire.ask("CONFIG", "SET", "masterauth", found.settings.password)
        wire.ask("REPLICAOF", "127.0.0.1", str(found.settings.port))
        yield
    except BaseException as error:
        _released(work, source, before, f"{error}; ")
        raise
    _released(work, source, before)


def _released(work: Work, source: RedisSource, before: Mapping[str, str], why: str = "") -> None:
    """Make it a master again, by a connection of its own: the one before may be what failed (`why`)."""
    try:
        with Wire(source) as wire:
            wire.ask("REPLICAOF", "NO", "ONE")
            for name, value in before.items():
                wire.ask("CONFIG", "SET", name, value)
    except CourtkeeperError as error:
        raise RestoreError(
            f"{why}{source.name} may still be the replica of a scratch server, which nobody can write to "
            f"({error}): run a backup or a restore of this vault, either makes it a master again"
        ) from error
    replica.unmark(work.settings, source)


def _saved(source: RedisSource, path: Path) -> None:
    """Keep what the server has as an RDB. Raises RestoreError, and SourceError where it does not give it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream, RedisServer(source).open() as session:

            def write(chunk: Chunk) -> None:
                stream.write(chunk)

            for step in session.steps():
                step.produce(write)
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise RestoreError(
            f"what {source.name} holds now cannot be kept as {path} ({error.strerror}): nothing was changed; "
            "make room there"
        ) from error


def _held(source: RedisSource) -> int:
    with Wire(source) as wire:
        return sum(valkey.keys_of(valkey.facts(wire)).values())


def _aside(work: Work, source: RedisSource, what: str) -> Aside:
    name = f"{work.settings.name}.{source.name}.{what}"
    return Aside(
        path=asides.beside(str(Path(work.settings.state_directory, name)), work.now()) + ".rdb",
        of=source.name,
        source=source.name,
        backup=work.backup.id,
        at=work.now(),
        state="restoring",
    )


def _ours(path: Path) -> None:
    """A cache's server runs as we do: the directory is ours and not Postgres'."""
    if os.geteuid() == 0:
        os.chown(path, 0, 0)


def _mark(work: Work) -> str:
    return f"{work.settings.name}-cache"


def _program(work: Work) -> str:
    if not work.settings.state_directory:
        raise ConfigurationError(
            "state_directory is empty: a restore of a cache keeps its former state there"
        )
    return policy_from(work.settings.policy).drill.server_program
