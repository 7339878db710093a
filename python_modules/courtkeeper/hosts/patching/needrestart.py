"""What needrestart says, where it is installed.

It knows what /proc alone does not tell: which Python, Perl, Ruby and Java services run sources that were
replaced (it reads what a script imports), the kernel that should run, and the processor's microcode.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.hosts import commands
from courtkeeper.hosts.patching import impact

TOOL = Path("/usr/sbin/needrestart")
ASK_S = 120
# README.batch.md of needrestart: 2 is an upgrade with the same ABI, 3 one to another version.
KERNEL_WAITS = ("2", "3")
MICROCODE_WAITS = "2"  # NRM_OBSOLETE in its uCode.pm
_LINE = re.compile(r"NEEDRESTART-([A-Z]+): (\S+)")
_SERVICE = re.compile(r"[A-Za-z0-9:_.\\@-]+")
SAYS = "program or library (says needrestart)"


class Advice(msgspec.Struct, frozen=True):
    """Services to be restarted, why the host has to be rebooted, and why needrestart could not be asked."""

    services: list[str] = []
    reboot: str = ""
    missing: str = ""


def parse(text: str) -> Advice:
    """Read `needrestart -b`. Lines that are not its own are passed over."""
    services = []
    said: dict[str, str] = {}
    for match in map(_LINE.fullmatch, text.split("\n")):
        if match and match[1] != "SVC":
            said[match[1]] = match[2]
        elif match and _SERVICE.fullmatch(match[2]) and not match[2].startswith("-"):
            # A service with an init script only has no suffix.
            services.append(match[2] if match[2].endswith(".service") else f"{match[2]}.service")
    reasons = []
    if said.get("KSTA") in KERNEL_WAITS:
        reasons.append(
            f"kernel {said.get('KEXP', 'another')} is installed and {said.get('KCUR', 'an older')} runs"
        )
    if said.get("UCSTA") == MICROCODE_WAITS:
        reasons.append("newer microcode is installed")
    return Advice(list(dict.fromkeys(services)), " and ".join(reasons))


def ask() -> Advice:
    """Ask needrestart, which restarts nothing by that. Where it cannot be asked, `missing` says why."""
    if not TOOL.exists():
        return Advice(missing="needrestart is not installed")
    try:
        return parse(commands.run([TOOL, "-b", "-r", "l"], timeout_s=ASK_S).stdout)
    except commands.CommandError as error:
        return Advice(missing=str(error).removesuffix("."))


def behind(advice: Advice) -> dict[str, list[str]]:
    """Return the services that run replaced files, with those files: by /proc, and by `advice`."""
    return {**{unit: [SAYS] for unit in advice.services}, **impact.stale(impact.processes())}


def not_asked(advice: Advice) -> Finding:
    """Return the finding that says what nobody looked at."""
    return Finding(
        id="patching.needrestart",
        subject="needrestart",
        status=Status.SKIPPED,
        summary=(
            f"{advice.missing}: a service in Python, Perl, Ruby or Java that uses a replaced library is "
            "noticed only where its own package is upgraded."
        ),
        fix="apt-get install needrestart",
    )
