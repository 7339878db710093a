"""Clean real directories full of traps, with the time moved forward, and the real journal."""
# ruff: noqa: S101, S108, T201, PTH116, PTH208

import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from courtkeeper.hosts.logs import clean, journal

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=10)
TOP = Path("/var/tmp/traps")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def sweep(now: datetime, *, check: bool = False, **more: object) -> object:
    entries = [{"path": str(TOP), "max_age_days": 7, **more}]
    return clean.clean(entries, ["/var/tmp"], journal_days=0, journal_mib=0, now=now, check=check)


def names() -> set[str]:
    return {str(path.relative_to(TOP)) for path in TOP.rglob("*") if not path.is_dir() or path.is_symlink()}


(TOP / "deep/er").mkdir(parents=True)
(TOP / "systemd-private-1/tmp").mkdir(parents=True)
(TOP / "mounted").mkdir()
run("mount", "-t", "tmpfs", "tmpfs", str(TOP / "mounted"))
for name in (
    "old",
    "deep/er/old",
    "old.csv",
    "systemd-private-1/tmp/old",
    "mounted/old",
    "name with\nnewline",
    "open",
):
    (TOP / name).write_text("old")
(TOP / "link").symlink_to("/etc/passwd")
(TOP / "linked-directory").symlink_to("/etc")
os.link("/etc/hostname", TOP / "hard") if os.stat("/etc/hostname").st_dev == os.stat(TOP).st_dev else os.link(
    "/usr/bin/env", TOP / "hard"
)
os.mkfifo(TOP / "fifo")
unix = socket.socket(socket.AF_UNIX)
unix.bind(str(TOP / "socket"))
etc = sorted(os.listdir("/etc"))
everything = names()

assert not sweep(NOW).changed, "files of today are removed"
with (TOP / "open").open():
    planned = sweep(LATER, check=True)
    assert names() == everything, "check mode removed something"
    assert sweep(LATER, patterns=["*.csv"]).metrics["cleaned_files"] == 1
    done = sweep(LATER)
assert planned.metrics["cleaned_files"] == 4, planned
assert everything - names() == {"old", "deep/er/old", "old.csv", "name with\nnewline"}, everything - names()
assert done.actions[0].startswith("remove 3 files (9 bytes"), done.actions
assert sorted(os.listdir("/etc")) == etc
assert not sweep(LATER, patterns=["x"]).changed
unix.close()
run("umount", str(TOP / "mounted"))
run("rm", "-r", str(TOP))

for _ in range(3):
    run("journalctl", "--rotate")
archived = journal.archived()
assert len(archived) >= 3, archived
# The oldest becomes as old as if it had been written 40 days ago.
old = Path(archived[0].path)
stamp = f"{int((NOW - timedelta(days=40)).timestamp() * 1e6):016x}"
older = old.with_name(old.name.replace(old.name[-24:-8], stamp))
old.rename(older)


def vacuum(*, check: bool, days: int = 0, mib: int = 0) -> list[str]:
    return clean.clean([], [], journal_days=days, journal_mib=mib, now=NOW, check=check).actions


planned = vacuum(check=True, days=30)
assert older.exists()
assert planned == vacuum(check=False, days=30), planned
assert [str(older) in action for action in planned] == [True], planned
assert not older.exists()
assert vacuum(check=False, days=30) == []
planned = vacuum(check=True, mib=1)
assert planned
assert planned == vacuum(check=False, mib=1), planned
assert journal.archived() == []
run("journalctl", "--quiet", "--lines=1")
print("traps are left, old files and archived journals are gone")
