"""Prove on a host that rotations lose no line, while two writers go on writing; run with the agent's Python.

A writer that keeps its log open numbers its lines, and nginx logs numbered requests. Between forced
rotations files are aged, so that logrotate's lastaction compresses and archives them meanwhile. Then every
number has to be there exactly once, in the logs, their compressed files and the archive together.
"""
# ruff: noqa: S101, T201, SIM115

import gzip
import hashlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

LOGS, NGINX, ARCHIVE = Path("/var/log/writer"), Path("/var/log/nginx"), Path("/srv/log-archive")
WAIT_S = 30.0


def until(true: Callable[[], object], what: str) -> None:
    """Wait for a condition, within bounds."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def run(*command: str, code: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}: {done.returncode} {done.stdout} {done.stderr}"
    return done.stdout


def numbers(pattern: str, *folders: Path) -> Counter[int]:
    """Every number that the logs hold, and how often."""
    found: Counter[int] = Counter()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                content = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
                found.update(int(number) for number in re.findall(pattern, content.decode(), re.MULTILINE))
    return found


def judge(found: Counter[int], last: int) -> list[str]:
    """What is wrong with the numbers 1 to `last`."""
    missing = [number for number in range(1, last + 1) if number not in found]
    doubled = [number for number, times in found.items() if times > 1]
    wrong = [f"{len(missing)} lost: {missing[:5]}"] if missing else []
    return wrong + ([f"{len(doubled)} doubled: {doubled[:5]}"] if doubled else [])


def rotate() -> None:
    """Force one rotation of everything, in a second of its own, because names hold the second."""
    for folder in (LOGS, NGINX):
        until(lambda folder=folder: any(p.stat().st_size for p in folder.glob("*.log")), f"lines in {folder}")
    second = int(time.time())
    until(lambda: int(time.time()) > second, "the next second")
    run("logrotate", "--force", "/etc/logrotate.conf")


def age(path: Path, days: int) -> Path:
    """Make a rotated file as old as if it had been rotated so many days ago."""
    when = datetime.now().astimezone() - timedelta(days=days)
    older = path.with_name(re.sub(r"-\d{8}-\d{6}", f"-{when:%Y%m%d-%H%M%S}", path.name))
    path.rename(older)
    os.utime(older, (when.timestamp(), when.timestamp()))
    return older


def closed(path: Path) -> bool:
    return not any(
        os.path.realpath(link) == str(path) for link in Path("/proc").glob("[0-9]*/fd/*") if link.exists()
    )


class Requests(threading.Thread):
    """Numbered requests to nginx, one after the other."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done, self.stopped = 0, threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
        while not self.stopped.is_set():
            connection.request("GET", f"/line/{self.done + 1}/")
            connection.getresponse().read()
            self.done += 1
            time.sleep(0.002)


def no_line_is_lost() -> None:
    requests = Requests()
    requests.start()
    for number in range(5):
        rotate()
        if number in {1, 3}:  # old enough for the next rotation to compress or to archive
            newest = [
                max(folder.glob(f"{name}.log-*[0-9]"))
                for folder, name in ((LOGS, "writer"), (NGINX, "access"))
            ]
            for path in newest:
                until(lambda path=path: closed(path), f"{path} is given up by its writer")
                age(path, 8 if number == 1 else 31)
    requests.stopped.set()
    requests.join()
    run("systemctl", "stop", "courtkeeper-writer")
    found = numbers(r"^(\d+)$", LOGS, ARCHIVE / "var/log/writer")
    last = max(found)
    assert last > 3000, f"the writer wrote {last} lines only"
    assert not judge(found, last), judge(found, last)
    until(lambda: requests.done in numbers(r'"GET /line/(\d+)/', NGINX), "nginx's last line")
    found = numbers(r'"GET /line/(\d+)/', NGINX, ARCHIVE / "var/log/nginx")
    assert requests.done > 200, f"{requests.done} requests only"
    assert not judge(found, requests.done), judge(found, requests.done)
    for folder in (LOGS, NGINX):
        assert len(list(folder.glob("*.gz"))) == 1, sorted(folder.iterdir())
        assert len(list((ARCHIVE / str(folder)[1:]).iterdir())) == 1, "nothing was archived"
    run("systemctl", "start", "courtkeeper-writer")
    print(f"{last} lines and {requests.done} requests, each exactly once")


def copytruncate_loses_lines() -> None:
    """The same counting shows what the role refuses: the proof above can fail."""
    place = Path("/var/log/copied")
    place.mkdir()
    log = place / "copied.log"
    log.write_bytes(b"-\n" * (32 * 2**20))
    config = place / "copied.conf"
    config.write_text(f"{log} {{\n copytruncate\n rotate 9\n dateext\n dateformat -%s\n}}\n")
    program = """import os, sys
log, number = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND), 0
while True:
    number += 1
    os.write(log, b"%d\\n" % number)
"""
    writer = subprocess.Popen([sys.executable, "-c", program, str(log)])
    try:
        until(lambda: log.stat().st_size > 64 * 2**20 + 1000, "the writer's first lines")
        run("logrotate", "--force", "--state", "/run/copied.status", str(config))
        until(lambda: log.stat().st_size > 1000, "lines after the rotation")
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    found = numbers(r"^(\d+)$", place)
    wrong = judge(found, max(found))
    run("rm", "-r", str(place))
    assert "lost" in " ".join(wrong), "copytruncate lost nothing: this proof proves nothing"
    print("copytruncate:", *wrong)


def killed_in_the_middle() -> None:
    """SIGKILL while a large file is compressed, and while one is archived; the second run ends the work."""
    command = [sys.executable, "-I", "-m", "courtkeeper.hosts.logs", "writer"]
    for days in (8, 31):
        path = LOGS / "large.log-20260101-000000"
        path.write_bytes(os.urandom(48 * 2**20))
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        path = age(path, days)
        goal = Path(f"{path}.gz") if days == 8 else Path(f"{ARCHIVE}{path}")
        part = goal.with_name(f".{goal.name}.courtkeeper-part")
        process = subprocess.Popen(command)
        until(lambda part=part: part.exists() and part.stat().st_size > 2**20, f"{part} grows")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert part.exists(), "the kill came too late"
        assert not goal.exists()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha, "the original changed"
        run(*command)
        assert not path.exists()
        assert not part.exists()
        content = gzip.open(goal).read() if days == 8 else goal.read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha
        goal.unlink()
    print("killed while compressing and while archiving: nothing lost, nothing doubled")


no_line_is_lost()
copytruncate_loses_lines()
killed_in_the_middle()
