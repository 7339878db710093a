"""Resuming a failed run where it failed: on the hosts that are not done."""

from __future__ import annotations

from collections.abc import Sequence

from courtkeeper.runner.record import RunRecord, RunStatus, TaskRecord

_BAD = {"failed", "unreachable"}


def limit_after(record: RunRecord, limit: str = "") -> str:
    """Return the `--limit` for going on after a failed run: `limit` (empty: all) without the hosts done.

    A host is done if nothing failed on it and it got past the point at which any other one failed: past the
    end of a batch, or in a play that went on. Where a play was stopped for all, the others stopped with it
    and are not done. Hosts that were never reached are not done either. Returns `limit` as it is where no
    host is known to be done, as after a time limit.
    """
    if record.status is not RunStatus.FAILED or record.check:
        return limit
    tasks: dict[str, list[TaskRecord]] = {}
    for task in record.tasks:
        tasks.setdefault(task.host, []).append(task)
    lost = {
        host
        for host, counts in record.host_stats.items()
        if counts.get("failed") or counts.get("unreachable")
    }
    points = [_point(tasks[host]) for host in lost if host in tasks]
    if not points or len(points) < len(lost):
        return limit
    done = [
        host
        for host in sorted(record.host_stats)
        if host not in lost and all(_went_past(tasks.get(host, []), point) for point in points)
    ]
    # Ansible takes a list by commas or by colons, and not one within the other.
    mark = "," if "," in limit else ":"
    return mark.join([limit or "all", *(f"!{host}" for host in done)]) if done else limit


def _point(tasks: Sequence[TaskRecord]) -> TaskRecord | None:
    """Where a host was lost: at its last failure."""
    return next((task for task in reversed(tasks) if task.status in _BAD), None)


def _went_past(tasks: Sequence[TaskRecord], point: TaskRecord | None) -> bool:
    return point is not None and any(
        (task.name, task.role) == (point.name, point.role) for task in tasks[:-1]
    )
