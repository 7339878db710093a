"""Run records as tests want them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from courtkeeper.findings import Finding, Status
from courtkeeper.runner.record import HostFinding, RunRecord, RunStatus, TaskRecord

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GOOD = {"ok": 3, "changed": 1, "failed": 0, "unreachable": 0, "skipped": 0, "rescued": 0, "ignored": 0}


def found(subject: str, status: str, host: str = "db1", **given: Any) -> HostFinding:
    """A finding `disk.space` of a subject on a host."""
    values = {"id": "disk.space", "subject": subject, "summary": f"{subject} is {status}.", **given}
    return HostFinding(host=host, finding=Finding(status=Status(status), **values))


def record(
    number: int = 0, findings: Sequence[HostFinding] = (), *, job: str = "checks", **given: Any
) -> RunRecord:
    """The finished run `number` of a job: one each hour, ten seconds long, on db1."""
    started = NOON + timedelta(hours=number)
    values: dict[str, Any] = {
        "run_id": f"{started:%Y%m%dT%H%M%SZ}-{job}-{number:04x}",
        "job": job,
        "playbook": job,
        "inventory": "inventory/embedded",
        "check": False,
        "started_at": started,
        "finished_at": started + timedelta(seconds=10),
        "status": RunStatus.OK,
        "host_stats": {"db1": dict(GOOD)},
        "tasks": [TaskRecord(name="Look", host="db1", status="changed", duration_s=1.5)],
        "findings": list(findings),
        "actions": ["looked"],
        "metrics": {"duration_s": 1.5, "rows": 7},
    }
    return RunRecord(**(values | given))
