"""Which processes belong to a run, and how they are ended to the last one.

Ansible's workers call setsid(), so a process group is not enough. A run's processes are those that carry
its mark in their environment, and all descendants of those, also after a change of user took the mark away.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

MARK = "COURTKEEPER_RUN_DIR"
_PROC = Path("/proc")


class Cancellation:
    """A request to stop a run. Asked once, its processes may end by themselves; asked twice, they may not."""

    def __init__(self) -> None:
        """Nothing is requested yet."""
        self.requested = threading.Event()
        self.at_once = threading.Event()
        self.reason = ""

    def request(self, reason: str = "on request") -> None:
        """Ask for the end; safe to call from a signal handler and from any thread."""
        if self.requested.is_set():
            self.at_once.set()
        self.reason = self.reason or reason
        self.requested.set()


@dataclass(frozen=True)
class Process:
    """A live process. The start time tells it from a later one with the same number."""

    pid: int
    started: int
    parent: int = field(compare=False)  # changes when the parent ends


def table() -> dict[int, Process]:
    """Return all live processes (zombies are not) by their number."""
    found = (_process(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return {process.pid: process for process in found if process}


def _process(pid: int) -> Process | None:
    try:
        # The name, in parentheses, may itself hold spaces and parentheses.
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return Process(pid, started=int(fields[19]), parent=int(fields[1]))


def of_run(run_dir: Path, also: Collection[Process] = ()) -> set[Process]:
    """Return the live processes that carry the run's mark or are in `also`, with their descendants."""
    processes = table()
    mark = f"{MARK}={run_dir}".encode()
    known = {pid for pid in processes if _carries(pid, mark)}
    known |= {p.pid for p in also if p.pid in processes and processes[p.pid].started == p.started}
    known.discard(os.getpid())
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    todo = list(known)
    while todo:
        fresh = [pid for pid in children.get(todo.pop(), ()) if pid not in known]
        known.update(fresh)
        todo.extend(fresh)
    return {processes[pid] for pid in known}


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def end_run(
    run_dir: Path,
    *,
    first: Collection[int] = (),
    grace_s: float = 5.0,
    at_once: threading.Event | None = None,
) -> tuple[int, list[int]]:
    """End all processes of a run: SIGTERM, up to `grace_s` seconds, then SIGKILL.

    `first` are the numbers of the run's own ansible-playbook, asked first, so that it starts nothing more.
    Returns how many were ended, and the numbers of those that could not be.
    """
    known: set[Process] = set()
    asked: set[Process] = set()
    mercy_until = time.monotonic() + grace_s
    give_up_at = mercy_until + 5.0
    empty = 0
    while True:
        alive = of_run(run_dir, also=known)
        known |= alive
        # A process that forked while the table was read shows in the next one: believe the second look.
        empty = 0 if alive else empty + 1
        if empty == 2:
            return len(known), []
        now = time.monotonic()
        if now > give_up_at:
            return len(known - alive), sorted(process.pid for process in alive)
        hard = now >= mercy_until or (at_once is not None and at_once.is_set())
        for process in sorted(alive, key=lambda p: (p.pid not in first, p.pid)):
            if hard:
                _signal(process, signal.SIGKILL)
            elif process not in asked:
                _signal(process, signal.SIGTERM)
                asked.add(process)
        time.sleep(0.02)


def _signal(process: Process, number: signal.Signals) -> None:
    now = _process(process.pid)
    if now is None or now.started != process.started:
        return
    try:
        os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or another user's: the caller counts what is left
