"""The whole duty in one call, so that a wrong entry anywhere is refused before anything was changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from courtkeeper.findings import CourtkeeperError, Result
from courtkeeper.hosts.logs import clean, journal, look, rotation
from courtkeeper.hosts.logs.audit import Limits
from courtkeeper.hosts.logs.install import Place


class Cleaning(msgspec.Struct, frozen=True, kw_only=True):
    """Which directories and how much of the journal are cleaned; 0 leaves the journal alone."""

    entries: list[dict[str, Any]]
    roots: list[str]
    journal_days: int
    journal_mib: int


def run(
    wanted: rotation.Wanted,
    cleaning: Cleaning,
    limits: Limits,
    *,
    keeper: str,
    now: datetime,
    check: bool,
    progress: rotation.Progress,
) -> Result:
    """Rotate and keep, then clean, then look at what is left.

    Raises ConfigurationError, with nothing changed, for a wrong entry; another CourtkeeperError carries
    what was done before it.
    """
    clean.read(cleaning.entries, cleaning.roots)
    journal.refuse_odd_limits(cleaning.journal_days, cleaning.journal_mib)
    look.refuse_odd_limits(limits)
    result = rotation.rotate(wanted, keeper=keeper, now=now, check=check, place=Place(), progress=progress)
    try:
        cleaned = clean.clean(
            cleaning.entries,
            cleaning.roots,
            journal_days=cleaning.journal_days,
            journal_mib=cleaning.journal_mib,
            now=now,
            check=check,
        )
        _add(result, cleaned)
        _add(result, look.check(wanted.roots, limits, now))
    except CourtkeeperError as error:
        if error.partial:
            _add(result, error.partial)
        error.partial = result
        raise
    return result


def _add(result: Result, more: Result) -> None:
    """Add to `result` what another part found and did."""
    result.changed |= more.changed
    result.findings += more.findings
    result.actions += more.actions
    result.metrics |= more.metrics
    result.msg = f"{result.msg} {more.msg}".strip()
