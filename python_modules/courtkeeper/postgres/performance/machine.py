"""The machine that a server runs on, where it is this one."""

from __future__ import annotations

import os
from pathlib import Path

from courtkeeper.database import DatabaseSettings
from courtkeeper.postgres.performance.advice import Machine
from courtkeeper.postgres.performance.settings import PerformanceSettings

_HERE = ("", "localhost", "127.0.0.1", "::1")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def machine(settings: DatabaseSettings, told: PerformanceSettings) -> Machine:
    """Return what was told of the server's machine, and the rest from this one where it runs here."""
    here = settings.host in _HERE or settings.host.startswith("/")
    return Machine(
        memory=told.memory_mb * 1024 * 1024 or (_memory() if here else 0),
        cpus=told.cpus or (len(os.sched_getaffinity(0)) if here else 0),
        storage=told.storage,
    )


def _memory() -> int:
    """Return this machine's memory in bytes, or what a container is allowed of it."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _LIMITS:
        try:
            allowed = int(path.read_text())
        except (OSError, ValueError):  # no control groups, or "max"
            continue
        whole = min(whole, allowed)
    return whole
