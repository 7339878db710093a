"""Roles and tablespaces out of a backup's globals: what a server lacks is made, what it has stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec
import psycopg
from pyrage import x25519

from courtkeeper.database import Connection
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.unseal import unseal

_MOST_BYTES = 64 << 20
# Quoted text, quoted names and comments may hold a semicolon.
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|;|[^'";-]+|-""")
_NAME = r'("(?:[^"]|"")+"|[^\s;"]+)'
_OF_ROLE = re.compile(
    rf"\A(?:CREATE|ALTER|COMMENT\s+ON|SECURITY\s+LABEL\s+.*?\s+ON)\s+ROLE\s+{_NAME}", re.DOTALL
)
_GRANT = re.compile(rf"\AGRANT\s+{_NAME}\s+TO\s+{_NAME}")
_TABLESPACE = re.compile(rf"\A(?:CREATE|ALTER|COMMENT\s+ON)\s+TABLESPACE\s+{_NAME}")


class Applied(msgspec.Struct, kw_only=True):
    """Which roles were made, and which statements the server refused, with why."""

    made: list[str] = msgspec.field(default_factory=list)
    refused: list[str] = msgspec.field(default_factory=list)


def read(backup: Backup, part: Part, place: Destination, identities: Sequence[x25519.Identity]) -> list[str]:
    """Return the statements of a globals part, in their order. Raises as `unseal` does."""
    if part.plain_size > _MOST_BYTES:
        raise RestoreError(f"{part.name} of {backup.id} is larger than roles can be")
    found = bytearray()
    unseal(place, backup.prefix, part, identities, found.extend)
    return list(statements(found.decode("utf-8", "surrogateescape")))


def statements(text: str) -> Iterator[str]:
    """Yield the statements of a script as pg_dumpall writes it, without comments and psql's own commands."""
    # \connect and, since the mended minor versions of 2025, \restrict: each a line of its own.
    plain = "\n".join(line for line in text.split("\n") if not line.startswith("\\"))
    gathered: list[str] = []
    for match in _TOKEN.finditer(plain):
        word = match[0]
        if word == ";":
            if statement := "".join(gathered).strip():
                yield statement
            gathered = []
        elif not word.startswith("--"):
            gathered.append(word)


def apply(connection: Connection, script: Sequence[str]) -> Applied:
    """Make the roles and tablespaces that the server does not have; one that it has is left as it is."""
    there = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    spaces = {str(name) for (name,) in connection.execute("SELECT spcname FROM pg_tablespace")}
    applied = Applied()
    for statement in script:
        if not _is_wanted(statement, there, spaces):
            continue
        try:
            connection.execute(statement.encode("utf-8", "surrogateescape"))
        except psycopg.Error as error:
            if connection.closed:
                raise
            # Not the statement: it may hold a password's hash.
            what = " ".join(statement.split()[:3])
            applied.refused.append(f"{what}: {' '.join(str(error).split())[:160]}")
        else:
            if statement.startswith("CREATE ROLE") and (match := _OF_ROLE.match(statement)):
                applied.made.append(_plain(match[1]))
    return applied


def _is_wanted(statement: str, there: set[str], spaces: set[str]) -> bool:
    if match := _OF_ROLE.match(statement):
        return _plain(match[1]) not in there
    if match := _GRANT.match(statement):
        return _plain(match[2]) not in there  # who was there keeps what he has
    if match := _TABLESPACE.match(statement):
        return _plain(match[1]) not in spaces
    return statement.startswith(("GRANT", "ALTER DEFAULT"))


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
