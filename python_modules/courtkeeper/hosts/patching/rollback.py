"""Go back: exactly the packages of a run, to exactly the versions from before."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts import services
from courtkeeper.hosts.commands import CommandError
from courtkeeper.hosts.patching import apt, choice, impact, needrestart, reboot
from courtkeeper.hosts.patching.model import Change, Installed, Plan
from courtkeeper.hosts.patching.state import State


def go_back(plan: Plan, state: State) -> tuple[list[str], dict[str, str]]:
    """Bring the packages of `plan` back; new dependencies go.

    Return what was done, and for each package that stays as it is the reason. Raises CourtkeeperError.
    """
    if apt.audit():
        apt.configure_what_can_be()
    native = apt.architecture()
    installed = apt.installed(native)
    away = [c for c in plan.changes if c.name in installed and _differs(c, installed[c.name])]
    staying = _staying(away, state)
    away = [change for change in away if change.name not in staying]
    if away:
        wanted = [_wanted(change, state) for change in away]
        allowed = {change.name for change in away if not change.current}
        seen = apt.simulate(list(map(str, wanted)), backwards=True)
        if more := sorted(set(seen.removes) - allowed):
            raise CourtkeeperError(f"it would also remove {', '.join(more[:5])}")
        apt.install(wanted, plan.lock_timeout_s, backwards=True)
    done = [
        f"Downgrade {c.name} {c.target} to {c.current}" if c.current else f"Remove {c.name} {c.target}"
        for c in away
    ]
    return done, staying


def _staying(away: list[Change], state: State) -> dict[str, str]:
    """Return the packages that cannot go back, or must not, each with the reason."""
    kernel = reboot.running_kernel()
    staying = {c.name: "it is the kernel that runs" for c in away if not c.current and kernel in c.name}
    unkept = [c for c in away if c.current and not state.archive(c.name, c.current)]
    known = apt.policies(change.name for change in unkept)
    for change in unkept:
        sources = known[change.name].versions.get(change.current, []) if change.name in known else []
        if not set(sources) - {choice.STATUS}:
            staying[change.name] = f"no repository and no archive here has {change.current}"
    return staying


def restart_dead(plan: Plan, active: list[str], restarted: set[str]) -> list[str]:
    """Restart what does not run, or runs other files than lie there; return what was done.

    `active` are the services that have to run, `restarted` those that this run has restarted, so that they
    run the new files.
    """
    done = []
    ours = {*plan.restarts, *restarted}  # nothing else is restarted, as on the way forwards
    behind = needrestart.behind(needrestart.ask())
    for name, unit in impact.units(active).items():
        if unit.active not in {"active", "reloading"} or (name in behind and name in ours):
            with suppress(CommandError):  # the others need theirs all the same; the gate finds this one
                services.restart(name)
            done.append(f"Restart {name}")
    return done


def _differs(change: Change, package: Installed) -> bool:
    there = package.state[1:2] not in {"c", "n"}
    return package.state[1:3] != "i " or package.version != change.current if change.current else there


def _wanted(change: Change, state: State) -> str | Path:
    """Return what apt is told: an archive that is kept here, else the version in a repository."""
    if not change.current:
        return f"{change.name}-"
    return state.archive(change.name, change.current) or f"{change.name}={change.current}"


def undo_command(change: Change, state: State) -> str:
    """Return the command that takes the upgrade of one package back."""
    if not change.current:
        return f"apt-get remove {change.name}"
    return f"apt-get install --allow-downgrades {_wanted(change, state)}"
