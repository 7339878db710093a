"""What one run of a restore carries from step to step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyrage import x25519

from courtkeeper.findings import Finding, Result, Status
from courtkeeper.vault import proofs
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.destinations import Destination
from courtkeeper.vault.findings import lasted, sized
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.proofs import Rate
from courtkeeper.vault.restore.request import Request
from courtkeeper.vault.settings import VaultSettings

_PROGRESS_S = 0.5


@dataclass
class Work:
    """One run. `trace` is told each step; tests end the process there."""

    settings: VaultSettings
    request: Request
    backup: Backup
    places: Mapping[str, Destination]
    identities: list[x25519.Identity]
    now: Callable[[], datetime]
    progress: Callable[[int, int, str], None]
    trace: Callable[[str], None]
    result: Result = field(default_factory=Result)
    filled_s: float = 0.0
    _told: float = 0.0

    def passed(self, part: Part, size: int) -> None:
        """Tell that so many plain bytes of a part went through."""
        self.trace(f"bytes:{part.name}")
        if time.monotonic() - self._told > _PROGRESS_S:
            self._told = time.monotonic()
            of = f"{sized(size)} of {sized(part.plain_size)}"
            self.progress(size, part.plain_size, f"restoring {part.name} of {self.backup.id}: {of}")

    def remember(self, plain_bytes: int, seconds: float) -> None:
        """Note how fast it was, for the next estimate."""
        rate = Rate(
            at=self.now(), kind=self.backup.manifest.kind, plain_bytes=plain_bytes, seconds=round(seconds, 3)
        )
        proofs.remember(self.settings, "rates", rate)
        self.result.metrics["restore_s"] = round(seconds, 3)
        if self.filled_s:
            self.result.metrics["filled_s"] = round(self.filled_s, 3)  # without making statistics
        self.result.metrics["restore_rate_bytes_s"] = round(plain_bytes / seconds) if seconds else 0

    def did(self, action: str) -> None:
        """Note a change."""
        self.result.actions.append(action)
        self.result.changed = True

    def found(self, name: str, subject: str, status: Status, summary: str, **more: str) -> None:
        """Add a finding `restore.<name>`."""
        self.result.findings.append(
            Finding(id=f"restore.{name}", subject=subject, status=status, summary=summary, **more)
        )

    @property
    def age(self) -> str:
        """How old the backup is."""
        return lasted(max((self.now() - self.backup.taken_at).total_seconds(), 0))
