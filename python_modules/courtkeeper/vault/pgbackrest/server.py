"""What the server says of its log: where it is, and what became of what it wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import psycopg

from courtkeeper.database import Connection, connect
from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.pgbackrest.owner import acting
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.wal import Place

_FACTS = Path(__file__).with_name("facts.sql")
# Where a segment has just ended the name is still that of the last one: the bytes tell.
_PLACE = """
SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') END
"""
_TIMEOUT_S = 20.0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a server.

    `timeline` and `written` (bytes of log since its beginning) are where it writes now, 0 on a replica.
    `waiting` are finished segments that are not archived yet, the oldest of them finished at
    `waiting_since`. Times are by the server's clock, `now` too.
    """

    now: datetime
    version: str
    system: int
    data_directory: str
    in_recovery: bool
    segment_bytes: int
    timeline: int = 0
    written: int = 0
    archive_mode: str
    archive_command: str
    archive_library: str
    checksums: bool
    waiting: tuple[str, ...] = ()
    waiting_since: datetime | None = None
    archived: str = ""
    archived_at: datetime | None = None
    failed: str = ""
    failed_at: datetime | None = None

    @property
    def archives(self) -> bool:
        """Whether it archives its log at all."""
        return self.archive_mode in ("on", "always")

    @property
    def last(self) -> Place | None:
        """The last segment that is finished; None on a replica, and before there is one."""
        number = self.written // self.segment_bytes - 1
        return Place(self.timeline, number) if self.timeline and number >= 0 else None


@contextlib.contextmanager
def asked(stanza: Stanza) -> Iterator[Connection]:
    """Connect to the server of a stanza. Raises CourtkeeperError where it cannot be reached."""
    with acting(stanza.owner) as name:
        settings = msgspec.structs.replace(stanza.server, user=stanza.user or name)
        connection = connect(
            settings, purpose="backups", lock_timeout_s=_TIMEOUT_S, statement_timeout_s=_TIMEOUT_S
        )
    with connection:
        yield connection


def look(stanza: Stanza) -> Server:
    """Ask the server of a stanza. Raises CourtkeeperError where it cannot be asked."""
    with asked(stanza) as connection:
        try:
            # Before the rest: what is finished by now is archived or waits when that is looked at.
            place = connection.execute(_PLACE).fetchone()
            row = connection.execute(_FACTS.read_bytes()).fetchone()
        except psycopg.Error as error:
            raise CourtkeeperError(
                f"{stanza.server.where} does not say how it archives: {' '.join(str(error).split())[:200]}; "
                "ask it as a superuser, or as a role with pg_monitor"
            ) from error
    if row is None or not isinstance(row[0], dict):
        raise CourtkeeperError(f"{stanza.server.where} does not say how it archives")
    timeline, written = (int(place[0], 16), int(place[1])) if place and place[0] else (0, 0)
    return msgspec.convert({**row[0], "timeline": timeline, "written": written}, Server, strict=False)
