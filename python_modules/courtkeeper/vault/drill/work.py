"""What the drills of all kinds of backups share: what is opened, and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from pyrage import x25519

from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.proofs import Check


@dataclass(frozen=True)
class Opened:
    """One copy of a backup and the keys to it. `begun`: when its drill began, by the monotonic clock."""

    backup: Backup
    place: Destination
    identities: list[x25519.Identity]
    begun: float
    progress: Callable[[Part, int], None]
    trace: Callable[[str], None]


@dataclass
class Drilled:
    """What a drill saw. `heartbeats`: the newest moment that each database holds, None where it says none."""

    checks: list[Check] = field(default_factory=list)
    restore_s: float = 0.0
    rto_s: float | None = None
    heartbeats: list[datetime | None] = field(default_factory=list)
    software: dict[str, str] = field(default_factory=dict)
