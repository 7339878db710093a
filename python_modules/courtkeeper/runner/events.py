"""Fills a run's record from the events of ansible-runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.runner import failures
from courtkeeper.runner.failures import Failure
from courtkeeper.runner.record import HostFinding, RunRecord, TaskRecord

_OUTCOMES = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_skipped": "skipped",
    "runner_on_unreachable": "unreachable",
}
_COUNTS = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored")
_MESSAGES = {"verbose", "error", "warning", "system_warning"}


class Collector:
    """Takes events one by one; `record` is always as complete as they are."""

    def __init__(self, record: RunRecord) -> None:
        """Collect into `record`."""
        self.record = record
        self.pids: set[int] = set()
        self.failures: list[Failure] = []
        self.messages: list[str] = []
        self.finished = False
        self.task = ""
        self.host = ""

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event, from which the secrets have been removed."""
        kind = str(event.get("event", ""))
        data = event.get("event_data") or {}
        if isinstance(pid := event.get("pid"), int):
            self.pids.add(pid)
        if kind in _MESSAGES and event.get("stdout"):
            self.messages.append(str(event["stdout"]))
        elif kind == "runner_on_start":
            self.task, self.host = _task_name(data), str(data.get("host", ""))
        elif kind in _OUTCOMES:
            self._task_ended(_OUTCOMES[kind], data)
        elif kind == "playbook_on_stats":
            self._stats(data)

    def _task_ended(self, outcome: str, data: Mapping[str, Any]) -> None:
        result = data.get("res") or {}
        host, task, action = str(data.get("host", "")), _task_name(data), str(data.get("task_action", ""))
        bad = outcome in {"failed", "unreachable"}
        if outcome == "ok" and result.get("changed"):
            outcome = "changed"
        self.record.tasks.append(
            TaskRecord(
                name=task,
                host=host,
                status=outcome,
                duration_s=float(data.get("duration") or 0.0),
                role=str(data.get("role") or ""),
                action=action,
                message=failures.message_of(result) if bad or isinstance(result.get("msg"), str) else "",
            )
        )
        if bad and not data.get("ignore_errors"):
            unreachable = outcome == "unreachable"
            # Ansible's own name for it, "Validating arguments against arg spec 'main'", says too little.
            label = f"role {data.get('role')}" if action in failures.SPEC_ACTIONS else task
            self.failures.append(failures.from_result(host, label, action, result, unreachable=unreachable))
        for each in _results(result):
            # From the results and not from Ansible's own count, which leaves out what changed before a
            # task failed, and never comes when the run is stopped.
            self.record.changed |= bool(each.get("changed"))
            self._keep(host, task, each, failed=bad)

    def _keep(self, host: str, task: str, result: Mapping[str, Any], *, failed: bool) -> None:
        """Keep what a module of ours found and did: all of it, or what it came to before it failed."""
        self._keep_diff(host, task, result.get("diff"))
        findings, actions = (result.get(name) for name in ("findings", "actions"))
        if not isinstance(findings, list) and not (failed and isinstance(actions, list)):
            return
        record = self.record
        for each in findings if isinstance(findings, list) else ():
            record.findings.append(HostFinding(host=host, finding=_finding(task, each)))
        record.actions += [str(action) for action in actions] if isinstance(actions, list) else []
        if not failed and (said := result.get("msg")) and isinstance(said, str):
            record.summaries.append(said)
        metrics = result.get("metrics")
        if isinstance(metrics, dict):
            numbers = {k: v for k, v in metrics.items() if type(v) in (int, float)}
            _merge(record.metrics, numbers, host, task)
        details = result.get("details")
        if isinstance(details, dict):
            _merge(record.details, details, host, task)

    def _keep_diff(self, host: str, task: str, diff: object) -> None:
        for each in diff if isinstance(diff, list) else [diff]:
            if isinstance(each, dict) and each:
                texts = {str(k): v if isinstance(v, str) else _as_text(v) for k, v in each.items()}
                self.record.diffs.append({"host": host, "task": task, **texts})

    def _stats(self, data: Mapping[str, Any]) -> None:
        self.finished = True
        for host in sorted(data.get("processed") or {}):
            counts = {name: int((data.get(name) or {}).get(host, 0)) for name in _COUNTS}
            counts["failed"] = counts.pop("failures")
            counts["unreachable"] = counts.pop("dark")
            self.record.host_stats[host] = counts

    @property
    def open_failures(self) -> list[Failure]:
        """The failures that ended their host's part of the run, each host's last: others were rescued."""
        last = {failure.host: failure for failure in self.failures}
        if not self.finished:
            return list(last.values())
        lost = {
            h for h, counts in self.record.host_stats.items() if counts["failed"] or counts["unreachable"]
        }
        return [failure for host, failure in last.items() if host in lost]


def _task_name(data: Mapping[str, Any]) -> str:
    return str(data.get("task") or data.get("task_action") or "")


def _results(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The result itself and, of a loop, each item's."""
    yield result
    items = result.get("results")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield item


def _finding(task: str, raw: object) -> Finding:
    try:
        return msgspec.convert(raw, Finding)
    except msgspec.ValidationError as error:
        return Finding(
            id="courtkeeper.finding.malformed",
            subject=task,
            status=Status.UNKNOWN,
            summary=f"A finding of {task!r} cannot be read ({error}), so what it found is unknown.",
            fix="Correct the module that returned it.",
        )


def _merge(into: dict[str, Any], fresh: Mapping[str, Any], host: str, task: str) -> None:
    """Add entries; where a name is taken by another host or task, say in the name whose it is."""
    for name, value in fresh.items():
        free = (n for n in (name, f"{host}.{name}", f"{host}.{task}.{name}") if n not in into)
        into[next(free, f"{host}.{task}.{name}")] = value


def _as_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
