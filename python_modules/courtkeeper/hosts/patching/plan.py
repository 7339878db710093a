"""Make the plan: look at the host, choose, foresee, and refuse before anything is changed."""

from __future__ import annotations

import os
from datetime import datetime

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts import services
from courtkeeper.hosts.patching import apt, checks, choice, gate, impact, needrestart, reboot
from courtkeeper.hosts.patching.model import Change, Journal, Plan, Settings
from courtkeeper.hosts.patching.state import State, remaining

KIB = 1024


def make_plan(settings: Settings, *, now: datetime, check: bool) -> Result:
    """Return what a run would do, with a finding for everything a person should know before it.

    Only apt's index is fetched, in check mode too: a plan made from an old one is not true. What speaks
    against the run raises CourtkeeperError, with the plan in its `partial`; in check mode it is a
    critical finding instead, so that Wednesday can ask what Sunday would do.
    """
    apt.require()
    if os.geteuid() != 0:
        raise CourtkeeperError("os_patching needs root on the host: set `become: true`.")
    window = checks.judge_window(settings.window, settings.time_zone, now)
    services.refuse_unknown(settings.health.services, "os_patching_services")
    state = State(settings.state_directory, apt.architecture())
    with state.alone():
        checks.wait_for_locks(settings.lock_timeout_s)
        journal = state.journal()
    if journal:
        return _resumed(journal, state, check=check)
    if state.index_age_s(now.timestamp()) > settings.index_max_age_min * 60:
        apt.update()
        state.index_fetched()
    known = choice.look(apt.architecture())
    running = impact.running()
    chosen, hits, shipped = _choose(known, settings, running)
    advice = needrestart.ask()
    plan = _plan(settings, chosen.changes, hits, state, advice, running)
    findings = [*chosen.findings, *_about(plan, shipped)]
    if plan.changes and advice.missing:
        findings.append(needrestart.not_asked(advice))
    problems = _refusals(plan, settings, known, window, now) if plan.actions() else []
    result = _result(plan, state, [*findings, *problems], check=check)
    bad = [finding for finding in problems if finding.status is Status.CRIT]
    if bad and not check:
        result.actions = []
        kind = ConfigurationError if bad[0].id == "patching.protected" else CourtkeeperError
        error = kind(" ".join(f.summary + (f" Mend: {f.fix}." if f.fix else "") for f in bad))
        error.partial = result
        raise error
    if bad:
        result.msg = f"A run would be refused now: {bad[0].summary}"
    return result


def _choose(
    known: choice.Known, settings: Settings, running: list[str]
) -> tuple[choice.Choice, dict[str, list[str]], set[str]]:
    """Choose the packages; where the policy says so, without those that would restart a protected service."""
    left_out: dict[str, str] = {}
    seen = impact.processes()
    while True:
        chosen = choice.choose(known, settings, left_out)
        files = apt.files([change.name for change in chosen.changes if change.current])
        hits, shipped = impact.hits(files, running, seen)
        protected = _protected(hits, settings)
        if not protected or settings.protected_policy == "refuse":
            return chosen, hits, shipped
        for unit in protected:
            left_out |= dict.fromkeys(hits[unit], f"it would restart {unit}")


def _protected(hits: dict[str, list[str]], settings: Settings) -> list[str]:
    if settings.allow_protected:
        return []
    return [unit for unit in hits if impact.matches(unit, settings.protected_services)]


def _plan(
    settings: Settings,
    changes: list[Change],
    hits: dict[str, list[str]],
    state: State,
    advice: needrestart.Advice,
    running: list[str],
) -> Plan:
    # Services that another upgrade left behind; a protected one is not ours to restart.
    behind = [
        unit
        for unit in needrestart.behind(advice)
        if unit in running
        and (settings.allow_protected or not impact.matches(unit, settings.protected_services))
    ]
    restarts = [u for u in sorted({*hits, *behind}) if not impact.matches(u, settings.never_restart)]
    why = reboot.reason() or advice.reboot
    return Plan(
        changes=[
            msgspec.structs.replace(
                change, way_back=change.way_back or bool(state.archive(change.name, change.current))
            )
            if change.current
            else change
            for change in changes
        ],
        configure=bool(apt.audit()),
        hits=hits,
        restarts=restarts,
        reboot_reason=why,
        reboot_in_vain=bool(why) and why == state.rebooted_for(),
        protected_services=settings.protected_services,
        allow_protected=settings.allow_protected,
        never_restart=settings.never_restart,
        reboot=settings.reboot,
        lock_timeout_s=settings.lock_timeout_s,
        state_directory=settings.state_directory,
    )


def _about(plan: Plan, shipped: set[str]) -> list[Finding]:
    """Return what a person should know of the plan that does not speak against it."""
    findings = [_change(change) for change in plan.changes]
    findings += [_no_way_back(change) for change in plan.changes if change.current and not change.way_back]
    for unit, packages in plan.hits.items():
        restarted = unit in plan.restarts
        how = "its package restarts it" if unit in shipped else "it runs their files"
        findings.append(
            Finding(
                id="patching.service",
                subject=unit,
                status=Status.OK if restarted else Status.WARN,
                observed=", ".join(packages[:5]),
                summary=(
                    f"{unit} is restarted by the upgrade of {', '.join(packages[:5])}: {how}."
                    if restarted
                    else f"{unit} uses {', '.join(packages[:5])} and is never restarted by us."
                ),
                fix="" if restarted else "reboot when it suits",
            )
        )
    if plan.reboot_reason:
        allowed = plan.reboot == "if_required"
        findings.append(reboot_finding(plan.reboot_reason, allowed=allowed, in_vain=plan.reboot_in_vain))
    return findings


def _no_way_back(change: Change) -> Finding:
    return Finding(
        id="patching.way_back",
        subject=change.name,
        status=Status.WARN,
        observed=change.current,
        summary=(
            f"There is no way back for {change.name}: no repository and no archive here has "
            f"{change.current} any more."
        ),
        fix="keep a snapshot of the host, or a repository that keeps old versions",
    )


def reboot_finding(reason: str, *, allowed: bool, in_vain: bool = False) -> Finding:
    """Return the finding about a reboot that is needed for `reason`; one `in_vain` has not mended that."""
    fix = "" if allowed else "reboot it, or set os_patching_reboot to if_required"
    return Finding(
        id="patching.reboot",
        subject="host",
        status=Status.WARN,
        observed=reason,
        summary=f"The host needs a reboot: {reason}."
        + (" It was rebooted for that, which did not mend it: it is not rebooted again." if in_vain else ""),
        fix="look at what the boot loader starts (GRUB_DEFAULT)" if in_vain else fix,
    )


def _change(change: Change) -> Finding:
    security = "a security fix" if change.security else "an upgrade"
    return Finding(
        id="patching.package",
        subject=change.name,
        status=Status.WARN if change.security else Status.OK,
        observed=change.current or None,
        threshold=change.target,
        summary=f"{change.name} {change.target} is {security if change.current else 'a new dependency'}"
        f" from {change.origin or 'a repository without a name'}.",
        fix="run os_patching",
    )


def _refusals(
    plan: Plan, settings: Settings, known: choice.Known, window: Finding, now: datetime
) -> list[Finding]:
    """Return the findings that decide whether the run may begin; a critical one speaks against it."""
    findings = [window] if settings.window else []
    if settings.backup_marker:
        findings.append(checks.judge_backup(settings.backup_marker, settings.backup_max_age_h, now))
    findings += [
        checks.judge_space(place, settings.min_free_percent, settings.min_free_mib)
        for place in checks.places(_needs(plan, known))
    ]
    findings += [
        Finding(
            id="patching.protected",
            subject=unit,
            status=Status.CRIT,
            observed=", ".join(plan.hits[unit][:5]),
            summary=f"The protected service {unit} would be restarted by {', '.join(plan.hits[unit][:5])}.",
            fix="set os_patching_allow_protected in its window, or os_patching_protected_policy to leave_out",
        )
        for unit in _protected(plan.hits, settings)
    ]
    lost = [change.name for change in plan.changes if change.current and not change.way_back]
    if settings.require_way_back and lost:
        findings.append(
            Finding(
                id="patching.way_back",
                subject="all",
                status=Status.CRIT,
                observed=len(lost),
                threshold=0,
                unit="packages",
                summary=f"There is no way back for {', '.join(lost[:5])}, and a way back is required.",
                fix="take a snapshot and unset os_patching_require_way_back",
            )
        )
    if problems := gate.problems_outside(settings.health):
        findings.append(
            Finding(
                id="patching.health",
                subject="host",
                status=Status.CRIT,
                summary=f"The host is not healthy before the upgrade: {'; '.join(problems)}.",
                fix="mend that first",
            )
        )
    return findings


def _needs(plan: Plan, known: choice.Known) -> dict[str, int]:
    """Return how many bytes the upgrade takes in the directories that matter.

    apt's own estimate: the archives, and what the new versions are larger by; beside that the largest
    package once more, because dpkg unpacks the new files before it removes the old ones.
    """
    listed = apt.sizes(f"{c.name}={c.target}" for c in plan.changes)
    archives = growth = largest = kernels = 0
    for change in plan.changes:
        size, unpacked = listed.get((change.name.partition(":")[0], change.target), (0, 0))
        old = known.installed[change.name].size_kib if change.name in known.installed else 0
        archives += size
        growth += unpacked - old
        largest = max(largest, unpacked)
        kernels += change.name.startswith("linux-image-") and not change.current
    # Twice: apt's cache, and the copies that are kept as the next run's way back.
    return {
        "/": 0,
        "/usr": max(growth, 0) * KIB + largest * KIB,
        "/var": 0,
        "/var/cache/apt/archives": archives,
        "/var/lib": archives,
        "/boot": kernels * reboot.kernel_bytes(),
    }


def _resumed(journal: Journal, state: State, *, check: bool) -> Result:
    """Return the plan to finish what an earlier run began. A host left half done waits for no window."""
    installed = {name: package.version for name, package in apt.installed(apt.architecture()).items()}
    left = set(remaining(journal.plan, installed, apt.is_newer)) if journal.phase == "upgrading" else set()
    plan = msgspec.structs.replace(
        journal.plan,
        resume=journal.run,
        configure=bool(apt.audit()),
        changes=[c for c in journal.plan.changes if f"{c.name}={c.target}" in left],
        restarts=journal.plan.restarts if journal.phase == "upgrading" else [],
    )
    finding = Finding(
        id="patching.interrupted",
        subject=journal.run,
        status=Status.WARN,
        observed=journal.phase,
        summary=(
            f"The run of {journal.run} went back and left the host ill: {journal.reason}."
            if journal.phase == "ill"
            else f"The run of {journal.run} was interrupted while {journal.phase.replace('_', ' ')}."
        ),
        fix="run os_patching: it finishes that run first",
    )
    return _result(plan, state, [finding, *_about(plan, set())], check=check)


def _result(plan: Plan, state: State, findings: list[Finding], *, check: bool) -> Result:
    actions = plan.actions()
    drained = state.drained.exists()
    security = sum(change.security for change in plan.changes)
    return Result(
        findings=findings,
        actions=actions,
        metrics={"packages": len(plan.changes), "security_packages": security},
        details={
            "plan": msgspec.to_builtins(plan),
            "work": bool(actions) or drained,
            "drained": drained,
            "check": check,
        },
        msg=(
            f"{len(plan.changes)} packages to upgrade, {security} of them for security; "
            f"{len(plan.restarts)} services to restart."
            if actions
            else "Nothing to upgrade, nothing to restart."
        ),
    )
