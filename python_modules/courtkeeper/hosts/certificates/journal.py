"""The way back: a service's files as they were, kept on disk until the new ones have proved themselves."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.certificates import state
from courtkeeper.hosts.certificates.settings import Deploy, Wanted


class Kept(msgspec.Struct, frozen=True):
    """One file as it was; `content` is None where there was none."""

    path: str
    content: bytes | None = None
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


class Snapshot(msgspec.Struct, frozen=True):
    """The files of one deployment as they were before it began."""

    service: str
    files: list[Kept]


def place(directory: Path, wanted: Wanted, deploy: Deploy) -> Path:
    """Return where the snapshot of a deployment lies while it is under way."""
    paths = sorted(map(str, deploy.paths().values()))
    sign = hashlib.sha256("\0".join([deploy.service, *paths]).encode()).hexdigest()[:12]
    return directory / "deploying" / f"{wanted.name}-{sign}.json"


def keep(path: Path) -> Kept:
    """Return the file at `path` as it is."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            return Kept(str(path), stream.read(), status.st_mode & 0o7777, status.st_uid, status.st_gid)
    except FileNotFoundError:
        return Kept(str(path))


def begin(place: Path, deploy: Deploy) -> Snapshot:
    """Return the snapshot of `deploy`: an interrupted run's, which is the true one, or one made now."""
    if (found := load(place)) is not None:
        return found
    snapshot = taken(deploy)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.write(place, msgspec.json.encode(snapshot))
    return snapshot


def taken(deploy: Deploy) -> Snapshot:
    """Return the service's files as they are."""
    return Snapshot(deploy.service, [keep(path) for path in deploy.paths().values()])


def keep_foreign(directory: Path, name: str, snapshot: Snapshot) -> str:
    """Keep the files in `snapshot` that are not of the lineage `name` for good: nobody else may have them.

    Returns where, or an empty string where there was nothing of the kind.
    """
    archive, replaced = directory / "config/archive" / name, directory / "replaced"
    ours = {path.read_bytes() for path in archive.glob("*.pem")}
    for path in archive.glob("fullchain*.pem"):
        key = path.with_name(path.name.replace("fullchain", "privkey"))
        ours.add(path.read_bytes() + (key.read_bytes() if key.exists() else b""))
    kept_at = ""
    for kept in snapshot.files:
        if kept.content and kept.content not in ours:
            replaced.mkdir(mode=0o700, exist_ok=True)
            # By its content, so that it is kept once, whatever is tried again.
            sign = hashlib.sha256(kept.content).hexdigest()[:12]
            state.write(replaced / f"{name}-{sign}-{Path(kept.path).name}", kept.content)
            kept_at = str(replaced)
    return kept_at


def load(place: Path) -> Snapshot | None:
    """Return the snapshot that an interrupted run left at `place`, if one did."""
    try:
        return parse(place.read_bytes(), str(place))
    except FileNotFoundError:
        return None


def parse(data: bytes, where: str) -> Snapshot:
    """Return a snapshot; one that cannot be read is for a person: it may be the only copy."""
    try:
        snapshot = msgspec.json.decode(data, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CourtkeeperError(
            f"{where}, the old files of an interrupted deployment, cannot be read: compare the service's "
            "files by hand, then remove it."
        ) from None
    if not all(kept.path.startswith("/") and "\0" not in kept.path for kept in snapshot.files):
        raise CourtkeeperError(f"{where} names a path that is not absolute: remove it.")
    return snapshot


def put_back(snapshot: Snapshot) -> None:
    """Make the files what they were."""
    for kept in snapshot.files:
        path = Path(kept.path)
        if kept.content is None:
            with suppress(FileNotFoundError):
                path.unlink()
        else:
            state.write(path, kept.content, mode=kept.mode, uid=kept.uid, gid=kept.gid)


def end(place: Path) -> None:
    """Forget the snapshot: the new files are in use, or the old ones are back."""
    with suppress(FileNotFoundError):
        place.unlink()
