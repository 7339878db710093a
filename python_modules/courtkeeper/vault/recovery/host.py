"""The host that is rebuilt: what lies there already, and the way into a Postgres that knows nobody yet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault.restore import valkey
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.settings import FilesSource, PostgresSource, RedisSource, SourceSettings
from courtkeeper.vault.sources.redis import Wire

# The superuser for the time of a recovery.
ROLE = "courtkeeper_recovery"

_LOCAL = {"", "localhost", "127.0.0.1", "::1"}
_ROUNDS = 4096  # Postgres' own scram_iterations
_ASK_S = 60
# What a server says that comes or goes.
_BETWEEN = ("is starting up", "in recovery mode", "is shutting down", "not yet accepting connections")
_DATABASES = """
SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1
"""
_KNOWN = f"SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'"  # noqa: S608 - ours
_TABLES = "SELECT count(*) FROM pg_stat_user_tables"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where Debian keeps things; a test says otherwise.

    `superuser`: the system user whom Postgres lets in over its socket as the role of the same name.
    `sockets`: the directory of that socket (empty: psql's own). `clusters`, `caches`: where data would lie.
    """

    superuser: str = "postgres"
    psql: str = "psql"
    sockets: str = ""
    clusters: str = "/var/lib/postgresql"
    caches: tuple[str, ...] = ("/var/lib/redis", "/var/lib/valkey")

    def ask(self, port: int, script: str, database: str = "postgres") -> list[str] | None:
        """Let the superuser say something to Postgres; return the lines, None where no server is there.

        What is said goes through a pipe: it may hold a password's verifier. Raises RestoreError.
        """
        if shutil.which(self.psql) is None or not _has_user(self.superuser):
            return None
        command = [
            "runuser", "-u", self.superuser, "--", self.psql, "-XAtq", "-v", "ON_ERROR_STOP=1",
            "-p", str(port), "-d", database, "-f", "-",
        ]  # fmt: skip
        kept = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10"}
        if self.sockets:
            kept["PGHOST"] = self.sockets
        try:
            done = subprocess.run(
                command,
                input=script,
                capture_output=True,
                text=True,
                cwd="/",
                env=kept,
                timeout=_ASK_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RestoreError(f"psql cannot be run as {self.superuser}: {str(error)[:160]}") from error
        said = " ".join(done.stderr.split())
        if done.returncode == 2 and ("No such file" in said or "Connection refused" in said):
            return None
        if done.returncode and any(word in said for word in _BETWEEN):
            raise RestoreError(
                f"Postgres on port {port} lets nobody in at this moment ({said[-200:]}): see its log, and "
                "run the recovery again when it does"
            )
        if done.returncode:
            raise RestoreError(
                f"Postgres on port {port} does not let {self.superuser} in over its socket, or refuses what "
                f"it says ({said[-200:]}): let pg_hba.conf have `local all {self.superuser} peer`"
            )
        return done.stdout.splitlines()

    def in_use(self, source: SourceSettings, paths: Sequence[str], replace: Sequence[str]) -> str:
        """Say what of a source is in use here and not named in `replace`; empty where nothing is."""
        if isinstance(source, FilesSource):
            taken = [path for path in paths if _holds(path) and path not in replace]
            return f"{taken[0]} is not empty" if taken else ""
        if isinstance(source, RedisSource):
            return self._cache_in_use(source, replace)
        return self._databases_in_use(source, replace)

    def _databases_in_use(self, source: PostgresSource, replace: Sequence[str]) -> str:
        if not _is_here(source):
            return f"{source.name} is on {source.host} and not on this host (give 127.0.0.1 or its socket)"
        names = self.ask(source.port, _DATABASES)
        if names is None:
            found = sorted(Path(self.clusters).glob("*/*/PG_VERSION"))
            return f"{found[0].parent} holds a cluster that does not answer" if found else ""
        for name in names:
            if name not in replace and (tables := int((self.ask(source.port, _TABLES, name) or ["0"])[0])):
                return f"the database {name} has {tables} tables"
        return ""

    def _cache_in_use(self, source: RedisSource, replace: Sequence[str]) -> str:
        if not _is_here(source):
            return f"{source.name} is on {source.host} and not on this host (give 127.0.0.1 or its socket)"
        if source.name in replace:
            return ""
        if not _listens(source):
            left = [
                path
                for home in self.caches
                for path in (Path(home, "dump.rdb"), Path(home, "appendonlydir"))
                if path.exists()
            ]
            return f"{left[0]} is there, of a Redis that does not answer" if left else ""
        keys = held(source)
        return f"{source.name} has {keys} keys" if keys else ""

    def let_in(self, source: PostgresSource) -> PostgresSource:
        """Make a superuser for the time of the recovery, and return how it connects.

        None of the roles in the backup's globals is touched by it, and all of them come back as they were.
        Raises RestoreError.
        """
        password = secrets.token_urlsafe(32)
        known = self.ask(source.port, _KNOWN)
        if known is None:
            raise RestoreError(f"no Postgres answers on port {source.port}: see why it did not start")
        word = "ALTER" if known else "CREATE"  # a killed recovery left it
        self.ask(source.port, f"{word} ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{verifier(password)}';")
        # As the source connects; else as Debian's own pg_hba.conf lets everybody in who has a password.
        socket_directory = self.sockets or "/var/run/postgresql"
        hosts = dict.fromkeys([source.host or self.sockets, "127.0.0.1", socket_directory])
        refused = ""
        for host in filter(None, hosts):
            entered = msgspec.structs.replace(
                source, host=host, user=ROLE, password=password, database="postgres", options={}
            )
            try:
                with Target.of(entered).connected():
                    return entered
            except CourtkeeperError as error:
                refused = refused or str(error)
        raise RestoreError(
            f"Postgres on port {source.port} does not let {ROLE} in ({refused[:200]}): let pg_hba.conf have "
            f"`host all {ROLE} 127.0.0.1/32 scram-sha-256`, and run the recovery again"
        )

    def let_out(self, source: PostgresSource) -> None:
        """Remove that superuser; what it made and nobody owns is the server's own superuser's."""
        for name in self.ask(source.port, _DATABASES) or ():
            script = f"REASSIGN OWNED BY {ROLE} TO {self.superuser}; DROP OWNED BY {ROLE};"
            self.ask(source.port, script, name)
        self.ask(source.port, f"DROP ROLE IF EXISTS {ROLE};")


def held(source: RedisSource) -> int:
    """Return how many keys a server has; one that was just installed has no password yet.

    Raises CourtkeeperError where it lets nobody look.
    """
    bare = msgspec.structs.replace(source, user="", password="")
    for settings in (source, bare) if source.password else (source,):
        try:
            with Wire(settings) as wire:
                return sum(valkey.keys_of(valkey.facts(wire)).values())
        except ConfigurationError as error:
            refused = error
    raise refused


def verifier(password: str) -> str:
    """Return what Postgres keeps of a password (SCRAM-SHA-256, RFC 5803), so that it never has to see it."""
    salt = secrets.token_bytes(16)
    prepared = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, _ROUNDS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    words = (base64.b64encode(word).decode() for word in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ROUNDS, *words)


def require_root() -> None:
    """Raise ConfigurationError where we are not root: owners, services and roles are made by nobody else."""
    if os.geteuid() != 0:
        raise ConfigurationError("a recovery works as root: say become in the inventory, or connect as root")


def _is_here(source: PostgresSource | RedisSource) -> bool:
    return source.host in _LOCAL or source.host.startswith("/") or bool(getattr(source, "socket", ""))


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _holds(path: str) -> bool:
    place = Path(path)
    if place.is_dir() and not place.is_symlink():
        return any(place.iterdir())
    return os.path.lexists(path)


def _listens(source: RedisSource) -> bool:
    if source.socket:
        return Path(source.socket).is_socket()
    try:
        socket.create_connection((source.host, source.port), 5.0).close()
    except OSError:
        return False
    return True
