"""Go back: exactly the packages of a run, to exactly the versions from before."""

from __future__ import annotations

from pathlib import Path

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts import services
from courtkeeper.hosts.patching import apt, impact
from courtkeeper.hosts.patching.model import Change, Installed, Plan
from courtkeeper.hosts.patching.state import State


def go_back(plan: Plan, state: State, active: list[str]) -> list[str]:
    """Bring the packages of `plan` back, restart what they concern, and return what was done.

    New dependencies go; `active` are the services that have to run. Raises CourtkeeperError.
    """
    if apt.audit():
        apt.configure_what_can_be()
    native = apt.architecture()
    installed = apt.installed(native)
    away = [c for c in plan.changes if c.name in installed and _differs(c, installed[c.name])]
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
    behind = impact.stale(impact.processes())
    for name, unit in impact.units(active).items():
        if unit.active not in {"active", "reloading"} or (name in behind and name in plan.restarts):
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
