"""Do what a plan says: snapshot, change, gate, and keep it or go back.

Every step is written to the journal before it is done, so that a run which dies at any point is
finished, forwards or backwards, by the next one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from courtkeeper.findings import CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts import services
from courtkeeper.hosts.commands import CommandError
from courtkeeper.hosts.patching import apt, checks, gate, impact, needrestart, parse, reboot
from courtkeeper.hosts.patching.model import REBOOT, Change, Health, Journal, Plan, Saved, convert, described
from courtkeeper.hosts.patching.plan import reboot_finding
from courtkeeper.hosts.patching.rollback import go_back, restart_dead, undo_command
from courtkeeper.hosts.patching.state import State, remaining


class Run:
    """One run: its plan, its journal, and what it has done so far."""

    def __init__(self, plan: Plan, health: Health, state: State, journal: Journal) -> None:
        """Work on `plan`, which `journal` describes; `health` is what the gate asks for."""
        self.plan = plan
        self.health = health
        self.state = state
        self.journal = journal
        self.result = Result()
        self.restarted: set[str] = set()

    def did(self, action: str) -> None:
        """Remember that something was changed."""
        self.result.changed = True
        self.result.actions.append(action)

    def phase(self, phase: str, reason: str = "") -> None:
        """Write down what comes next."""
        changes: dict[str, Any] = {"phase": phase, "reason": reason}
        self.journal = msgspec.structs.replace(self.journal, **changes)
        self.state.note(self.journal)


def apply_plan(
    request: dict[str, Any], asked: dict[str, Any], *, keep: int, now: datetime, check: bool
) -> Result:
    """Do what the plan `request` (as `make_plan` returned it) says, and nothing else.

    `asked` is the health that the gate asks for; it is no part of the plan, which is shown and kept.
    `keep` saved package lists stay. `details` says whether the host is `healthy` and whether it waits
    for a `reboot`, after which this is called once more with the same plan. Raises CourtkeeperError
    with what was done in `partial`; who gets none (a crash) knows nothing about the host's health.
    """
    plan = convert(request, Plan, "The plan")
    health = convert(asked, Health, "The health asked for")
    if check:
        return _foreseen(plan)
    started = time.monotonic()
    state = State(plan.state_directory, apt.architecture())
    with state.alone():
        run = Run(plan, health, state, _journal(plan, state, keep, now))
        try:
            _work(run)
        except CourtkeeperError as error:
            run.result.details.setdefault("healthy", False)
            error.partial = run.result
            raise
        finally:
            run.result.metrics["duration_s"] = round(time.monotonic() - started, 1)
    return run.result


def _journal(plan: Plan, state: State, keep: int, now: datetime) -> Journal:
    """Return the journal to work by: the one of the run that is to be finished, or a new one."""
    journal = None
    try:
        journal = state.journal()
        checks.wait_for_locks(plan.lock_timeout_s)
        if journal is None:
            return _begin(plan, state, keep, now)
        _refuse_another(journal, plan)
    except CourtkeeperError as error:
        # Nothing was changed: the host is as well as it was, unless a run lies on it half done.
        error.partial = Result(details={"healthy": journal is None and not plan.resume})
        raise
    return journal


def _refuse_another(journal: Journal, plan: Plan) -> None:
    if journal.phase == "upgrading" and plan.resume != journal.run:
        raise CourtkeeperError(
            f"The run of {journal.run} was interrupted after this plan was made: run again."
        )


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
    journal = Journal(run=run, phase="upgrading", plan=plan, active=impact.expected(), boot=reboot.boot())
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
            what = "upgrade" if journal.plan.changes else "restarts"
            _back(run, f"the {what} failed: {str(error).removesuffix('.')}")
    problems = gate.wait(_expected(run), run.health)
    if problems and journal.phase == "ill":
        raise CourtkeeperError(
            f"The host is still ill since the run of {journal.run} went back: {'; '.join(problems)}. Mend "
            f"that and run again, or remove {run.state.directory}/journal.json to take the host as it is."
        )
    if problems:
        what = "upgrade" if journal.plan.changes else "restarts"
        _back(run, f"the gate failed after the {what}: {'; '.join(problems)}")
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


def _expected(run: Run) -> list[str]:
    """Return the services that the gate expects; after a reboot only those that a reboot starts.

    What a person had started and not enabled is no fault of the upgrade: it is told of.
    """
    active = run.journal.active
    if run.journal.phase != "rebooting" or run.journal.boot == reboot.boot():
        return active
    seen = impact.units(active)
    run.result.findings += [
        Finding(
            id="patching.not_enabled",
            subject=name,
            status=Status.WARN,
            observed=unit.state,
            summary=f"{name} ran before the reboot and was not started by it: it is {unit.state or 'gone'}.",
            fix=f"systemctl start {name}; systemctl enable it if it is to survive reboots",
        )
        for name, unit in seen.items()
        if not unit.comes_back and unit.active not in {"active", "activating", "reloading"}
    ]
    return [name for name, unit in seen.items() if unit.comes_back]


def _upgrade(run: Run) -> None:
    plan, said = run.plan, ""
    if plan.configure:
        _mend(run)
    native = apt.architecture()
    before = {name: package.version for name, package in apt.installed(native).items()}
    if left := remaining(plan, before, apt.is_newer):
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
            _restart_one(run, unit, behind.get(unit, []))
        else:  # its package did
            run.restarted.add(unit)
            run.did(f"Restart {unit}")
    running = impact.running()
    for unit, files in needrestart.behind(needrestart.ask()).items():
        if unit in plan.restarts:
            continue
        protected = not plan.allow_protected and impact.matches(unit, plan.protected_services)
        spared = impact.matches(unit, plan.never_restart) or unit not in journal.active
        if protected or spared or unit not in running:
            run.result.findings.append(_behind(unit, files))
        else:
            _restart_one(run, unit, files)


def _restart_one(run: Run, unit: str, files: list[str]) -> None:
    """Restart a service; one that systemd leaves running (it is masked, or allows no stop) is told of."""
    run.restarted.add(unit)
    try:
        services.restart(unit)
    except CommandError as error:
        if unit not in impact.running():
            raise
        run.result.findings.append(_behind(unit, files, str(error).removesuffix(".")))
    else:
        run.did(f"Restart {unit}")


def _back(run: Run, reason: str) -> None:
    """Go back to the versions from before, gate again, and raise the error that tells of both.

    A host that is still ill keeps its journal: a later run would else take what is dead for not wanted.
    """
    run.phase("rolling_back", reason)
    plan = run.journal.plan
    failed = reason[:1].upper() + reason[1:]
    try:
        staying = _bring_back(run)
    except CourtkeeperError as error:
        raise CourtkeeperError(
            f"{failed}. Going back failed, too: {str(error).removesuffix('.')}. "
            f"The list from before is {run.state.lists / run.journal.run}.json."
        ) from None
    problems = gate.wait(run.journal.active, run.health)
    healthy = not problems
    run.result.details |= {"healthy": healthy, "reboot": False}
    run.result.findings.append(
        Finding(
            id="patching.gate",
            subject="host",
            status=Status.CRIT,
            observed=reason,
            summary=f"{failed}. "
            + ("Everything is well again after the way back." if healthy else "It still fails."),
            applied="; ".join(a for a in run.result.actions if a.startswith("Downgrade")),
            fix="look at the new version before the next run, or name it in os_patching_exclude",
        )
    )
    if healthy:
        run.state.close()
    else:
        run.phase("ill", reason)
    after = "and everything is well again" if healthy else f"and still {'; '.join(problems)}"
    gone = [change.name for change in plan.changes if change.current and change.name not in staying]
    left = "".join(f" {name} could not: {reason}." for name, reason in staying.items())
    raise CourtkeeperError(f"{failed}. Went back ({', '.join(gone) or 'nothing'}), {after}.{left}")


def _bring_back(run: Run) -> dict[str, str]:
    """Bring packages and services back; return the packages that stay as they are, with the reasons."""
    plan, journal = run.journal.plan, run.journal
    try:
        done, staying = go_back(plan, run.state)
        for action in done:
            run.did(action)
        _marks(run)
    except CourtkeeperError:
        with suppress(CourtkeeperError):  # a service is better on new files than dead
            _services_back(run)
        raise
    _services_back(run)
    run.result.findings += [
        Finding(
            id="patching.stays",
            subject=name,
            status=Status.WARN,
            summary=f"{name} could not go back with the run of {journal.run}: {reason}.",
            fix="look whether it does harm; a kernel goes once another one runs",
        )
        for name, reason in staying.items()
    ]
    return staying


def _services_back(run: Run) -> None:
    for action in restart_dead(run.journal.plan, run.journal.active, run.restarted):
        run.did(action)


def _finish(run: Run) -> None:
    plan, journal = run.plan, run.journal
    why = reboot.reason() or needrestart.ask().reboot
    same_boot = journal.boot == reboot.boot()
    if journal.phase == "rebooting" and not same_boot:
        run.state.rebooted(why)
    in_vain = bool(why) and why == run.state.rebooted_for()
    if why and (in_vain or journal.phase != "rebooting"):
        allowed = plan.reboot == "if_required"
        run.result.findings.append(reboot_finding(why, allowed=allowed, in_vain=in_vain))
    wanted = bool(why) and not in_vain and plan.reboot == "if_required" and same_boot
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


def _behind(unit: str, files: list[str], why: str = "") -> Finding:
    old = ", ".join(files[:3]) or "files"
    return Finding(
        id="patching.behind",
        subject=unit,
        status=Status.WARN,
        observed=", ".join(files[:3]),
        summary=f"{unit} still runs the old {old} and was not restarted{f': {why}' if why else ''}.",
        fix=f"restart {unit} in its own window, or reboot",
    )
