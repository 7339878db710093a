"""What a run leaves behind: the one record that the terminal, the report and later the store read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from courtkeeper.findings import Finding, Status, worst


class RunStatus(StrEnum):
    """How a run ended. `refused`: the configuration was wrong and nothing was changed."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    REFUSED = "refused"


class TaskRecord(msgspec.Struct, kw_only=True):
    """One task on one host: `status` is ok, changed, failed, skipped or unreachable."""

    name: str
    host: str
    status: str
    duration_s: float
    role: str = ""
    action: str = ""
    message: str = ""


class HostFinding(msgspec.Struct, kw_only=True):
    """A finding and the host it was made on."""

    host: str
    finding: Finding


class RunRecord(msgspec.Struct, kw_only=True):
    """One execution of a job: times in UTC, durations in seconds.

    `job` is what it is filed by: the calendar's name for it, or else the playbook's, which `playbook` names.
    `arguments` are those of the request after the job's name, as `courtkeeper run` takes them, without
    secrets. `summaries` holds the one sentence of each module that ended well. `changed` is true as soon
    as a task says so, also one that then failed; in check mode it means that something would change.
    """

    run_id: str
    job: str
    playbook: str = ""
    inventory: str
    arguments: list[str] = msgspec.field(default_factory=list)
    check: bool
    started_at: datetime
    finished_at: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    message: str = ""
    tasks: list[TaskRecord] = msgspec.field(default_factory=list)
    host_stats: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    findings: list[HostFinding] = msgspec.field(default_factory=list)
    actions: list[str] = msgspec.field(default_factory=list)
    summaries: list[str] = msgspec.field(default_factory=list)
    metrics: dict[str, float | int] = msgspec.field(default_factory=dict)
    diffs: list[dict[str, str]] = msgspec.field(default_factory=list)
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    changed: bool = False

    @property
    def exit_code(self) -> int:
        """0 all good, 1 the job failed, 2 wrong configuration, 3 finished with critical findings."""
        if self.status is RunStatus.REFUSED:
            return 2
        if self.status is not RunStatus.OK:
            return 1
        return 3 if self.worst is Status.CRIT else 0

    @property
    def worst(self) -> Status:
        """The most severe status among the findings."""
        return worst(h.finding for h in self.findings)

    @property
    def duration_s(self) -> float:
        """Seconds from start to end; 0 while it is running."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else 0.0

    def write(self, run_dir: Path) -> Path:
        """Write `run.json` into `run_dir`, whole or not at all, and return its path."""
        path = run_dir / "run.json"
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2))
        part.replace(path)
        return path


def read(path: Path) -> RunRecord:
    """Read a `run.json`. Raises `msgspec.DecodeError` if it is not one."""
    return msgspec.json.decode(path.read_bytes(), type=RunRecord)
