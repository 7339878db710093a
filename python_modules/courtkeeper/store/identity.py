"""Which process one is among all that use the store, and why a run came to be."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from courtkeeper.runner import processes


@dataclass(frozen=True)
class Identity:
    """One process that may own slots and locks, and where it is."""

    owner: str
    machine: str
    pid: int
    started: int


@cache
def this_machine() -> str:
    """Return a name for all that see the same process table: the host, its boot, its PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{namespace}"


def identify(machine: str | None = None) -> Identity:
    """Return a new identity for this process."""
    pid = os.getpid()
    started = processes.table()[pid].started
    place = machine or this_machine()
    return Identity(f"{place}/{pid}/{started}/{secrets.token_hex(3)}", place, pid, started)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Why a run came to be: `trigger` is person, schedule or request; `slot` the number of its slot."""

    trigger: str = "person"
    slot: int | None = None
    attempt: int = 1
    owner: str = ""
