"""How the upkeep's findings are written."""

from __future__ import annotations

from typing import Any

import msgspec

from courtkeeper.findings import Finding, Status


class Done(msgspec.Struct, frozen=True):
    """What became of something: its finding, and what was done, in check mode what would be, or ''."""

    finding: Finding
    action: str = ""


def finding(kind: str, subject: str, status: Status, summary: str, fix: str = "", **more: Any) -> Finding:  # noqa: ANN401 - its types are those of Finding
    """Return a finding `redis.upkeep.<kind>`; `more` are further fields of it."""
    return Finding(
        id=f"redis.upkeep.{kind}", subject=subject, status=status, summary=summary, fix=fix, **more
    )
