"""What tests of checks share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg

from courtkeeper.findings import Finding


def only(findings: Sequence[Finding]) -> Finding:
    """The one finding; fails with all of them where there are more or none."""
    assert len(findings) == 1, "\n".join(map(str, findings))
    return findings[0]


def apply(connection: psycopg.Connection[Any], fix: str) -> None:
    """Run the statements of a `fix` or `undo` one by one, as psql does (some refuse to be run together)."""
    assert connection.autocommit
    for line in re.sub(r"--.*", "", fix).split(";"):
        if line.strip():
            connection.execute(line)
