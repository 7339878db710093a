"""What a vault is told: where backups go, whom they are sealed for, and what is backed up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, usable_directory, within
from courtkeeper.vault import recipients

# Names become parts of object keys, file names and findings.
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class DirectorySettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="directory"
):
    """A directory. `mounted`: it has to be a mount point, so that an unmounted disk is not filled up."""

    name: str
    path: str
    mounted: bool = False


class S3Settings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="s3"
):
    """A bucket. Empty keys: boto3 finds them by itself (environment, profile, the machine's role).

    `endpoint_url` is for stores other than Amazon's and has to be https:// unless `insecure`; `ca_file` is
    for one with a certificate of your own. `part_mb`: what one part of an upload has at least.
    `storage_class` and `server_side_encryption` are handed to the store as they are.
    """

    name: str
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    endpoint_url: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    ca_file: str = ""
    path_style: bool = True
    insecure: bool = False
    part_mb: int = 8
    timeout_s: float = 30.0
    attempts: int = 5
    storage_class: str = ""
    server_side_encryption: str = ""

    def __repr__(self) -> str:
        """Say no key: a traceback may print this."""
        return f"S3Settings({self.name}: s3://{self.bucket}/{self.prefix})"


DestinationSettings = DirectorySettings | S3Settings


class PostgresSource(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="postgres"
):
    """A Postgres server. Empty `databases`: all that can be connected to, but `postgres` and templates.

    `bin_directory` has pg_dump and pg_dumpall (empty: PATH). `database` is the one to connect to first.
    `globals`: roles and tablespaces too, for which the role has to be a superuser. `checksums`: rows and a
    checksum of every table, in the dump's own snapshot. `heartbeat`: the time is written to the table
    `courtkeeper.heartbeat` of each database first, by which a drill measures what would be lost.
    """

    name: str
    host: str = ""
    port: int = 5432
    user: str = ""
    password: str = ""
    database: str = "postgres"
    options: dict[str, str] = msgspec.field(default_factory=dict)
    databases: tuple[str, ...] = ()
    bin_directory: str = ""
    globals: bool = True
    checksums: bool = True
    heartbeat: bool = False
    lock_timeout_s: float = 30.0

    def at(self, database: str) -> DatabaseSettings:
        """Return how to connect to one database of the server."""
        return DatabaseSettings(
            host=self.host,
            port=self.port,
            name=database,
            user=self.user,
            password=self.password,
            options=self.options,
        )

    def __repr__(self) -> str:
        """Say no password."""
        return f"PostgresSource({self.name}: {self.at(self.database).where})"


class RedisSource(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="redis"
):
    """A Redis or Valkey server, read over the wire as a replica reads it (`SYNC`). All its databases."""

    name: str
    host: str = "127.0.0.1"
    port: int = 6379
    socket: str = ""
    user: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str = ""
    timeout_s: float = 60.0

    def __repr__(self) -> str:
        """Say no password."""
        return f"RedisSource({self.name}: {self.socket or f'{self.host}:{self.port}'})"


class FilesSource(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="files"
):
    """Directories and files: configuration, logs, the data of containers.

    `paths` are absolute, `exclude` are shell patterns of absolute paths (`*/cache/*`), `volumes` are names
    of Docker volumes. `one_file_system`: what is mounted below a path stays out.
    `growing`: files are expected to grow while they are read, as logs do, and are not named for that.
    """

    name: str
    paths: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    one_file_system: bool = True
    growing: bool = False


SourceSettings = PostgresSource | RedisSource | FilesSource


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard a backup works.

    `level` is zstd's, `threads` compress (0: one fewer than there are CPUs, at most 4, as each takes memory),
    `rate_mb_s` bounds what is read from a source (0: no bound). A destination that keeps the others waiting
    for `patience_s` in all is left behind and gets its copy afterwards from a good one. `attempts` at that,
    and at a dump that was disturbed by a change of the schema. For `refill_minutes` (0: not at all) after
    each backup, backups are copied to destinations that missed them.
    """

    level: int = 3
    threads: int = 0
    rate_mb_s: float = 0.0
    patience_s: float = 60.0
    attempts: int = 3
    refill_minutes: float = 60.0


class VaultSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vault. `recipients` are age's public keys (`age1…`): each of them alone opens every backup.
    `recipients_file` holds more of them, one a line, as `age -R` reads it.

    `identity_file` holds private keys; a backup needs none, a restore does. `signing_key_file` (made by
    `courtkeeper vault keys`) signs manifests, and `signers` are the public keys whose signatures count: where
    there are any, a manifest without one is refused. `state_directory` holds locks and progress between runs.
    `policy` is of retention and verification, which have their own settings.
    """

    name: str
    recipients: tuple[str, ...] = ()
    recipients_file: str = ""
    destinations: tuple[DestinationSettings, ...]
    sources: tuple[SourceSettings, ...] = ()
    identity_file: str = ""
    signing_key_file: str = ""
    signers: tuple[str, ...] = ()
    state_directory: str = ""
    pace: Pace = Pace()
    policy: dict[str, Any] = msgspec.field(default_factory=dict)

    def source(self, name: str) -> SourceSettings:
        """Return the source of that name. Raises ConfigurationError where there is none."""
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources) or "none"
        raise ConfigurationError(f"the vault {self.name} has no source {name!r}: name one of {known}")


def vault_from(given: Mapping[str, Any], *, sealing: bool = True) -> VaultSettings:
    """Return the settings of a mapping, as an inventory gives them.

    `sealing`: recipients are needed. Raises ConfigurationError, naming the key, for what cannot be; nothing
    has been asked of a server yet.
    """
    settings = converted(given, VaultSettings)
    _name("name", settings.name)
    for number, key in enumerate(settings.recipients):
        recipients.require(f"recipients[{number}]", key)
    if sealing:
        settings = with_recipients(settings)
    if not settings.destinations:
        raise ConfigurationError("destinations is empty: give at least one")
    _names("destinations", [entry.name for entry in settings.destinations])
    _names("sources", [entry.name for entry in settings.sources])
    for number, entry in enumerate(settings.destinations):
        _check_destination(f"destinations[{number}]", entry)
    for number, source in enumerate(settings.sources):
        _check_source(f"sources[{number}]", source)
    within("pace.level", settings.pace.level, 1, 19)
    within("pace.threads", settings.pace.threads, 0, 64)
    within("pace.rate_mb_s", settings.pace.rate_mb_s, 0, 1e6)
    within("pace.patience_s", settings.pace.patience_s, 0.1, 86400)
    within("pace.attempts", settings.pace.attempts, 1, 20)
    within("pace.refill_minutes", settings.pace.refill_minutes, 0, 1e5)
    usable_directory("state_directory", settings.state_directory)
    return settings


def with_recipients(settings: VaultSettings) -> VaultSettings:
    """Return the settings with the file's recipients among them. Raises ConfigurationError where none are."""
    more = recipients.in_file(settings.recipients_file) if settings.recipients_file else []
    every = tuple(dict.fromkeys([*settings.recipients, *more]))
    if not every:
        raise ConfigurationError("recipients is empty: give at least one public key (age1…)")
    return msgspec.structs.replace(settings, recipients=every)


def _check_destination(key: str, entry: DestinationSettings) -> None:
    if isinstance(entry, DirectorySettings):
        _absolute(f"{key}.path", entry.path)
        return
    if not _BUCKET.fullmatch(entry.bucket):
        raise ConfigurationError(f"{key}.bucket {entry.bucket!r} is no name of a bucket")
    if entry.endpoint_url and not entry.endpoint_url.startswith(
        ("https://", "http://") if entry.insecure else "https://"
    ):
        raise ConfigurationError(f"{key}.endpoint_url has to begin with https://, or say insecure: true")
    if "@" in entry.endpoint_url.partition("://")[2].partition("/")[0]:
        raise ConfigurationError(f"{key}.endpoint_url has a user in it, which logs would show: leave it out")
    if bool(entry.access_key) != bool(entry.secret_key):
        raise ConfigurationError(f"{key}.access_key and {key}.secret_key belong together: give both or none")
    if entry.ca_file and not Path(entry.ca_file).is_file():
        raise ConfigurationError(f"{key}.ca_file {entry.ca_file} is not there: mend its path")
    within(f"{key}.part_mb", entry.part_mb, 5, 24)
    within(f"{key}.timeout_s", entry.timeout_s, 0.1, 3600)
    within(f"{key}.attempts", entry.attempts, 1, 20)


def _check_source(key: str, source: SourceSettings) -> None:
    if isinstance(source, FilesSource):
        for number, path in enumerate(source.paths):
            _absolute(f"{key}.paths[{number}]", path)
        if not source.paths and not source.volumes:
            raise ConfigurationError(f"{key}.paths is empty: give a path or a volume")
    elif isinstance(source, RedisSource):
        within(f"{key}.port", source.port, 1, 65535)
        within(f"{key}.timeout_s", source.timeout_s, 0.1, 3600)
    else:
        within(f"{key}.port", source.port, 0, 65535)
        for word in ("password", "sslpassword", "dbname", "passfile"):
            if word in source.options:
                raise ConfigurationError(
                    f"{key}.options.{word} is not for here: others could read it in an argv"
                )
        within(f"{key}.lock_timeout_s", source.lock_timeout_s, 0.001, 3600)
        if source.bin_directory:
            _absolute(f"{key}.bin_directory", source.bin_directory)


def _absolute(key: str, path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise ConfigurationError(f"{key} {path!r} is no absolute path")


def _names(key: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        _name(f"{key}[{number}].name", name)
        if name in names[:number]:
            raise ConfigurationError(f"{key}[{number}] is called {name!r} like another: rename one")


def _name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{key} is {name!r}: use small letters, digits, '-', '_' and '.', at most 63, and no sign first"
        )


Kind = Literal["postgres", "redis", "files"]
