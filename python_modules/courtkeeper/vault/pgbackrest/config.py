"""pgBackRest's configuration, the server's archiving by it, and what the command line reads. Pure texts.

Secrets stand in pgBackRest's own file and nowhere else: not in an argument, as its commands are shown to all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, within

_PLAIN = re.compile(r"[^\0-\x1f\x7f]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")
# pgBackRest's own retention is never to remove a backup; this is the number that its maintainer names.
_FOR_EVER = 9999999
_LEAST_PASS = 12


class RepositorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One repository. `path` is a directory, or the path in the bucket; `cipher_pass` seals it by AES-256."""

    kind: Literal["directory", "s3"]
    path: str
    cipher_pass: str
    bucket: str = ""
    endpoint: str = "s3.amazonaws.com"
    port: int = 443
    region: str = "us-east-1"
    path_style: bool = True
    ca_file: str = ""
    access_key: str = ""
    secret_key: str = ""

    def __repr__(self) -> str:
        """Say no secret."""
        return f"RepositorySettings({self.kind}: {self.bucket}{self.path})"


class Standby(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replica that files are copied from: its data directory and port, here or on a host reached by SSH."""

    path: str
    port: int = 5432
    host: str = ""
    user: str = "postgres"


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What pgBackRest is told of one stanza. `data_directory` is the server's."""

    stanza: str
    data_directory: str
    host: str = "/var/run/postgresql"
    port: int = 5432
    repositories: tuple[RepositorySettings, ...]
    standby: Standby | None = None
    compress: Literal["zst", "lz4", "gz", "bz2", "none"] = "zst"
    compress_level: int = 3
    processes: int = 0


def configuration_from(given: Mapping[str, Any]) -> Configuration:
    """Return the configuration of a mapping. Raises ConfigurationError that names the key."""
    told = {key: value for key, value in given.items() if value not in (None, {})}
    found = converted(told, Configuration)
    if not 1 <= len(found.repositories) <= 4:
        raise ConfigurationError(f"repositories has {len(found.repositories)} entries: give one to four")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", found.stanza):
        raise ConfigurationError(f"stanza is {found.stanza!r}: use letters, digits, '-', '_' and '.'")
    _absolute("data_directory", found.data_directory)
    _absolute("host", found.host)
    within("port", found.port, 1, 65535)
    within("compress_level", found.compress_level, 0, 22)
    within("processes", found.processes, 0, 64)
    for number, repository in enumerate(found.repositories):
        _check_repository(f"repositories[{number}]", repository)
    places = [(each.kind, each.endpoint, each.bucket, each.path.rstrip("/")) for each in found.repositories]
    if len(set(places)) < len(places):
        raise ConfigurationError("repositories: two of them are the same place; give each its own")
    if found.standby:
        _absolute("standby.path", found.standby.path)
        within("standby.port", found.standby.port, 1, 65535)
        for name, value in (("host", found.standby.host), ("user", found.standby.user)):
            if value and not _HOST.fullmatch(value):
                raise ConfigurationError(f"standby.{name} {value!r} cannot be: mend it")
    return found


def text_of(settings: Configuration, cpus: int) -> str:
    """Return pgBackRest's configuration file."""
    told: list[tuple[str, object]] = []
    for number, repository in enumerate(settings.repositories, 1):
        told += [(f"repo{number}-{key}", value) for key, value in _repository(repository)]
    told += [
        ("compress-type", settings.compress),
        ("process-max", settings.processes or max(1, min(4, cpus))),
        # Else a backup waits for the server's next checkpoint.
        ("start-fast", "y"),
        ("resume", "y"),
        ("log-level-console", "warn"),
        ("log-level-file", "detail"),
    ]
    if settings.compress != "none":
        told.append(("compress-level", settings.compress_level))
    server: list[tuple[str, object]] = [
        ("pg1-path", settings.data_directory),
        ("pg1-port", settings.port),
        ("pg1-socket-path", settings.host),
    ]
    if settings.standby:
        told.append(("backup-standby", "y"))
        server += _standby(settings.standby, settings.host)
    lines = ["# Written by Courtkeeper (role postgres_backup): changes here are lost.", "[global]"]
    lines += [f"{key}={value}" for key, value in told]
    lines += ["", f"[{settings.stanza}]", *(f"{key}={value}" for key, value in server)]
    return "\n".join(lines) + "\n"


def archiving(stanza: str, config: str, timeout_s: int) -> dict[str, str]:
    """Return the server's settings by which its log is archived."""
    return {
        "archive_mode": "on",
        "archive_command": f"pgbackrest --config={config} --stanza={stanza} archive-push %p",
        "archive_timeout": str(timeout_s),
        "wal_level": "replica",
    }


def server_text(wanted: Mapping[str, str]) -> str:
    """Return a file for the server's conf.d."""
    lines = ["# Written by Courtkeeper (role postgres_backup): changes here are lost."]
    lines += [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in wanted.items()]
    return "\n".join(lines) + "\n"


def stanzas_text(told: bytes, stanza: Mapping[str, Any]) -> str:
    """Return the command line's file `told` with this stanza in it; others in it stay."""
    try:
        given = json.loads(told) if told.strip() else {}
        others = [entry for entry in given.get("stanzas", []) if entry.get("name") != stanza.get("name")]
    except (ValueError, AttributeError, TypeError, RecursionError):
        others = []
    entries = sorted([*others, dict(stanza)], key=lambda entry: str(entry.get("name")))
    return json.dumps({"stanzas": entries}, indent=1, sort_keys=True) + "\n"


def _repository(told: RepositorySettings) -> Sequence[tuple[str, object]]:
    found: list[tuple[str, object]] = [("path", told.path)]
    if told.kind == "s3":
        found += [
            ("type", "s3"),
            ("s3-bucket", told.bucket),
            ("s3-endpoint", told.endpoint),
            ("s3-region", told.region),
            ("s3-uri-style", "path" if told.path_style else "host"),
            ("storage-port", told.port),
            # Small files are packed: a request for each of a thousand takes longer than all their bytes.
            ("bundle", "y"),
        ]
        if told.ca_file:
            found.append(("storage-ca-file", told.ca_file))
        if told.access_key:
            found += [("s3-key", told.access_key), ("s3-key-secret", told.secret_key)]
        else:
            found.append(("s3-key-type", "auto"))
    return [
        *found,
        ("cipher-type", "aes-256-cbc"),
        ("cipher-pass", told.cipher_pass),
        ("retention-full", _FOR_EVER),
        ("retention-full-type", "count"),
    ]


def _standby(told: Standby, socket: str) -> Sequence[tuple[str, object]]:
    found: list[tuple[str, object]] = [("pg2-path", told.path), ("pg2-port", told.port)]
    if told.host:
        return [*found, ("pg2-host", told.host), ("pg2-host-user", told.user)]
    return [*found, ("pg2-socket-path", socket)]


def _check_repository(key: str, told: RepositorySettings) -> None:
    _absolute(f"{key}.path", told.path)
    within(f"{key}.port", told.port, 1, 65535)
    for name in msgspec.structs.fields(RepositorySettings):
        value = getattr(told, name.name)
        if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value == value.strip()):
            raise ConfigurationError(f"{key}.{name.name} has a line break or a blank at an end: mend it")
    if len(told.cipher_pass) < _LEAST_PASS:
        raise ConfigurationError(
            f"{key}.cipher_pass is shorter than {_LEAST_PASS} letters: openssl rand -base64 48 makes one"
        )
    if told.kind == "s3":
        if not _BUCKET.fullmatch(told.bucket):
            raise ConfigurationError(f"{key}.bucket {told.bucket!r} is no name of a bucket")
        if not _HOST.fullmatch(told.endpoint):
            raise ConfigurationError(f"{key}.endpoint {told.endpoint!r} is no host name: leave https:// out")
        if bool(told.access_key) != bool(told.secret_key):
            raise ConfigurationError(
                f"{key}.access_key and {key}.secret_key belong together: give both or none"
            )


def _absolute(key: str, path: str) -> None:
    if not path.startswith("/") or not _PLAIN.fullmatch(path):
        raise ConfigurationError(f"{key} {path!r} is no absolute path")
