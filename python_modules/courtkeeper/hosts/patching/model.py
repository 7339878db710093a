"""What a plan holds, what it is made from, and what a run writes down while it works."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from courtkeeper.findings import ConfigurationError

REBOOT = "Reboot the host"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be true of a host beside its services: a URL's status, a command's success."""

    services: list[str] = []
    url: str = ""
    status: int = 200
    command: list[str] = []
    timeout_s: float = 60.0
    settle_s: float = 5.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `make_plan` is asked for; one field for each variable `os_patching_<field>` of the role."""

    packages: Literal["all", "security"] = "all"
    security_origins: list[str] = []
    exclude: list[str] = []
    protected_services: list[str] = []
    allow_protected: bool = False
    protected_policy: Literal["refuse", "leave_out"] = "refuse"
    never_restart: list[str] = []
    window: str = ""
    time_zone: str = "Etc/UTC"
    backup_marker: str = ""
    backup_max_age_h: float = 26.0
    require_way_back: bool = False
    min_free_percent: float = 10.0
    min_free_mib: float = 1024.0
    lock_timeout_s: float = 60.0
    index_max_age_min: float = 60.0
    reboot: Literal["never", "if_required"] = "never"
    health: Health = Health()
    state_directory: str = "/var/lib/courtkeeper/patching"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a plan, by apt's name; `current` is empty for a new dependency."""

    name: str
    current: str
    target: str
    origin: str = ""
    security: bool = False
    automatic: bool = False
    way_back: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does, and nothing else. `hits` names for each service the packages that restart it."""

    changes: list[Change] = []
    configure: bool = False
    resume: str = ""
    hits: dict[str, list[str]] = {}
    restarts: list[str] = []
    reboot_reason: str = ""
    reboot_in_vain: bool = False  # the host was rebooted for that reason, and it is there still
    protected_services: list[str] = []
    allow_protected: bool = False
    never_restart: list[str] = []
    reboot: Literal["never", "if_required"] = "never"
    lock_timeout_s: float = 60.0
    state_directory: str = "/var/lib/courtkeeper/patching"

    def actions(self) -> list[str]:
        """Return one sentence for each step, in the order in which a run does them."""
        steps = [f"Finish the run of {self.resume} that was interrupted"] if self.resume else []
        if self.configure:
            steps.append("Finish the configuration of packages that was interrupted")
        steps += [*map(described, self.changes), *(f"Restart {unit}" for unit in self.restarts)]
        if self.reboot_reason and self.reboot == "if_required" and not self.reboot_in_vain:
            steps.append(REBOOT)
        return steps


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """One package as dpkg knows it: `state` is its three letters, `size_kib` what it says it takes up."""

    name: str
    version: str
    state: str
    size_kib: int = 0


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The saved list: what was installed, held and automatic before a run."""

    taken: str
    packages: list[Installed]
    held: list[str]
    automatic: list[str]


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is about; it lies on disk for as long as the run is not finished."""

    run: str
    phase: Literal["upgrading", "rebooting", "rolling_back", "ill"]  # ill: went back, and still not well
    plan: Plan
    active: list[str]  # services that ran before
    boot: str  # which boot of the host the run began in
    reason: str = ""  # why it goes back


T = TypeVar("T")


def convert(value: object, kind: type[T], what: str) -> T:
    """Return `value` as `kind`; raise ConfigurationError naming `what` and the wrong field."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{what} cannot be used: {error}.") from None


def described(change: Change) -> str:
    """Return what is done to a package, as a sentence."""
    if not change.current:
        return f"Install {change.name} {change.target} (a new dependency)"
    kind = " (security)" if change.security else ""
    return f"Upgrade {change.name} {change.current} to {change.target}{kind}"
