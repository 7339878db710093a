"""Set a host up for pgBackRest: its configuration, the repositories' directories, the server's archiving.

As root: files alone, no question to the server. What the server makes of them is asked by `reload`, as the
user that it runs as.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.settings import converted
from courtkeeper.vault.pgbackrest import config as texts
from courtkeeper.vault.pgbackrest.server import asked
from courtkeeper.vault.pgbackrest.settings import Stanza, stanza_from

_CLUSTERS = "/etc/postgresql"
_SNIPPET = "courtkeeper-backup.conf"
_DATA = re.compile(r"^\s*data_directory\s*=?\s*'((?:[^']|'')*)'", re.MULTILINE)
_TOLD = ("stanza", "host", "port", "repositories", "standby", "compress", "compress_level", "processes")
_APPLIED_S = 30.0


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host is to be. `cluster` and `version` are Debian's; `owner` is the server's user.

    `policy` and `state_directory` go into `settings_file`, which the command line reads (empty: none).
    """

    stanza: str
    cluster: str = "main"
    version: str = ""
    host: str = "/var/run/postgresql"
    port: int = 5432
    repositories: list[dict[str, Any]]
    standby: dict[str, Any] = msgspec.field(default_factory=dict)
    compress: str = "zst"
    compress_level: int = 3
    processes: int = 0
    archive_timeout_s: int = 60
    config: str = "/etc/pgbackrest/pgbackrest.conf"
    settings_file: str = ""
    state_directory: str = ""
    policy: dict[str, Any] = msgspec.field(default_factory=dict)
    owner: str = "postgres"
    clusters: str = _CLUSTERS


def configure(given: Mapping[str, Any], *, check_mode: bool = False) -> Result:
    """Write what is missing or different. No content of pgBackRest's own file is ever shown: it has secrets.

    Raises ConfigurationError where something cannot be; then nothing is written.
    """
    request = converted(given, Request)
    directory, data = cluster(request.cluster, request.version, request.clusters)
    told = {name: getattr(request, name) for name in _TOLD}
    settings = texts.configuration_from({"data_directory": data, **told})
    stanza = _stanza(request)
    who = _owner(request.owner, check_mode=check_mode)
    wanted = texts.archiving(request.stanza, request.config, request.archive_timeout_s)
    work = _Writing(check_mode)
    work.directory(Path(request.config).parent, 0o750, who)
    work.file(Path(request.config), texts.text_of(settings, os.cpu_count() or 1), 0o640, who)
    for repository in settings.repositories:
        if repository.kind == "directory":
            work.directory(Path(repository.path), 0o750, who)
    if request.state_directory:
        work.directory(Path(request.state_directory), 0o750, who)
    work.file(directory / "conf.d" / _SNIPPET, texts.server_text(wanted), 0o644, who)
    if request.settings_file:
        path = Path(request.settings_file)
        work.directory(path.parent, 0o755, None)
        before = path.read_bytes() if path.is_file() else b""
        work.file(path, texts.stanzas_text(before, stanza), 0o644, None)
    result = work.result
    result.changed = bool(result.actions)
    result.details = {
        "data_directory": data,
        "version": directory.parent.name,
        "settings": dict(stanza),
    }
    result.msg = (
        f"{len(result.actions)} files and directories differ" if result.actions else "all as it should be"
    )
    return result


def cluster(name: str, version: str, clusters: str = _CLUSTERS) -> tuple[Path, str]:
    """Return a cluster's directory of configuration and its data directory. Raises ConfigurationError."""
    found = sorted(Path(clusters).glob(f"{version or '*'}/{name}/postgresql.conf"))
    if len(found) != 1:
        what = f"{len(found)} clusters" if found else "no cluster"
        raise ConfigurationError(
            f"there is {what} {version and version + '/'}{name} in {clusters}: "
            + (
                "give postgres_backup_version"
                if found
                else "install Postgres, or mend postgres_backup_cluster"
            )
        )
    directory = found[0].parent
    match = _DATA.search(found[0].read_text(errors="replace"))
    data = match[1].replace("''", "'") if match else f"/var/lib/postgresql/{directory.parent.name}/{name}"
    return directory, data


def reload(stanza: Stanza, *, archive_timeout_s: int, check_mode: bool = False) -> Result:
    """Let the server take its configuration up. `details.restart` says whether it has to be restarted for it.

    Raises CourtkeeperError where the server cannot be asked.
    """
    wanted = texts.archiving(stanza.name, stanza.config, archive_timeout_s)
    result = Result(details={"restart": False})
    with asked(stanza) as connection:
        connection.autocommit = True
        try:
            _reload(connection, wanted, result, check_mode=check_mode)
        except psycopg.Error as error:
            raise CourtkeeperError(
                f"{stanza.server.where} cannot be set up: {' '.join(str(error).split())[:200]}; "
                "ask it as a superuser"
            ) from error
    result.changed = bool(result.actions)
    result.msg = "; ".join(result.actions) or "the server archives as it should"
    return result


def _reload(connection: Connection, wanted: Mapping[str, str], result: Result, *, check_mode: bool) -> None:
    differing = _differing(connection, wanted)
    late = {name for name, (_, context) in differing.items() if context == "postmaster"}
    now = [name for name in differing if name not in late]
    if now:
        result.actions.append(f"reload the server for {', '.join(now)}")
    if late:
        result.details["restart"] = True
        result.findings.append(
            Finding(
                id="pgbackrest.restart",
                subject=", ".join(sorted(late)),
                status=Status.WARN,
                summary="The server has to be restarted before it archives.",
                fix="allow it by postgres_backup_restart: true, or restart the server yourself",
            )
        )
    if not differing or check_mode:
        return
    connection.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + _APPLIED_S
    while now and set(now) & set(_differing(connection, wanted)):
        if time.monotonic() > deadline:
            raise CourtkeeperError(
                f"the server does not take up {', '.join(now)}: something sets it otherwise "
                "(the view pg_file_settings says where)"
            )
        time.sleep(0.05)


def _differing(connection: Connection, wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return what is set otherwise now: name → (value, context). `logical` is more than `replica`."""
    rows = connection.execute(
        "SELECT name, setting, context FROM pg_settings WHERE name = ANY(%s)", (list(wanted),)
    ).fetchall()
    found = {}
    for name, setting, context in rows:
        enough = name in ("wal_level", "archive_mode") and setting in ("logical", "always")
        enough |= setting == "(disabled)"  # archive_command, as long as archive_mode is off
        if setting != wanted[name] and not enough:
            found[str(name)] = (str(setting), str(context))
    return found


def _stanza(request: Request) -> dict[str, Any]:
    """Return what the command line is told. Raises ConfigurationError where a policy cannot be."""
    told: dict[str, Any] = {
        "name": request.stanza,
        "config": request.config,
        "host": request.host,
        "port": request.port,
        "state_directory": request.state_directory,
    }
    if request.policy:
        told["policy"] = request.policy
    stanza_from({**told, "state_directory": ""})  # which may not be there yet
    return told


def _owner(name: str, *, check_mode: bool) -> tuple[int, int] | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if check_mode:
            return None
        raise ConfigurationError(f"there is no user {name!r} here: install Postgres first") from None
    return entry.pw_uid, entry.pw_gid


class _Writing:
    """Write what differs, and note it."""

    def __init__(self, check_mode: bool) -> None:
        self._check = check_mode
        self.result = Result()

    def directory(self, path: Path, mode: int, who: tuple[int, int] | None) -> None:
        """Make a directory where there is none; one that is there keeps who may enter it."""
        if path.is_dir():
            return
        self.result.actions.append(f"make {path}")
        if self._check:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under its name it is its owner's at once: a next run keeps the owner of what is there.
        part = _part(path)
        with contextlib.suppress(FileNotFoundError):
            part.rmdir()
        part.mkdir()
        part.chmod(mode)
        if who:
            os.chown(part, *who)
        part.rename(path)

    def file(self, path: Path, text: str, mode: int, who: tuple[int, int] | None) -> None:
        """Write a file whole, with its mode and owner, where one of them differs."""
        part = _part(path)
        if not self._check:
            part.unlink(missing_ok=True)  # of a killed run, maybe with secrets that are none any more
        if path.is_file() and path.read_text(errors="replace") == text and _alike(path, mode, who):
            return
        self.result.actions.append(f"write {path}")
        if self._check:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o600), "w", encoding="utf-8") as stream:
            if who:
                os.fchown(stream.fileno(), *who)
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.new~")


def _alike(path: Path, mode: int, who: tuple[int, int] | None) -> bool:
    facts = path.stat()
    return facts.st_mode & 0o7777 == mode and (who is None or (facts.st_uid, facts.st_gid) == who)
