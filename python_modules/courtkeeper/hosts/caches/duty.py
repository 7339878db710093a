"""The whole duty in one call: look, plan, change what is told, look again, judge."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, Finding, Result, Status, by_severity
from courtkeeper.hosts.caches import change, look, state
from courtkeeper.hosts.caches import plan as planning
from courtkeeper.hosts.caches.host import PATHS, THP, Host
from courtkeeper.hosts.caches.judge import judge
from courtkeeper.hosts.caches.plan import Plan
from courtkeeper.hosts.caches.settings import Wanted


def run(
    wanted: Wanted, *, check: bool, host: Host | None = None, directory: Path = state.DIRECTORY
) -> Result:
    """Check the host, change what `wanted` names and take back what it names; `directory` holds our notes.

    Raises ConfigurationError for what is wrong before anything was changed, CourtkeeperError where a change
    did not hold and was taken back.
    """
    host, began = host or Host(), time.monotonic()
    if (wanted.change or wanted.undo) and host.root == Path("/") and os.geteuid() != 0:
        raise ConfigurationError("changing the host needs root: say redis_host_become: true")
    seen = look.see(wanted, host)
    made = Plan([], state.State(), [])
    if wanted.change or wanted.undo:
        if check:
            made = planning.plan(wanted, seen, state.read(directory), host)
        else:
            made = _changed(wanted, host, directory)
            seen = look.see(wanted, host)
    findings = judge(seen) if check else _applied(judge(seen), made, wanted)
    result = Result(
        changed=bool(made.steps),
        findings=by_severity([*findings, *made.left]),
        actions=[step.sentence() for step in made.steps],
        diff=planning.difference(made.steps),
        metrics={"servers": len(seen.services), "duration_s": round(time.monotonic() - began, 3)},
    )
    result.msg = _message(result, done=not check)
    return result


def _changed(wanted: Wanted, host: Host, directory: Path) -> Plan:
    """Plan and carry out under the lock, so that two runs cannot note different things; return the plan."""
    with state.alone(directory):
        known = state.read(directory)
        made = planning.plan(wanted, look.see(wanted, host), known, host)
        if made.steps or made.state != known:
            change.carry_out(made, known, host, directory)
        return made


def _applied(findings: Iterable[Finding], made: Plan, wanted: Wanted) -> Iterator[Finding]:
    """Add to each finding what was done about its subject, and the way back."""
    for finding in findings:
        name, about = finding.id.rpartition(".")[2], _about(finding)
        done = [step.sentence() for step in made.steps if about & {step.setting, step.path}]
        if not done:
            yield finding
            continue
        back = "undo" if name in wanted.change else "change"
        yield msgspec.structs.replace(finding, applied="; ".join(done), undo=f"redis_host_{back}: [{name}]")


def _about(finding: Finding) -> set[str]:
    """Return the setting and the files that the steps about a finding have."""
    name = finding.id.rpartition(".")[2]
    if name == "open_files":
        return {planning.DROPIN.format(unit=finding.subject)}
    if name in PATHS:
        return {name, planning.TMPFILES if name == THP else planning.SYSCTL}
    return set()


def _message(result: Result, *, done: bool) -> str:
    faults = sum(each.status in {Status.WARN, Status.CRIT} for each in result.findings)
    text = f"{len(result.findings)} things looked at, {faults} of them wrong"
    if result.actions:
        text += f"; {len(result.actions)} changes {'made' if done else 'would be made'}"
    return f"{text}."
