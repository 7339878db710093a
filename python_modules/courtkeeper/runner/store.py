"""Where runs live: `var/runs/<run id>/`, who may run, and what is left of a driver that died."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner import processes, record
from courtkeeper.runner.options import shown
from courtkeeper.runner.record import RunRecord, RunStatus

_DRIVER = "driver.lock"
PRIVATE = "private"


def runs_dir(root: Path) -> Path:
    """Return the directory of all runs."""
    return root / "var" / "runs"


def new_run_id(job: str, now: datetime) -> str:
    """Return an id for a run; ids sort by time."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{job}-{secrets.token_hex(2)}"


def new_run_dir(root: Path, run_id: str) -> Path:
    """Create and return a run's directory, which has its id for a name."""
    path = runs_dir(root) / run_id
    try:
        path.mkdir(parents=True)
        (path / PRIVATE).mkdir(mode=0o700)
    except OSError as error:
        raise cannot_write(path, root, error) from error
    return path


def cannot_write(path: Path, root: Path, error: OSError) -> CourtkeeperError:
    """Return the error to raise when a run cannot write what it must."""
    return CourtkeeperError(
        f"{shown(path, root)} cannot be written: {error.strerror or error}; make room or mend its rights."
    )


@contextmanager
def room_for(run_dir: Path, root: Path) -> Iterator[None]:
    """Turn what the disk says while a run is written into the error of `cannot_write`."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads along has gone: no disk's fault
    except OSError as error:
        raise cannot_write(Path(error.filename or run_dir), root, error) from error


@contextmanager
def only_one(root: Path, inventory: Path, job: str) -> Iterator[None]:
    """Hold the right to run `job` on `inventory`. Raises CourtkeeperError if another run has it.

    The kernel lets go of the lock when its holder dies, however it dies.
    """
    name = shown(inventory, root)
    label = re.sub(r"\W+", "-", name).strip("-")
    digest = hashlib.sha256(str(inventory).encode()).hexdigest()[:8]
    path = root / "var" / "locks" / f"{job}-{label}-{digest}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, root, error) from error
    try:
        if not _lock(handle):
            holder = os.read(handle, 200).decode(errors="replace").strip() or "process unknown"
            raise CourtkeeperError(
                f"{job} is already running on {name} ({holder}): wait for it, or cancel it."
            )
        with suppress(OSError):  # who has it is a courtesy: a full disk takes the lock and not the word
            os.truncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def driving(run_dir: Path) -> Iterator[None]:
    """Mark a run as driven by this process; the mark goes when the run is over, the lock also if we die."""
    path = run_dir / _DRIVER
    unlocked = run_dir / f"{_DRIVER}.new"
    handle = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # It gets its name once it is locked: before that `reconcile` would take us for dead.
        _lock(handle)
        unlocked.replace(path)
        yield
        shutil.rmtree(run_dir / PRIVATE, ignore_errors=True)
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def reconcile(root: Path, now: datetime) -> list[RunRecord]:
    """Close the runs whose driver died: end what they left running and mark them failed.

    Returns the records that were closed.
    """
    return [closed for path in sorted(runs_dir(root).glob(f"*/{_DRIVER}")) if (closed := _close(path, now))]


def _close(path: Path, now: datetime) -> RunRecord | None:
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        if not _lock(handle):
            return None  # its driver lives
        run_dir = path.parent
        ended, left = processes.end_run(run_dir, grace_s=2.0)
        shutil.rmtree(run_dir / PRIVATE, ignore_errors=True)
        closed = _mark_failed(run_dir, now, ended, left)
        path.unlink(missing_ok=True)
        return closed
    finally:
        os.close(handle)


def _mark_failed(run_dir: Path, now: datetime, ended: int, left: list[int]) -> RunRecord | None:
    try:
        old = record.read(run_dir / "run.json")
    except (OSError, msgspec.DecodeError):
        return None
    if old.status is not RunStatus.RUNNING:
        return None
    old.status = RunStatus.FAILED
    old.finished_at = now
    old.message = (
        f"The driver died before the run ended; {ended} of its processes were still there and were ended."
    )
    if left:
        old.message += f" Not ended, for want of permission: {', '.join(map(str, left))}."
    with room_for(run_dir, run_dir.parents[2]):
        old.write(run_dir)
    return old
