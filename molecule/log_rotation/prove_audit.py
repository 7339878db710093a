"""Inject the faults of a host's logs one by one: each is named exactly, and nothing else is."""
# ruff: noqa: S101, T201

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from courtkeeper.findings import Status
from courtkeeper.hosts.logs import audit, look

D = Path("/etc/logrotate.d")
STATUS = Path("/var/lib/logrotate/status")
LIMITS = audit.Limits(large_mib=100, stale_hours=26, deleted_mib=10)


def run(*command: str, code: int = 0) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}: {done.returncode} {done.stdout} {done.stderr}"


def faults() -> dict[tuple[str, str], str]:
    found = look.check(["/var/log"], LIMITS, datetime.now(UTC)).findings
    return {(each.id, each.subject): each.summary for each in found if each.status is not Status.OK}


@contextmanager
def file(path: Path, content: str, mode: int = 0o644) -> Iterator[None]:
    path.write_text(content)
    path.chmod(mode)
    yield
    path.unlink()


@contextmanager
def changed_status(change: Callable[[str], str], hours: float = 0) -> Iterator[None]:
    before, times = STATUS.read_text(), STATUS.stat()
    STATUS.write_text(change(before))
    os.utime(STATUS, (time.time(), time.time() - 3600 * hours))
    yield
    STATUS.write_text(before)
    os.utime(STATUS, ns=(times.st_atime_ns, times.st_mtime_ns))


@contextmanager
def commands(before: list[str], after: list[str]) -> Iterator[None]:
    run(*before)
    yield
    run(*after)


@contextmanager
def large() -> Iterator[None]:
    path = Path("/var/log/nobody-rotates-me")
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, 101 * 2**20)
    yield
    path.unlink()


@contextmanager
def held() -> Iterator[None]:
    script = "exec 3>/var/log/held.log; head -c 11534336 /dev/zero >&3; rm /var/log/held.log; exec sleep 600"
    run("systemd-run", "--quiet", "--unit=holder", "sh", "-c", script)
    asked = ["systemctl", "show", "--property=MainPID", "--value", "holder"]
    pid = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
        assert time.monotonic() < deadline, "the file is not deleted"
        time.sleep(0.05)
    yield
    run("systemctl", "stop", "holder")


@contextmanager
def failing() -> Iterator[None]:
    log = Path("/var/log/failing.log")
    log.write_text("a line\n")
    with file(D / "failing", f"{log} {{\n size 1\n rotate 1\n postrotate\n  exit 3\n endscript\n}}\n"):
        run("systemctl", "start", "logrotate.service", code=1)
        yield
    run("systemctl", "start", "logrotate.service")
    run("sh", "-c", "rm /var/log/failing.log*")


@contextmanager
def empty_journal_limit() -> Iterator[None]:
    folder = Path("/etc/systemd/journald.conf.d")
    folder.mkdir(exist_ok=True)
    with file(folder / "small.conf", "[Journal]\nSystemMaxUse=1M\n"):
        yield
    folder.rmdir()


def days_ago(text: str) -> str:
    others = [line for line in text.splitlines(keepends=True) if "writer.log" not in line]
    return "".join([*others, '"/var/log/writer/writer.log" 2026-1-1-0:0:0\n'])


CASES = [
    (large(), ("logs.large.uncovered", "/var/log/nobody-rotates-me"), "101 MiB"),
    (changed_status(lambda text: text, hours=27), ("logs.status.stale", str(STATUS)), "27 hours ago"),
    (
        changed_status(lambda text: text + "rubbish\n"),
        ("logs.status.unreadable", str(STATUS)),
        "damaged in line",
    ),
    (changed_status(days_ago), ("logs.rotation.overdue", "/var/log/writer/writer.log"), "courtkeeper-writer"),
    (
        commands(["systemctl", "stop", "logrotate.timer"], ["systemctl", "start", "logrotate.timer"]),
        ("logs.run.timer", "logrotate.timer"),
        "not active",
    ),
    (held(), ("logs.deleted.open", "/var/log/held.log"), "holder.service"),
    (
        file(D / "second", "/var/log/dpkg.log {\n daily\n}\n"),
        ("logs.path.twice", "/var/log/dpkg.log"),
        "/etc/logrotate.d/second",
    ),
    (failing(), ("logs.run.script", "/var/log/failing.log"), "script"),
    (
        file(D / "typo", "/var/log/nowhere/*.log {\n missingok\n}\n"),
        ("logs.stanza.empty", f"{D}/typo:1"),
        "finds no file",
    ),
    (
        commands(["chmod", "o+w", "/var/log/writer"], ["chmod", "o-w", "/var/log/writer"]),
        ("logs.directory.insecure", "/var/log/writer"),
        "has no su",
    ),
    (
        file(D / "odd", "/var/log/odd.log {\n}\n", 0o666),
        ("logs.config.ignored", f"{D}/odd"),
        "others can write it",
    ),
    (
        file(D / "broken", "/var/log/odd.log {\n"),
        ("logs.config.ignored", f"{D}/broken"),
        "never closed",
    ),
    (empty_journal_limit(), ("logs.journal.size", "journal"), "may take 1 MiB"),
]

assert faults() == {}, faults()
for case, expected, words in CASES:
    with case:
        found = faults()
    assert set(found) == {expected}, f"{expected}: {found}"
    assert words in found[expected], found[expected]
    assert faults() == {}, f"{expected} does not go away: {faults()}"
print(f"{len(CASES)} faults, each named")
