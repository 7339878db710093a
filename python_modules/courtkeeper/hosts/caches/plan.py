"""Decide what has to change on a host, and in which order; pure but for reading files of our own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.hosts.caches.host import KEYS, PATHS, THP, Host
from courtkeeper.hosts.caches.look import Kernel, Seen
from courtkeeper.hosts.caches.settings import CHANGEABLE, Wanted
from courtkeeper.hosts.caches.state import Kept, State

HEADER = "# Written by Courtkeeper (redis_host). redis_host_undo takes it back.\n"
SYSCTL = "/etc/sysctl.d/90-courtkeeper-redis.conf"
TMPFILES = "/etc/tmpfiles.d/courtkeeper-redis.conf"
DROPIN = "/etc/systemd/system/{unit}.d/90-courtkeeper-redis.conf"


class Step(msgspec.Struct, frozen=True):
    """One change: set `setting` of the kernel, or write `path` (None: remove it); `before` is how it was."""

    before: str | None
    after: str | None
    setting: str = ""
    path: str = ""

    def sentence(self) -> str:
        """Say what is done, for `actions`."""
        if self.setting:
            return f"set {subject(self.setting)} from {self.before} to {self.after}"
        return f"remove {self.path}" if self.after is None else f"write {self.path}"

    def reversed(self) -> Step:
        """Return the step that takes this one back."""
        return Step(self.after, self.before, self.setting, self.path)


class Plan(msgspec.Struct, frozen=True):
    """The steps, what is ours after them, and what was left alone and why."""

    steps: list[Step]
    state: State
    left: list[Finding]


def subject(setting: str) -> str:
    """Return what people call a setting."""
    return KEYS.get(setting, PATHS[setting])


def plan(wanted: Wanted, seen: Seen, known: State, host: Host) -> Plan:
    """Return what makes the host what `wanted.change` and `wanted.undo` name.

    Raises ConfigurationError where a file of the name that we need is somebody else's.
    """
    kernel, units = dict(known.kernel), dict(known.units)
    left = list(_unchangeable(wanted, seen))
    steps: list[Step] = []
    for name in (each for each in CHANGEABLE if each in wanted.change and each in seen.kernel):
        setting = seen.kernel[name]
        if setting.writable and setting.value is not None:
            steps += _change(setting, kernel)
    for name in (each for each in CHANGEABLE if each in wanted.undo and each in kernel):
        step, finding = _undo(seen.kernel[name], kernel.pop(name))
        steps += [step] if step else []
        left += [finding] if finding else []
    if "open_files" in [*wanted.change, *wanted.undo]:  # ours too where our notes were lost
        units = {
            each.unit.id: each.wanted_files
            for each in seen.services
            if host.path(DROPIN.format(unit=each.unit.id)).exists()
        } | units
    if "open_files" in wanted.change:
        units |= {
            each.unit.id: each.wanted_files
            for each in seen.services
            if each.unit.limit < each.wanted_files or each.unit.id in units
        }
    # A run that died before systemd read our file: it is written, or removed, once more.
    unread = {each.unit.id for each in seen.services if each.unit.stale and each.unit.id in known.units}
    after = State(kernel, {} if "open_files" in wanted.undo else units)
    return Plan([*_files(after, {*known.units, *units}, unread, host), *steps], after, left)


def _change(setting: Kernel, kernel: dict[str, Kept]) -> list[Step]:
    """Note the setting as ours, and return the step that sets it now, where one is needed."""
    if setting.value is None:
        return []
    ours = setting.value if setting.satisfied(setting.value) else setting.wanted
    if setting.name not in kernel and _declared(setting) and ours == setting.value:
        return []  # somebody else keeps it, as it should be
    kernel[setting.name] = Kept(kernel.get(setting.name, Kept(setting.value, ours)).before, ours)
    return [] if ours == setting.value else [Step(setting.value, ours, setting=setting.name)]


def _declared(setting: Kernel) -> bool:
    """Tell whether a file of somebody else's keeps the setting over a reboot."""
    later = setting.after_boot
    if later is None or not later.where or later.where.startswith((SYSCTL, TMPFILES)):
        return False
    return setting.satisfied(later.value)


def _undo(setting: Kernel, kept: Kept) -> tuple[Step | None, Finding | None]:
    """Return the step back; none, with a finding, where somebody has changed the setting since."""
    if setting.value == kept.before:
        return None, None
    if setting.value == kept.ours and setting.writable:
        return Step(setting.value, kept.before, setting=setting.name), None
    why = (
        f"it is {setting.value}, and we had set {kept.ours}"
        if setting.writable
        else "it cannot be set from here"
    )
    return None, Finding(
        id="redis.host.left",
        subject=setting.subject,
        status=Status.SKIPPED,
        observed=setting.value,
        threshold=kept.before,
        summary=f"{setting.subject} was not set back to {kept.before}: {why}.",
        fix=f"set it by hand if {kept.before} is wanted",
    )


def _unchangeable(wanted: Wanted, seen: Seen) -> list[Finding]:
    """Say in one sentence what was asked for and cannot be changed from this host."""
    names = [
        each.subject
        for each in seen.kernel.values()
        if each.name in wanted.change
        and not each.writable
        and each.value is not None
        and not each.satisfied(each.value)
    ]
    if not names:
        return []
    return [
        Finding(
            id="redis.host.unchangeable",
            subject="kernel",
            status=Status.SKIPPED,
            observed=", ".join(names),
            summary=f"What cannot be set from here was left alone: {', '.join(names)}; in a container that "
            "belongs to the machine below.",
            fix="run redis_host on that machine",
        )
    ]


def _files(after: State, units: set[str], unread: set[str], host: Host) -> list[Step]:
    """Return the steps that make our files what `after` says; one that says nothing is removed."""
    sysctls = {KEYS[name]: kept.ours for name, kept in after.kernel.items() if name in KEYS}
    thp = after.kernel.get(THP)
    wanted = {
        SYSCTL: "".join(f"{key} = {value}\n" for key, value in sorted(sysctls.items())),
        TMPFILES: f"w {PATHS[THP]} - - - - {thp.ours}\n" if thp else "",
    }
    for unit in sorted(units):
        limit = after.units.get(unit)
        wanted[DROPIN.format(unit=unit)] = f"[Service]\nLimitNOFILE={limit}\n" if limit else ""
    steps, again = [], {DROPIN.format(unit=unit) for unit in unread}
    for path, text in wanted.items():
        present, content = _present(host.path(path), path), f"{HEADER}{text}" if text else None
        if present != content or path in again:
            steps.append(Step(present, content, path=path))
    return steps


def _present(file: Path, path: str) -> str | None:
    """Return what lies at `path`, None where nothing does. Raises ConfigurationError where it is not ours."""
    try:
        text = file.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): mend or remove it") from None
    if not text.startswith(HEADER):
        raise ConfigurationError(f"{path} is not ours and has the name that redis_host needs: move it")
    return text


def difference(steps: list[Step]) -> dict[str, str]:
    """Return the texts before and after, as Ansible's diff shows them."""
    before: list[str] = []
    after: list[str] = []
    for step in steps:
        for text, shown in ((step.before, before), (step.after, after)):
            if text is not None:
                shown.append(
                    f"{subject(step.setting)} = {text}\n" if step.setting else f"# {step.path}\n{text}"
                )
    return {"before": "".join(before), "after": "".join(after)} if steps else {}
