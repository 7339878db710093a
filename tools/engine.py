"""A Docker engine for the tests: `tools/engine.py up|down|status`, or `run COMMAND…` with one for as long.

An engine that answers is used as it is and never stopped. Where none does, root gets one: Debian's
docker.io, a dockerd of our own under /var/lib/courtkeeper/engine (shared by all checkouts of this
machine, because its images are), its own socket, and a record of its process id *and* start time, so
that `down` stops what we started and nothing else. Who uses it holds a lock, and `down` leaves an engine
alone that somebody still uses.

Exits 3 with one sentence where no engine can be had, 1 where one could be had and does not start.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path("/var/lib/courtkeeper/engine")
RUN = Path("/run/courtkeeper-engine")
RECORD, LOG, USERS, STARTING = (
    HOME / name for name in ("process.json", "dockerd.log", "users.lock", "starting.lock")
)
SOCKET = f"unix://{RUN}/docker.sock"
PACKAGES = ("docker.io", "iptables")
START_S, STOP_S = 60.0, 60.0
NONE = 3  # exit code: no engine can be had


class NoEngineError(Exception):
    """No engine can be had here; the message says why and what would help."""


class BrokenError(Exception):
    """An engine or an image could be had here (root on Debian) and is not; the message says why."""


def answers(host: str | None) -> bool:
    """Tell whether an engine answers at `host` (None: wherever the docker client looks by itself)."""
    if shutil.which("docker") is None:
        return False
    command = ["docker", *(["--host", host] if host else []), "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def started(pid: int) -> str | None:
    """Return when process `pid` started, in the kernel's ticks; None if it is not running."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def ours() -> int | None:
    """Return the process id of the engine that we started, if it runs."""
    try:
        record = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return None
    mark = started(record["pid"])
    return int(record["pid"]) if mark is not None and mark == record["started"] else None


@contextmanager
def locked(path: Path, mode: int) -> Iterator[None]:
    """Hold a lock of `mode` on `path`; BlockingIOError where LOCK_NB is given and somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, mode)
        yield


def host() -> str | None:
    """Return the address of the engine to use, starting it if need be; None for the client's own default."""
    if os.geteuid() != 0:
        if answers(None):
            return None
        raise NoEngineError(
            "no Docker engine answers, and only root can start one: start it, or run this as root"
        )
    with locked(STARTING, fcntl.LOCK_EX):
        if ours() and answers(SOCKET):
            return SOCKET
        if answers(None):
            return None
        return start()


def start() -> str | None:
    """Install and start dockerd, and wait until it answers.

    Raises NoEngineError where none can be installed, BrokenError where it does not start.
    """
    if shutil.which("dockerd") is None:
        if shutil.which("apt-get") is None:
            raise NoEngineError("no Docker engine answers, and without apt-get none can be installed here")
        if subprocess.run([ROOT / "tools/apt-install", *PACKAGES], check=False).returncode:
            raise BrokenError("no Docker engine answers, and apt could not install docker.io (see above)")
        if answers(None):  # the package's own service came up
            return None
    if pid := ours():
        stop(pid)  # it runs and does not answer
    RUN.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        "dockerd",
        "--host",
        SOCKET,
        "--data-root",
        HOME / "data",
        "--exec-root",
        RUN / "exec",
    ]
    command += ["--pidfile", RUN / "docker.pid", "--group", "root"]
    with LOG.open("ab") as log:
        # In a session of its own: Ctrl-C in make must not take it down with containers still running.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    RECORD.write_text(json.dumps({"pid": process.pid, "started": started(process.pid)}))
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = LOG.read_text(errors="replace").splitlines()[-3:]
            raise BrokenError("dockerd does not run on this machine: " + " | ".join(last))
        if answers(SOCKET):
            sys.stderr.write(f"engine: started dockerd {process.pid} ({LOG})\n")
            return SOCKET
        time.sleep(0.2)
    stop(process.pid)
    raise BrokenError(f"dockerd did not answer within {START_S:.0f} s; {LOG} says more")


def stop(pid: int) -> None:
    """Stop our engine `pid`: SIGTERM, and SIGKILL after a grace."""
    mark = started(pid)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if mark is None or started(pid) != mark:
            break
        os.kill(pid, sign)
        deadline = time.monotonic() + STOP_S
        while started(pid) == mark and time.monotonic() < deadline:
            time.sleep(0.1)
    RECORD.unlink(missing_ok=True)


def down() -> str:
    """Stop the engine that we started, unless somebody uses it; return what was done."""
    if os.geteuid() != 0 or not (pid := ours()):
        return "no engine of ours runs"
    try:
        with locked(STARTING, fcntl.LOCK_EX), locked(USERS, fcntl.LOCK_EX | fcntl.LOCK_NB):
            stop(pid)
    except BlockingIOError:
        return f"dockerd {pid} stays: another make uses it"
    return f"stopped dockerd {pid}; its images stay in {HOME / 'data'}"


@contextmanager
def engine() -> Iterator[None]:
    """Have an engine for as long, with DOCKER_HOST set; stop it afterwards if it was not there before."""
    root = os.geteuid() == 0
    was_up = not root or ours() is not None
    try:
        with locked(USERS, fcntl.LOCK_SH) if root else nullcontext():
            if address := host():
                os.environ["DOCKER_HOST"] = address
            yield
    finally:
        if not was_up and ours():
            sys.stderr.write(f"engine: {down()}\n")


def main() -> int:
    """Do what the first argument says."""
    verb, *command = sys.argv[1:] or ["status"]
    try:
        if verb == "run" and command:
            with engine():
                return subprocess.run(command, check=False).returncode
        if verb == "up":
            sys.stdout.write(f"DOCKER_HOST={host() or os.environ.get('DOCKER_HOST', '')}\n")
        elif verb == "down":
            sys.stdout.write(f"engine: {down()}\n")
        elif verb == "status":
            pid = ours()
            other = "an engine that is not ours answers" if answers(None) else "no engine runs"
            sys.stdout.write(f"engine: {f'our dockerd {pid} runs at {SOCKET}' if pid else other}\n")
        else:
            sys.stderr.write("usage: tools/engine.py up|down|status|run COMMAND…\n")
            return 2
    except NoEngineError as error:
        sys.stderr.write(f"courtkeeper: {error}.\n")
        return NONE
    except BrokenError as error:
        sys.stderr.write(f"courtkeeper: {error}.\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
