"""A processor for what is measured and another for us: what we do to a server, not what sharing one does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def apart() -> tuple[list[int], list[int]]:
    """Return the processor for a server and its load, and ours; end the benchmark where there is one."""
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        raise SystemExit("This benchmark needs two processors: one is the server's and its load's.")
    return every[:1], every[1:2]


def keep_to(processors: Iterable[int], pid: int = 0) -> None:
    """Let a process, by default this one, run on these processors only, with all its threads."""
    chosen = list(processors)
    for thread in Path(f"/proc/{pid or 'self'}/task").iterdir():
        os.sched_setaffinity(int(thread.name), chosen)
