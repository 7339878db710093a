"""What tests of checks share."""

from __future__ import annotations

from collections.abc import Sequence

from courtkeeper.findings import Finding


def only(findings: Sequence[Finding]) -> Finding:
    """The one finding; fails with all of them where there are more or none."""
    assert len(findings) == 1, "\n".join(map(str, findings))
    return findings[0]
