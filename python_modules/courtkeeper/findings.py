"""The one result type: what a check found, what was done about it, and how to take that back.

Every domain returns findings, every Ansible module hands them on, and the run store,
the report and the notifications read nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec


class Status(StrEnum):
    """How bad it is. `skipped` (not looked at) and `unknown` (could not be judged) are never `ok`."""

    OK = "ok"
    WARN = "warn"
    CRIT = "crit"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"

    @property
    def severity(self) -> int:
        """0 for `ok`, then `skipped`, `unknown`, `warn`, and 4 for `crit`."""
        return (Status.OK, Status.SKIPPED, Status.UNKNOWN, Status.WARN, Status.CRIT).index(self)


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One judgement about one thing.

    `id` is dotted and stable (`nba.game.missing`), `subject` names the thing judged,
    `observed` and `threshold` are in `unit`, `summary` is one sentence for a person,
    `fix` says what would mend it, `applied` what was done and `undo` how to take that back.
    """

    id: str
    subject: str
    status: Status
    summary: str
    observed: float | int | str | None = None
    threshold: float | int | str | None = None
    unit: str = ""
    fix: str = ""
    applied: str = ""
    undo: str = ""


class Result(msgspec.Struct, kw_only=True):
    """What one module call returns (DESIGN: module result).

    `changed` is true only if the world differs. `actions` holds what was done or, in check
    mode, what would be done: the same list. `metrics` are numbers with the unit in the name.
    `details` holds what the job's own part of the report shows (for example its games).
    """

    changed: bool = False
    findings: list[Finding] = msgspec.field(default_factory=list)
    actions: list[str] = msgspec.field(default_factory=list)
    metrics: dict[str, float | int] = msgspec.field(default_factory=dict)
    diff: dict[str, str] = msgspec.field(default_factory=dict)
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    msg: str = ""

    def to_builtins(self) -> dict[str, Any]:
        """Return the result as plain dicts and lists, as `exit_json` and JSON want it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class CourtkeeperError(Exception):
    """Something a person has to mend. The message says what failed, on what, and what to do.

    `partial` is what was found and done before it failed, where anything was.
    """

    partial: Result | None = None


class ConfigurationError(CourtkeeperError):
    """The request or the configuration is wrong: nothing was started (exit code 2)."""


def worst(findings: Iterable[Finding]) -> Status:
    """Return the most severe status among `findings`; `ok` when there are none."""
    return max((f.status for f in findings), key=lambda status: status.severity, default=Status.OK)


def merged(results: Sequence[Result]) -> Result:
    """Return one result of several: durations and other numbers of one name are added up."""
    whole = Result(msg=" ".join(result.msg for result in results if result.msg))
    for result in results:
        whole.changed |= result.changed
        whole.actions += result.actions
        whole.details |= result.details
        for name, value in result.metrics.items():
            whole.metrics[name] = round(whole.metrics.get(name, 0) + value, 3)
    whole.findings = by_severity(finding for result in results for finding in result.findings)
    return whole


def counted(findings: Iterable[Finding]) -> str:
    """Return how many there are of each kind: `1 critical, 2 to look at, 40 good`; empty for none."""
    statuses = [finding.status for finding in findings]
    words = (
        (Status.CRIT, "critical"),
        (Status.WARN, "to look at"),
        (Status.UNKNOWN, "unknown"),
        (Status.SKIPPED, "not done"),
        (Status.OK, "good"),
    )
    return ", ".join(f"{number} {word}" for status, word in words if (number := statuses.count(status)))


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return `findings` with the worst first, then by id and subject."""
    return sorted(findings, key=lambda f: (-f.status.severity, f.id, f.subject))
