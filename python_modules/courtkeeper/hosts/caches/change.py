"""Carry a plan out: note it, take its steps, look whether they hold, and take all of them back if not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts import commands, files
from courtkeeper.hosts.caches import state
from courtkeeper.hosts.caches.host import Host
from courtkeeper.hosts.caches.plan import DROPIN, Plan, Step, subject
from courtkeeper.hosts.caches.state import State


def carry_out(plan: Plan, known: State, host: Host, directory: Path) -> None:
    """Take the steps of `plan`. Raises CourtkeeperError, with nothing changed, where one does not hold."""
    begun: list[Step] = []
    try:
        # What was ours stays noted until the last step: a run that dies between can be taken back.
        state.write(directory, _both(known, plan.state))
        for step in plan.steps:
            begun.append(step)
            _take(step, host)
        _reload(plan.steps, host)
        _hold(plan, host)
        state.write(directory, plan.state)
    except (OSError, CourtkeeperError) as error:
        stayed = _take_back(begun, known, host, directory)
        raise CourtkeeperError(f"{_sentence(error, begun)}; {stayed or 'all of it was taken back'}") from None


def _both(before: State, after: State) -> State:
    return State({**before.kernel, **after.kernel}, {**before.units, **after.units})


def _take(step: Step, host: Host) -> None:
    """Make one change. Raises OSError."""
    if step.setting:
        host.put(step.setting, step.after or "")
        return
    path = host.path(step.path)
    if step.after is None:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds files of others
            if path.parent.suffix == ".d" and path.parent.parent.name == "system":
                path.parent.rmdir()
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    files.write(path, step.after.encode("utf-8", "surrogateescape"), 0o644)


def _reload(steps: Sequence[Step], host: Host) -> None:
    """Let systemd read drop-ins that were changed."""
    if any("/systemd/" in step.path for step in steps):
        host.units.reload()


def _hold(plan: Plan, host: Host) -> None:
    """See that the kernel and systemd say what was set. Raises CourtkeeperError."""
    for step in plan.steps:
        if step.setting and (now := host.value(step.setting)) != step.after:
            raise CourtkeeperError(f"{subject(step.setting)} was set to {step.after} and is {now}")
    written = {step.path for step in plan.steps}
    for unit in sorted(unit for unit in plan.state.units if DROPIN.format(unit=unit) in written):
        found = host.unit(unit)
        if found.limit < plan.state.units[unit]:
            raise CourtkeeperError(
                f"{unit} has a limit of {found.limit} files in spite of our {plan.state.units[unit]}: "
                "another of its drop-ins comes later, see systemctl cat"
            )


def _take_back(begun: Sequence[Step], known: State, host: Host, directory: Path) -> str:
    """Undo the steps begun, the last first; return what could not be undone, for the message."""
    stayed = []
    for step in reversed(begun):
        try:
            if not step.setting or host.value(step.setting) != step.before:
                _take(step.reversed(), host)
        except OSError as error:
            stayed.append(f"{subject(step.setting) if step.setting else step.path} ({error.strerror})")
    try:
        _reload(begun, host)
        if not stayed:
            state.write(directory, known)
    except (OSError, commands.CommandError) as error:
        stayed.append(f"systemd or our notes ({error})")
    return f"this could not be taken back: {', '.join(stayed)}" if stayed else ""


def _sentence(error: Exception, begun: Sequence[Step]) -> str:
    if isinstance(error, OSError) and begun:
        return f"could not {begun[-1].sentence()} ({error.strerror})"
    return str(error).rstrip(".")
