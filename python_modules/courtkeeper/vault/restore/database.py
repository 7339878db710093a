"""One database out of a backup: made anew under a name of its own, filled by pg_restore, and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql
from pyrage import x25519

from courtkeeper.database import Connection
from courtkeeper.vault import tables
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.restore.feed import RestoreError, feed
from courtkeeper.vault.restore.server import Target, major
from courtkeeper.vault.sources import programs
from courtkeeper.vault.unseal import unseal

# The version of Postgres that knows `transaction_timeout`, and what begins each complaint of pg_restore.
_TIMEOUT_SINCE = 17
_ERROR = "pg_restore: error:"
# What building an index may take where the server allows less; its default is 64 MB.
_MEMORY = """
SELECT '256MB' FROM pg_settings WHERE name = 'maintenance_work_mem' AND setting::bigint < 262144
"""
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_PROVIDERS_SINCE, _BUILTIN_SINCE = 150000, 170000


def facts(manifest: Manifest, database: str) -> dict[str, str]:
    """Return what a manifest says of a database: encoding, collate, owner, …"""
    start = f"database.{database}."
    return {
        key.removeprefix(start): value
        for key, value in manifest.recovery_settings.items()
        if key.startswith(start)
    }


def create(connection: Connection, name: str, known: dict[str, str]) -> None:
    """Make an empty database as the one in the backup was: encoding, locale, owner."""
    words = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)),
        sql.SQL("ENCODING {}").format(sql.Literal(known.get("encoding") or "UTF8")),
    ]
    version, provider = connection.info.server_version, known.get("provider", "")
    if version >= _PROVIDERS_SINCE and provider in _PROVIDERS:
        words.append(sql.SQL("LOCALE_PROVIDER {}").format(sql.SQL(_PROVIDERS[provider])))
    for key, option in (("collate", "LC_COLLATE"), ("ctype", "LC_CTYPE")):
        if known.get(key):
            words.append(sql.SQL("{} {}").format(sql.SQL(option), sql.Literal(known[key])))
    locale = known.get("locale", "")
    if locale and provider == "i" and version >= _PROVIDERS_SINCE:
        words.append(sql.SQL("ICU_LOCALE {}").format(sql.Literal(locale)))
    if locale and provider == "b" and version >= _BUILTIN_SINCE:
        words.append(sql.SQL("BUILTIN_LOCALE {}").format(sql.Literal(locale)))
    owner = known.get("owner", "")
    if owner and has_role(connection, owner):
        words.append(sql.SQL("OWNER {}").format(sql.Identifier(owner)))
    try:
        connection.execute(sql.SQL(" ").join(words))
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.WrongObjectType) as error:
        text = " ".join(str(error).split())[:200]
        raise RestoreError(
            f"the server cannot make a database like the one in the backup ({text}): give it that locale "
            "(locale-gen), or restore on a server that has it"
        ) from error


def has_role(connection: Connection, name: str) -> bool:
    """Tell whether the server knows a role."""
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None


def fill(
    target: Target,
    name: str,
    part: Part,
    backup: Backup,
    place: Destination,
    identities: Sequence[x25519.Identity],
    *,
    arguments: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Let pg_restore read one dump into the database `name`.

    What is in it is known to be good only when this returns. Raises DamagedError and its like where the copy
    is not, RestoreError where pg_restore fails.
    """
    program = target.program("pg_restore")
    environment = target.environment()
    with target.connected(name) as connection:
        newer = (
            major(programs.version_of(program)) >= _TIMEOUT_SINCE > connection.info.server_version // 10000
        )
        row = connection.execute(_MEMORY).fetchone()
    if row:  # an index is built in one pass rather than sorted on disk
        given = environment.get("PGOPTIONS", "")
        environment["PGOPTIONS"] = f"{given} -c maintenance_work_mem={row[0]}".strip()
    command: list[str | Path] = [
        program, *([] if newer else ["--exit-on-error"]), "--no-password", *arguments,
        f"--dbname={target.conninfo(name)}",
    ]  # fmt: skip
    feed(
        command,
        environment,
        lambda write: unseal(place, backup.prefix, part, identities, write, progress=progress),
        excused=lambda said: newer and is_only_timeout(said),
    )


def is_only_timeout(said: str) -> bool:
    """Tell whether all that pg_restore complains of is a setting that an older server does not have.

    From 17 on it sets `transaction_timeout` first, whatever the server is, and cannot be told not to.
    """
    problems = [line for line in said.splitlines() if _ERROR in line]
    return (
        len(problems) == 1
        and problems[0].endswith('unrecognized configuration parameter "transaction_timeout"')
        and "errors ignored on restore: 1" in said
    )


def differences(connection: Connection, part: Part, only: Sequence[str] = ()) -> list[str]:
    """Compare rows and checksums with the manifest's; a sentence for each table that is not as it was.

    `only`: these tables (`public.games`) and no others.
    """
    expected = [table for table in part.tables if not only or table.qualified in only]
    chosen = [(table.schema, table.name) for table in expected] if only else None
    connection.autocommit = False
    try:
        found = tables.measured(connection, chosen, expected)
    finally:
        with suppress(psycopg.Error):  # of a connection that is lost: why it is, is told already
            connection.rollback()
            connection.autocommit = True
    return tables.compared(expected, found) if part.tables else []
