"""Recovery to a point in time, always to the side: a directory of our own, a server that nobody else sees.

What the recovered cluster brings along in postgresql.auto.conf would have it listen, archive and replicate
as the first one does. So it gets a configuration of ours, and all of it on the command line, which overrules
both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault import places
from courtkeeper.vault.pgbackrest.command import Pgbackrest, PgbackrestError
from courtkeeper.vault.pgbackrest.info import Backup
from courtkeeper.vault.pgbackrest.look import Log, Look
from courtkeeper.vault.pgbackrest.owner import account, acting, entry
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target

_DEBIAN = Path("/usr/lib/postgresql")
_POLL_S = 0.05
_STOP_S = 120.0
_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recovery begins and ends.

    `until` None: as far as the log goes, or, `alone`, where the backup itself ends. `gap`: why it ends early.
    """

    backup: Backup
    until: datetime | None
    alone: bool = False
    gap: str = ""

    @property
    def text(self) -> str:
        """`20260212-060000F of repo1, up to 2026-02-12 07:00 UTC`."""
        to = f"up to {self.until.isoformat()}" if self.until else "as far as its log goes"
        to = "and nothing later" if self.alone else to
        return f"{self.backup.label} of repo{self.backup.repository}, {to}"


def moment(text: str) -> datetime | None:
    """Return `until` as a moment; '' is None. Raises ConfigurationError."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"until {text!r} is no moment: write it as 2026-02-12T06:00:00+00:00"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def choose(seen: Look, until: datetime | None, *, repository: int = 0, label: str = "") -> Point:
    """Return from which backup a point is reached: the newest good one before it, of whatever repository.

    `label`: that one, and without `until` just as it is.

    A repository whose log has no gap before the point goes first. Raises ConfigurationError where there
    is none.
    """
    if until is not None and until > seen.now:
        raise ConfigurationError(f"until {until.isoformat()} is in the future: give a moment that has been")
    keys = [each.key for each in seen.info.repositories if repository in (0, each.key)]
    points = []
    for key in keys:
        good = [
            backup
            for backup in seen.good(key)
            if (until is None or backup.taken_at <= until) and label in ("", backup.label)
        ]
        if good and label and until is None:
            points.append(Point(backup=good[-1], until=None, alone=True))
        elif good:
            points.append(Point(backup=good[-1], until=until, gap=_gap(seen.logs.get(key), good[-1], until)))
    if not points:
        which = label or (f"good one taken before {until.isoformat()}" if until else "good one")
        where = f"repo{repository}" if repository else "any repository"
        raise ConfigurationError(
            f"there is no backup {which} in {where} of {seen.stanza.name}: look at pgbackrest info"
        )
    return min(points, key=lambda point: (bool(point.gap), -point.backup.taken_at.timestamp()))


def restored(
    program: Pgbackrest, point: Point, data: Path, *, tablespaces: Path | None = None, archive: bool = False
) -> None:
    """Restore a point's files into `data`, which is not there yet or empty. Raises PgbackrestError.

    Tablespaces go beside it, never where the first cluster has its own. `archive`: it may archive later on.
    """
    beside = tablespaces or data.with_name(f"{data.name}.tablespaces")
    words = [
        "restore", f"--repo={point.backup.repository}", f"--set={point.backup.label}", f"--pg1-path={data}",
        f"--tablespace-map-all={beside}",
    ]  # fmt: skip
    if point.until:
        words += ["--type=time", "--target-action=promote"]
        words += [f"--target={point.until.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"]
    if point.alone:
        words += ["--type=immediate", "--target-action=promote"]
    if not archive:
        words.append("--archive-mode=off")
    said = program.run(*words)
    if said.code:
        raise PgbackrestError(f"pgbackrest restore failed: {said.reason}")


def programs(stanza: Stanza, version: str) -> Path:
    """Return the directory of the server's programs of just that major version. Raises ConfigurationError."""
    told = [Path(stanza.bin_directory)] if stanza.bin_directory else []
    for path in [*told, _DEBIAN / version / "bin"]:
        if (path / "postgres").is_file():
            return path
    raise ConfigurationError(
        f"there is no Postgres {version} here: install it, or name its programs in bin_directory"
    )


@contextmanager
def serving(
    stanza: Stanza, data: Path, bin_directory: Path, *, scratch: Path, timeout_s: float, archive: bool = False
) -> Iterator[Target]:
    """Recover the cluster in `data` and run it on a socket in `scratch` (0700), until the end of the block.

    It can be written to when it is given. It is stopped as it should be, so that `data` may be used then.
    `archive`: what it writes waits to be archived by whoever starts it next. Raises RestoreError with the
    server's own words where it does not come up.
    """
    log = scratch / "log"
    process = _started(stanza, data, bin_directory, scratch, log, archive=archive)
    try:
        with acting(stanza.owner) as name:
            user = stanza.user or name
        target = Target(
            host=str(scratch), port=_PORT, user=user, password="", bin_directory=str(bin_directory)
        )
        _awaited(process, target, stanza, log, timeout_s)
        yield target
    finally:
        _stopped(process)


_PORT = 5432
_HBA = "local all all trust\nlocal replication all reject\n"


def _started(
    stanza: Stanza, data: Path, bin_directory: Path, scratch: Path, log: Path, *, archive: bool
) -> subprocess.Popen[bytes]:
    # The directory is its owner's alone: who gets to the socket may be let in.
    for name, text in (("hba", _HBA), ("ident", ""), ("conf", ""), ("log", "")):
        _own(scratch / name, text, stanza)
    settings = {
        "config_file": scratch / "conf",
        "hba_file": scratch / "hba",
        "ident_file": scratch / "ident",
        "unix_socket_directories": scratch,
        "unix_socket_permissions": "0700",
        "listen_addresses": "",
        "port": _PORT,
        "external_pid_file": "",
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_min_messages": "warning",
        "archive_mode": "on" if archive else "off",
        "archive_command": "",
        # Whatever the first one subscribes to or runs by itself is not for its copy.
        "max_logical_replication_workers": 0,
        "shared_preload_libraries": "",
        # Without it the first one's limits (max_connections and others) need not be known.
        "hot_standby": "off",
        "max_connections": 50,
        "max_prepared_transactions": 1000,
        "max_wal_size": "4GB",
        "cluster_name": f"courtkeeper-{scratch.name[-16:]}",
    }
    command: list[str | Path] = [bin_directory / "postgres", "-D", data]
    for key, value in settings.items():
        command += ["-c", f"{key}={value}"]
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            env={
                **{name: os.environ[name] for name in _KEPT if name in os.environ},
                "LC_ALL": "C.UTF-8",
                "TZ": "UTC",
            },
            start_new_session=True,
            **account(stanza.owner),
        )


def _own(path: Path, text: str, stanza: Stanza) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        if who := entry(stanza.owner):
            os.fchown(descriptor, who.pw_uid, who.pw_gid)
        stream.write(text)


def _awaited(
    process: subprocess.Popen[bytes], target: Target, stanza: Stanza, log: Path, timeout_s: float
) -> None:
    """Wait until it has recovered. Raises RestoreError."""
    deadline = time.monotonic() + timeout_s
    while True:
        if process.poll() is not None:
            raise RestoreError(f"the recovered server does not come up: {_words(log)}")
        try:
            with acting(stanza.owner), target.connected() as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            if row and row[0] is False:
                return
        except (CourtkeeperError, ConfigurationError):
            pass
        if time.monotonic() > deadline:
            raise RestoreError(f"the recovery did not end within {timeout_s:g} s: {_words(log)}")
        time.sleep(_POLL_S)


def _stopped(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            continue


def _words(log: Path) -> str:
    """Return what the server said last that says why: its fatal lines before any others."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "ERROR"))]
    return (
        "; ".join(line.split("]", 1)[-1].strip() for line in (said or lines)[:2])[:400] or "it says nothing"
    )


def _gap(log: Log | None, backup: Backup, until: datetime | None) -> str:
    """Say where the log from a backup to the point is missing; empty where it is not."""
    if log is None:
        return ""
    if log.problem:
        return log.problem
    for gap in (*log.since, *log.window):
        reached = until is not None and gap.before_at is not None and gap.before_at >= until
        if gap.first[8:] >= backup.wal_start[8:] and not reached:
            before = f", archived before it up to {places.moment(gap.before_at)}" if gap.before_at else ""
            return f"{gap.text} of the log is missing{before}"
    return ""
