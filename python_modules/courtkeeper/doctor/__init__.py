"""Is this installation whole, and if not, what mends it: `examine(root, inventory)` gives findings.

Each check is a function in `installation`, `backups` or `system`; none changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from courtkeeper.findings import CourtkeeperError, Finding, Status

Check = Callable[["Patient"], Iterable[Finding]]


class Patient:
    """What is examined: a checkout, its inventories (or the one that was named), at a time."""

    def __init__(self, root: Path, inventories: list[Path], now: datetime) -> None:
        """Look at nothing yet."""
        self.root = root
        self.inventories = inventories
        self.now = now


def examine(patient: Patient) -> list[Finding]:
    """Return what every check says; one that breaks says so itself and stops no other."""
    from courtkeeper.doctor import backups, installation, system

    checks: list[Check] = [*installation.CHECKS, *system.CHECKS, *backups.CHECKS]
    return [finding for check in checks for finding in _said(check, patient)]


def _said(check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except (CourtkeeperError, ImportError, OSError, ValueError) as error:
        yield finding(
            check.__name__, "", Status.UNKNOWN, f"It could not be looked at: {str(error).rstrip('.')}."
        )


def finding(
    name: str,
    subject: str,
    status: Status,
    summary: str,
    fix: str = "",
    observed: float | str | None = None,
) -> Finding:
    """Return a finding of the doctor's."""
    return Finding(
        id=f"doctor.{name}",
        subject=subject or name,
        status=status,
        summary=summary,
        fix=fix,
        observed=observed,
    )
