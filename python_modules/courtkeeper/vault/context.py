"""What one run of backups carries from step to step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import x25519

from courtkeeper.findings import Result
from courtkeeper.vault.destinations import Destination, DestinationError
from courtkeeper.vault.settings import VaultSettings

Clock = Callable[[], datetime]
# Told (done, total, text).
Progress = Callable[[int, int, str], None]
# Told the name of each step.
Trace = Callable[[str], None]


@dataclass
class Context:
    """One run. `unusable`: destinations that could not be prepared, and why. `failed`: those that did not
    take all that they should have.
    """

    settings: VaultSettings
    recipients: list[x25519.Recipient]
    key: Ed25519PrivateKey | None
    destinations: list[Destination]
    now: Clock
    progress: Progress
    trace: Trace
    result: Result = field(default_factory=Result)
    unusable: dict[str, DestinationError] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
