"""Do what a plan says: snapshot, change, gate, and keep it or go back.

Every step is written to the journal before it is done, so that a run which dies at any point is
finished, forwards or backwards, by the next one.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec

from courtkeeper.findings import CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts import services
from courtkeeper.hosts.patching import apt, checks, gate, impact, parse, reboot
from courtkeeper.hosts.patching.model import REBOOT, Change, Journal, Plan, Saved, convert, described
from courtkeeper.hosts.patching.plan import reboot_finding
from courtkeeper.hosts.patching.rollback import go_back, undo_command
from courtkeeper.hosts.patching.state import State, remaining


class Run:
    """One run: its plan, its journal, and what it has done so far."""

    def __init__(self, plan: Plan, state: State, journal: Journal) -> None:
        """Work on `plan`, which `journal` describes."""
        self.plan = plan
        self.state = state
        self.journal = journal
        self.result = Result()

    def did(self, action: str) -> None:
        """Remember that something was changed."""
        self.result.changed = True
        self.result.actions.append(action)

    def phase(self, phase: str, reason: str = "") -> None:
        """Write down what comes next."""
        changes: dict[str, Any] = {"phase": phase, "reason": reason}
        self.journal = msgspec.structs.replace(self.journal, **changes)
        self.state.note(self.journal)


def apply_plan(request: dict[str, Any], *, keep: int, now: datetime, check: bool) -> Result:
    """Do what the plan `request` (as `make_plan` returned it) says, and nothing else.

    `keep` saved package lists stay. `details` says whether the host is `healthy` and whether it waits
    for a `reboot`, after which this is called once more with the same plan. Raises CourtkeeperError
    with what was done in `partial`; nothing was changed where it has none.
    """
    plan = convert(request, Plan, "The plan")
    if check:
        return _foreseen(plan)
    started = time.monotonic()
    state = State(plan.state_directory)
    state.make()
    checks.wait_for_locks(plan.lock_timeout_s)
    journal = state.journal()
    if journal is None:
        journal = _begin(plan, state, keep, now)
    elif journal.phase == "upgrading" and plan.resume != journal.run:
        raise CourtkeeperError(
            f"The run of {journal.run} was interrupted after this plan was made: run again."
        )
    run = Run(plan, state, journal)
    try:
        _work(run)
    except CourtkeeperError as error:
        run.result.metrics["duration_s"] = round(time.monotonic() - started, 1)
        run.result.details.setdefault("healthy", False)
        error.partial = run.result
        raise
    run.result.metrics["duration_s"] = round(time.monotonic() - started, 1)
    return run.result


def _foreseen(plan: Plan) -> Result:
    actions = plan.actions()
    before = "".join(f"{c.name} {c.current}\n" for c in plan.changes if c.current)
    after = "".join(f"{c.name} {c.target}\n" for c in plan.changes)
    return Result(
        changed=bool(actions),
        actions=actions,
        diff={"before": before, "after": after} if plan.changes else {},
        details={"healthy": True, "reboot": False},
        msg=f"{len(plan.changes)} packages would be upgraded, {len(plan.restarts)} services restarted.",
    )


def _begin(plan: Plan, state: State, keep: int, now: datetime) -> Journal:
    """Save the list and fetch every archive, the old and the new ones: nothing is changed by that."""
    native = apt.architecture()
    installed = apt.installed(native)
    for change in plan.changes:
        known = installed.get(change.name)
        version = known.version if known and known.state[1:2] not in {"c", "n"} else ""
        if version != change.current:
            raise CourtkeeperError(
                f"{change.name} is {version or 'not installed'} and was {change.current or 'not installed'} "
                "when the plan was made: run again."
            )
    run = f"{now:%Y%m%dT%H%M%SZ}"
    if plan.changes:
        saved = Saved(
            taken=run,
            packages=list(installed.values()),
            held=sorted(apt.marked("hold", native)),
            automatic=sorted(apt.marked("auto", native)),
        )
        state.save(run, saved, keep)
        apt.download([f"{c.name}={c.target}" for c in plan.changes], plan.lock_timeout_s)
        wanted = [(c.name, version) for c in plan.changes for version in (c.current, c.target) if version]
        for name, version in wanted:
            if not state.archive(name, version):  # a repository in a directory leaves none in apt's cache
                apt.fetch_archive(name, version, state.archives)
        state.keep_archives(wanted, [(package.name, package.version) for package in installed.values()])
    journal = Journal(run=run, phase="upgrading", plan=plan, active=impact.active(), boot=reboot.boot())
    state.note(journal)
    return journal


def _work(run: Run) -> None:
    journal = run.journal
    if run.plan.resume:
        run.did(f"Finish the run of {run.plan.resume} that was interrupted")
    if journal.phase == "rolling_back":
        _back(run, journal.reason)
    if journal.phase == "upgrading":
        try:
            started = {name: unit.invocation for name, unit in impact.units(run.plan.restarts).items()}
            _upgrade(run)
            _restart(run, started)
        except CourtkeeperError as error:
            _back(run, str(error).removesuffix("."))
    problems = gate.wait(journal.active, run.plan.health)
    if problems:
        _back(run, "; ".join(problems))
    run.result.findings.append(
        Finding(
            id="patching.gate",
            subject="host",
            status=Status.OK,
            observed=len(journal.active),
            unit="services",
            summary=f"All {len(journal.active)} services that ran before run now, and the host is healthy.",
        )
    )
    _finish(run)


def _upgrade(run: Run) -> None:
    plan, said = run.plan, ""
    if plan.configure:
        _mend(run)
    native = apt.architecture()
    before = {name: package.version for name, package in apt.installed(native).items()}
    if left := remaining(plan, before):
        try:
            said = apt.install(left, plan.lock_timeout_s)
        finally:
            after = {name: package.version for name, package in apt.installed(native).items()}
            for change in plan.changes:
                if after.get(change.name) != before.get(change.name):
                    run.did(described(change))
                    run.result.findings.append(_upgraded(run, change))
    _marks(run)
    run.result.findings += [_kept(path) for path in parse.kept_files(said)]
    diff = [change for change in plan.changes if change.current]
    run.result.diff = {
        "before": "".join(f"{change.name} {change.current}\n" for change in diff),
        "after": "".join(f"{change.name} {change.target}\n" for change in plan.changes),
    }


def _mend(run: Run) -> None:
    """Finish what dpkg left half done: unpack again what was cut off, then configure everything."""
    half = [package for package in apt.installed(apt.architecture()).values() if package.state[2:3] == "R"]
    archives = []
    for package in half:
        target = next((c.target for c in run.journal.plan.changes if c.name == package.name), package.version)
        if archive := run.state.archive(package.name, target):
            archives.append(archive)
    apt.unpack(archives)
    apt.configure()
    run.did("Finish the configuration of packages that was interrupted")


def _marks(run: Run) -> None:
    """Take back what naming a package to apt did: it looks asked for."""
    apt.mark_automatic([change.name for change in run.journal.plan.changes if change.automatic])


def _restart(run: Run, started: dict[str, str]) -> None:
    """Restart what the plan foresaw and no maintainer script did, then what still runs replaced files."""
    plan, journal = run.plan, run.journal
    behind = impact.stale(impact.processes())
    now = impact.units(plan.restarts)
    for unit in plan.restarts:
        if unit in behind or now[unit].invocation == started[unit]:
            services.restart(unit)
        run.did(f"Restart {unit}")
    for unit, files in impact.stale(impact.processes()).items():
        if unit in plan.restarts:
            continue
        protected = not plan.allow_protected and impact.matches(unit, plan.protected_services)
        if protected or impact.matches(unit, plan.never_restart) or unit not in journal.active:
            run.result.findings.append(_behind(unit, files))
        else:
            services.restart(unit)
            run.did(f"Restart {unit}")


def _back(run: Run, reason: str) -> None:
    """Go back to the versions from before, gate again, and raise the error that tells of both."""
    run.phase("rolling_back", reason)
    plan = run.journal.plan
    failed = f"after the {'upgrade' if plan.changes else 'restarts'}, {reason}"
    try:
        for action in go_back(plan, run.state, run.journal.active):
            run.did(action)
        _marks(run)
    except CourtkeeperError as error:
        raise CourtkeeperError(
            f"The gate failed ({failed}), and going back failed: {str(error).removesuffix('.')}. "
            f"The list from before is {run.state.lists / run.journal.run}.json."
        ) from None
    problems = gate.wait(run.journal.active, plan.health)
    healthy = not problems
    run.result.details |= {"healthy": healthy, "reboot": False}
    run.result.findings.append(
        Finding(
            id="patching.gate",
            subject="host",
            status=Status.CRIT,
            observed=reason,
            summary=f"The gate failed: {failed}. "
            + ("Everything is well again after the way back." if healthy else "It still fails."),
            applied="; ".join(a for a in run.result.actions if a.startswith("Downgrade")),
            fix="look at the new version before the next run, or name it in os_patching_exclude",
        )
    )
    run.state.close()
    after = "and everything is well again" if healthy else f"and still {'; '.join(problems)}"
    what = ", ".join(change.name for change in plan.changes if change.current) or "nothing"
    raise CourtkeeperError(f"The gate failed: {failed}. Went back ({what}), {after}.")


def _finish(run: Run) -> None:
    plan, journal = run.plan, run.journal
    why = reboot.reason()
    if why and journal.phase != "rebooting":
        run.result.findings.append(reboot_finding(why, allowed=plan.reboot == "if_required"))
    wanted = bool(why) and plan.reboot == "if_required" and journal.boot == reboot.boot()
    run.result.details |= {"healthy": True, "reboot": wanted, "run": journal.run}
    if wanted:
        run.phase("rebooting")
        run.did(REBOOT)
        run.result.msg = f"{len(plan.changes)} packages upgraded; the host is to be rebooted: {why}."
        return
    run.state.close()
    run.result.msg = (
        f"{len(plan.changes)} packages upgraded, {len(plan.restarts)} services restarted; all is well."
        if journal.phase != "rebooting"
        else "The host is healthy after its reboot."
    )


def _upgraded(run: Run, change: Change) -> Finding:
    return Finding(
        id="patching.package",
        subject=change.name,
        status=Status.OK,
        observed=change.target,
        threshold=change.target,
        summary=f"{change.name} {change.target} is installed.",
        applied=described(change),
        undo=undo_command(change, run.state),
    )


def _kept(path: str) -> Finding:
    return Finding(
        id="patching.conffile",
        subject=path,
        status=Status.WARN,
        summary=f"{path} was edited here and its package ships a new version: the edited one was kept.",
        fix=f"compare {path} with {path}.dpkg-dist",
    )


def _behind(unit: str, files: list[str]) -> Finding:
    return Finding(
        id="patching.behind",
        subject=unit,
        status=Status.WARN,
        observed=", ".join(files[:3]),
        summary=f"{unit} still runs the old {', '.join(files[:3])} and was not restarted.",
        fix=f"restart {unit} in its own window, or reboot",
    )
