"""A directory that looks like the host of a Redis server, and a `fake_systemd` that reads its drop-ins.

The kernel's files are plain files here: what is written is what is read. A real kernel and a real systemd are
asked by the scenario `molecule/cache`, as far as a container has them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from courtkeeper.findings import Result, Status
from courtkeeper.hosts.caches import duty, settings
from courtkeeper.hosts.caches.host import CLOCK, PATHS, Host, Unit
from courtkeeper.hosts.caches.plan import DROPIN

UNIT = "redis-server.service"
PID = 42


class FakeSystemd:
    """One unit, with the drop-ins that lay there when systemd was last told to read them.

    What it has read lies in a file, so that it outlives a process that is killed.
    """

    def __init__(self, root: Path, limit: int) -> None:
        self.root, self.limit, self.pid, self.queue = root, limit, PID, 511
        self.memory = root.with_name("systemd.json")
        self.reload()

    def drop_ins(self) -> dict[str, str]:
        folder = (self.root / DROPIN.format(unit=UNIT).lstrip("/")).parent
        return {path.name: path.read_text() for path in sorted(folder.glob("*.conf"))}

    def known(self) -> dict[str, str]:
        known: dict[str, str] = json.loads(self.memory.read_text())
        return known

    def reload(self) -> None:
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        self.memory.write_text(json.dumps(self.drop_ins()))

    def now(self) -> int:
        """LimitNOFILE: the last drop-in's, else the unit's own."""
        lines = "".join(self.known().values()).splitlines()
        return int(([str(self.limit)] + [line.partition("=")[2] for line in lines if "=" in line])[-1])

    def show(self, service: str) -> Unit | None:
        if service.removesuffix(".service") not in {"redis", "redis-server"}:
            return None
        return Unit(UNIT, self.now(), self.pid, stale=self.drop_ins() != self.known())

    def listening(self) -> str:
        return f'LISTEN 0 {self.queue} 127.0.0.1:6379 0.0.0.0:* users:(("redis-server",pid={PID},fd=6))\n'


class CacheHost:
    """The directory, its systemd, and a run of the duty on it."""

    def __init__(self, home: Path) -> None:
        self.root, self.notes = home / "root", home / "notes"
        self.write("/etc/redis/redis.conf", "port 6379\ntcp-backlog 511\n# maxclients 10000\n")
        self.write(f"{CLOCK}/current_clocksource", "tsc\n")
        self.write(f"{CLOCK}/available_clocksource", "tsc acpi_pm\n")
        self.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet\n")
        self.kernel(transparent_huge_pages="always [madvise] never", overcommit_memory="1", somaxconn="4096")
        self.process(files=65535, huge_pages=True)
        self.write("/etc/sysctl.d/50-mine.conf", "vm.overcommit_memory = 1\n")
        self.systemd = FakeSystemd(self.root, 65535)
        self.host = Host(self.root, self.systemd)

    def make_ill(self) -> None:
        """Make everything wrong that can be changed."""
        self.kernel(transparent_huge_pages="[always] madvise never", overcommit_memory="0", somaxconn="128")
        self.write("/etc/sysctl.d/50-mine.conf", "vm.overcommit_memory = 0\n")
        self.systemd.limit = 1024

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def kernel(self, **values: str) -> None:
        for name, value in values.items():
            self.write(PATHS[name], f"{value}\n")

    def process(self, *, files: int, huge_pages: bool) -> None:
        self.write(f"/proc/{PID}/limits", f"Limit  Soft  Hard  Units\nMax open files  1024  {files}  files\n")
        self.write(f"/proc/{PID}/status", f"Name:\tredis-server\nTHP_enabled:\t{int(huge_pages)}\n")

    def run(self, check: bool = False, **wanted: Any) -> Result:
        given = settings.wanted_from({"servers": [{}], **wanted})
        return duty.run(given, check=check, host=self.host, directory=self.notes)

    def files(self) -> dict[str, str]:
        """Everything below the root that can change, by its path on the host."""
        places = [path for path in self.root.rglob("*") if path.is_file()]
        return {f"/{path.relative_to(self.root)}": path.read_text() for path in sorted(places)}


def bad(result: Result) -> dict[str, str]:
    """The subjects of the findings that are not ok, with their ids."""
    return {f.id.removeprefix("redis.host."): f.subject for f in result.findings if f.status is not Status.OK}
