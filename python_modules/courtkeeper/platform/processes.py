"""Processes that we started, known by pid *and* start time, so that a reused pid is never taken for ours."""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError

# The environment of a part: only what a program needs to run, so that nothing secret in ours is handed on.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

# Children of this very process. They are reaped when looked at: a zombie counts as gone.
_children: dict[int, subprocess.Popen[bytes]] = {}

# The processes whose working directory is $1, with nothing but what the shell itself has.
_IN_DIRECTORY = 'for p in /proc/[0-9]*; do [ "$p/cwd" -ef "$1" ] && echo "${p#/proc/}"; done; true'


class Identity(msgspec.Struct, frozen=True):
    """One process for all time: its pid, its start in clock ticks since boot, and which boot that was."""

    pid: int
    started: int
    boot: str


class Account(msgspec.Struct, frozen=True):
    """The operating system's user and group that a process runs as."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Return whom to become for a program that refuses root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "Postgres refuses to run as root, and this machine has no user `nobody` to run it as: "
            "run courtkeeper as an ordinary user."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def require_linux() -> None:
    """Raise ConfigurationError where processes cannot be told apart for certain."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        raise ConfigurationError("The embedded platform needs Linux 5.3 or newer.")


def identify(pid: int) -> Identity | None:
    """Return the identity of the process `pid` as it is now; None if there is none (or only a zombie)."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    if state in "ZX":
        return None
    return Identity(pid, int(rest[18]), _boot_id())


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process still runs."""
    return identify(identity.pid) == identity


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    directory: Path | str = "/",
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> Identity:
    """Start `argv` in a session of its own with its output appended to `log`; return its identity.

    Raises CourtkeeperError if it cannot be executed or ended at once.
    """
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                [os.fspath(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=base_environment() | dict(environment or {}),
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except OSError as error:
            raise CourtkeeperError(f"{argv[0]} cannot be started: {error.strerror}.") from error
    _children[child.pid] = child
    identity = identify(child.pid)
    if identity is None:
        raise CourtkeeperError(f"{argv[0]} ended at once: {last_line(log)} Its log is {log}.")
    return identity


def run(
    argv: Sequence[str | Path], account: Account | None = None, *, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end, as `account` where given and with `given` to read; return its output.

    What cannot even be executed (by that account) returns 126, as in a shell.
    """
    words = [os.fspath(a) for a in argv]
    try:
        return subprocess.run(
            words,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",  # the account may not be able to enter ours
            env=base_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            timeout=120,
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(words, 126, "", f"{words[0]}: {error.strerror}")


def stop(identity: Identity, steps: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn and wait so many seconds for the end; return False if it outlives them all.

    Works on a pidfd, which stays with one process: the pid may be reused meanwhile without harm.
    """
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(identity):
            return True
        for number, timeout_s in steps:
            try:
                signal.pidfd_send_signal(pidfd, number)
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)  # a stopped process heeds no other signal
            except ProcessLookupError:
                return True
            if select.select([pidfd], [], [], timeout_s)[0]:
                identify(identity.pid)  # reaps it, if it is our child
                return True
        return False
    finally:
        os.close(pidfd)


def processes_in(directory: Path, name: str, account: Account | None) -> list[Identity]:
    """Return the processes called `name` whose working directory is `directory`.

    Finds what a killed server leaves behind for a moment. Asked as `account`, because root in a container
    may lack the right to see where another user's process is; that user never does.
    """
    found = run(["sh", "-c", _IN_DIRECTORY, "sh", directory], account)
    identities = (identify(int(pid)) for pid in found.stdout.split())
    return [identity for identity in identities if identity and _name(identity.pid) == name]


def processes_with_arguments(arguments: Sequence[str]) -> list[Identity]:
    """Return our user's processes whose command line ends with exactly `arguments`.

    For what was started by an `up` that was killed before it wrote the pid down.
    """
    ending = ("\0" + "\0".join(arguments) + "\0").encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and entry.stat().st_uid == os.geteuid()
            if ours and (entry / "cmdline").read_bytes().endswith(ending):
                found.append(identify(int(entry.name)))
        except OSError:  # it ended meanwhile
            continue
    return [identity for identity in found if identity]


def last_line(log: Path) -> str:
    """Return the last line of a log that says something, for a message; empty if there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 4096))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def base_environment() -> dict[str, str]:
    """Return the few variables of our environment that a part is given."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
