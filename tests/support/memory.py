"""Where tests keep their files: in memory, where there is enough of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_SHARED = Path("/dev/shm")  # noqa: S108 - tempfile makes each name below it, and pytest its own
# Some times what was seen there: 673 tests that kept all their files held 1.1 GB.
_ENOUGH_BYTES = 8 * 2**30


def _room() -> int:
    """Return how many bytes the file system in memory could take, 0 where there is none to write to."""
    if not os.access(_SHARED, os.W_OK | os.X_OK):
        return 0
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    found = os.statvfs(_SHARED)
    return min(kib * 1024, found.f_bavail * found.f_frsize)


def keep_files_in_memory() -> None:
    """Have temporary files of this process and its children there, unless TMPDIR names another place.

    Clusters and databases come and go by the hundred: on a disk half of the system time goes into the making
    and removing of their files.
    """
    if "TMPDIR" not in os.environ and _room() >= _ENOUGH_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_SHARED)
