"""Choose the packages of a plan: what is newer, what may be touched, and what comes with it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from courtkeeper.findings import CourtkeeperError, Finding, Status
from courtkeeper.hosts.commands import CommandError
from courtkeeper.hosts.patching import apt
from courtkeeper.hosts.patching.model import Change, Installed, Settings
from courtkeeper.hosts.patching.parse import Policy, Release, Simulated

# debian-security's Release says `Label: Debian-Security` and `Suite: …-security`.
SECURITY = ("Debian-Security:*", "*-security")
STATUS = "/var/lib/dpkg/status"


class Known(msgspec.Struct, frozen=True):
    """What apt and dpkg know of a host before anything is chosen."""

    installed: dict[str, Installed]
    held: set[str]
    automatic: set[str]
    policies: dict[str, Policy]
    releases: dict[str, Release]

    def newer(self, name: str) -> list[str]:
        """Return the versions of `name` that an upgrade would pass through, its target first."""
        policy = self.policies.get(name)
        if policy is None or not policy.installed or policy.candidate == policy.installed:
            return []
        order = list(policy.versions)
        if policy.candidate not in order or policy.installed not in order:
            return []
        first, last = order.index(policy.candidate), order.index(policy.installed)
        return order[first:last]  # empty where a pin makes an older version the candidate

    def origins(self, name: str, version: str) -> list[Release]:
        """Return the repositories that carry `name` in `version`."""
        sources = self.policies[name].versions.get(version, []) if name in self.policies else []
        return [self.releases[source] for source in sources if source in self.releases and source != STATUS]

    def is_security(self, name: str, patterns: Iterable[str]) -> bool:
        """Tell whether the upgrade brings a fix from a security repository, or passes one on its way."""
        return any(
            is_security(release, patterns)
            for version in self.newer(name)
            for release in self.origins(name, version)
        )


def is_security(release: Release, patterns: Iterable[str]) -> bool:
    """Tell whether a repository is one for security fixes, by fnmatch on `LABEL:SUITE`."""
    return any(fnmatchcase(str(release), pattern) for pattern in (*SECURITY, *patterns))


def look(native: str) -> Known:
    """Ask apt and dpkg what there is."""
    everything = apt.installed(native)
    present = [name for name, package in everything.items() if package.state[1:2] not in {"c", "n"}]
    return Known(
        {name: everything[name] for name in present},
        apt.marked("hold", native),
        apt.marked("auto", native),
        apt.policies(present),
        apt.releases(),
    )


class Choice(msgspec.Struct, frozen=True):
    """The chosen changes, and a finding for each package that stays although there is a newer one."""

    changes: list[Change]
    findings: list[Finding]


def choose(known: Known, settings: Settings, left_out: dict[str, str]) -> Choice:
    """Choose what is upgraded. `left_out` holds packages that must not be touched, with the reason."""
    upgradable = {name: known.policies[name].candidate for name in known.installed if known.newer(name)}
    forbidden = dict.fromkeys(known.held, "it is on hold")
    for name in upgradable:
        if any(fnmatchcase(name, pattern) for pattern in settings.exclude):
            forbidden.setdefault(name, "os_patching_exclude names it")
    forbidden |= left_out
    wanted = {
        name: version
        for name, version in upgradable.items()
        if name not in forbidden
        and (settings.packages == "all" or known.is_security(name, settings.security_origins))
    }
    reasons = {name: reason for name, reason in forbidden.items() if name in upgradable}
    done, more = _together(wanted, forbidden)
    findings = [_left_alone(known, settings, name, reason) for name, reason in {**reasons, **more}.items()]
    return Choice(_changes(known, settings, done), findings)


def _together(wanted: dict[str, str], forbidden: dict[str, str]) -> tuple[Simulated, dict[str, str]]:
    """Return what it takes to upgrade `wanted`, without those that cannot be (with the reason for each)."""
    try:
        whole = _simulate(wanted)
        problem = _problem(whole, forbidden)
    except CommandError as error:
        problem = str(error)
    if not problem:
        return whole, {}
    reasons = {}
    for name, version in wanted.items():
        try:
            alone = _problem(_simulate({name: version}), forbidden)
        except CommandError as error:
            alone = str(error).removesuffix(".")
        if alone:
            reasons[name] = alone
    rest = {name: version for name, version in wanted.items() if name not in reasons}
    if not rest and (broken := apt.broken()):  # then apt upgrades nothing, whatever it is asked for
        raise CourtkeeperError(
            f"apt can upgrade nothing on this host: {broken}. Mend: apt --fix-broken install."
        )
    whole = _simulate(rest)
    if still := _problem(whole, forbidden):
        raise CourtkeeperError(f"The packages cannot be upgraded together: {still}.")
    return whole, reasons


def _simulate(wanted: dict[str, str]) -> Simulated:
    return apt.simulate([f"{name}={version}" for name, version in sorted(wanted.items())])


def _problem(seen: Simulated, forbidden: dict[str, str]) -> str:
    if seen.removes:
        return f"it would remove {', '.join(sorted(seen.removes)[:5])}"
    for name in seen.installs:
        if name in forbidden:
            return f"it needs {name}, and {forbidden[name]}"
    return ""


def _left_alone(known: Known, settings: Settings, name: str, reason: str) -> Finding:
    policy = known.policies[name]
    security = known.is_security(name, settings.security_origins)
    kind = "held" if name in known.held else "left_out"
    return Finding(
        id=f"patching.{kind}",
        subject=name,
        status=Status.WARN if security or kind == "held" else Status.SKIPPED,
        observed=policy.installed,
        threshold=policy.candidate,
        summary=(
            f"{name} stays at {policy.installed} although {policy.candidate} is there"
            f"{' and fixes a security hole' if security else ''}: {reason}."
        ),
        fix=f"apt-mark unhold {name}" if kind == "held" else "",
    )


def _changes(known: Known, settings: Settings, done: Simulated) -> list[Change]:
    new = [name for name in done.installs if name not in known.policies]
    known = msgspec.structs.replace(known, policies={**known.policies, **apt.policies(new)}) if new else known
    return [
        Change(
            name=name,
            current=known.installed[name].version if name in known.installed else "",
            target=version,
            origin=", ".join(sorted({str(release) for release in known.origins(name, version)})),
            security=known.is_security(name, settings.security_origins),
            automatic=name in known.automatic or name not in known.installed,
            way_back=name in known.installed and bool(known.origins(name, known.installed[name].version)),
        )
        for name, version in sorted(done.installs.items())
    ]
