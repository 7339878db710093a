"""Whether the host waits for a reboot, and whether it has had one."""

from __future__ import annotations

import os
import re
from collections import Counter
from itertools import dropwhile
from pathlib import Path

from courtkeeper.hosts.patching import apt

# What maintainer scripts leave behind (Debian Policy has no word on it; update-notifier began it).
MARK = Path("/run/reboot-required")
BOOT = Path("/boot")
_KERNEL = re.compile(r"vmlinuz-([0-9][A-Za-z0-9.+~-]*)")


def reason() -> str:
    """Return why a reboot is needed, in a few words; empty if it is not."""
    if MARK.exists():
        try:
            packages = sorted(set(MARK.with_suffix(".pkgs").read_text(errors="replace").split()))
        except OSError:
            packages = []
        return f"asked for by {', '.join(packages)}" if packages else f"{MARK} exists"
    running = running_kernel()
    kernels = [m[1] for path in BOOT.glob("vmlinuz-*") if (m := _KERNEL.fullmatch(path.name))]
    # A container has no kernel of its own, and its host's is not its business.
    if running in kernels:
        for kernel in kernels:
            if _flavour(kernel) == _flavour(running) and apt.is_newer(kernel, running):
                return f"kernel {kernel} is installed and {running} runs"
    return ""


def running_kernel() -> str:
    """Return the release of the kernel that runs."""
    return os.uname().release


def _flavour(kernel: str) -> str:
    """Return what comes after the version: `cloud-amd64` of 6.12.48+deb13-cloud-amd64."""
    return "-".join(dropwhile(lambda part: part[:1].isdigit(), kernel.split("-")))


def kernel_bytes() -> int:
    """Return what one more kernel takes in /boot with its initial file system: as much as the largest."""
    taken: Counter[str] = Counter()
    for path in BOOT.glob("*-[0-9]*"):
        taken[path.name.partition("-")[2]] += path.stat().st_size
    return max(taken.values(), default=0)


def boot() -> str:
    """Return what differs with every boot, of a container too: the kernel's id and the start of process 1."""
    parts = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}-{parts[19]}"
