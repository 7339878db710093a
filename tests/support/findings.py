"""What tests of checks share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from courtkeeper.findings import Finding, Status


def only(findings: Sequence[Finding]) -> Finding:
    """The one finding; fails with all of them where there are more or none."""
    assert len(findings) == 1, "\n".join(map(str, findings))
    return findings[0]


def within(
    ask: Callable[[], list[Finding]], good: Callable[[Finding], bool], seconds: float = 120
) -> Finding:
    """Ask until there is one finding and it is `good`; fail with the last ones where that takes too long.

    For what the server does a moment later by itself: a reload, statistics, a replica's answer.
    """
    deadline = time.monotonic() + seconds
    while True:
        findings = ask()
        if len(findings) == 1 and good(findings[0]):
            return findings[0]
        assert time.monotonic() < deadline, "\n".join(map(str, findings))
        time.sleep(0.05)


def is_ok(finding: Finding) -> bool:
    """Whether nothing is wrong."""
    return finding.status is Status.OK


def is_bad(finding: Finding) -> bool:
    """Whether something is wrong."""
    return finding.status in (Status.WARN, Status.CRIT)


def apply(connection: psycopg.Connection[Any], fix: str) -> None:
    """Run the statements of a `fix` or `undo` one by one, as psql does (some refuse to be run together)."""
    assert connection.autocommit
    for line in re.sub(r"--.*", "", fix).split(";"):
        if line.strip():
            connection.execute(line)
