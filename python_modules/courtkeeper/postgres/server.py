"""What kind of server and role we talk to: checks ask for a capability, never for a failure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.query import structs

OLDEST, NEWEST = 13, 18

# Views that only a superuser may read unless granted, and the function that each calls as its reader.
GUARDED = {
    "pg_file_settings": "pg_show_all_file_settings()",
    "pg_hba_file_rules": "pg_hba_file_rules()",
}

_FACTS = """
SELECT current_setting('server_version_num')::int AS version_num,
       current_database() AS database,
       current_user AS role,
       format('%%I', current_user) AS grantee,
       now() AS now,
       pg_is_in_recovery() AS in_recovery,
       pg_postmaster_start_time() AS started_at,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       pg_has_role(current_user, 'pg_monitor', 'USAGE') AS monitor,
       (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS stats_reset,
       (SELECT coalesce(array_agg(extname::text), '{}') FROM pg_extension) AS extensions,
       (SELECT coalesce(array_agg(name::text), '{}') FROM pg_available_extensions) AS available,
       (SELECT coalesce(array_agg(view), '{}')
          FROM unnest(%(views)s::text[], %(functions)s::text[]) guarded (view, function)
         WHERE has_table_privilege(view, 'SELECT')
           AND has_function_privilege(function, 'EXECUTE')) AS readable
"""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one server as one role sees them from one database.

    `grantee` is the role as SQL writes it, `readable` those of GUARDED.
    """

    version_num: int
    database: str
    role: str
    grantee: str
    now: datetime
    in_recovery: bool
    started_at: datetime
    superuser: bool
    monitor: bool
    stats_reset: datetime | None
    extensions: frozenset[str]
    available: frozenset[str]
    readable: frozenset[str]

    @property
    def version(self) -> int:
        """Return the major version: 17."""
        return self.version_num // 10000

    def grant(self, right: str) -> str:
        """Return the statement that gives our role a right: `GRANT pg_monitor TO "my role";`."""
        return f"GRANT {right} TO {self.grantee};"

    @property
    def statistics_age(self) -> timedelta:
        """Return for how long the usage statistics have counted (the start, where they were never reset)."""
        return self.now - (self.stats_reset or self.started_at)


def look(connection: Connection) -> Server:
    """Ask the server what it is. Raises ConfigurationError for a version that we do not know."""
    with connection.transaction():
        cursor = connection.execute(_FACTS, {"views": list(GUARDED), "functions": list(GUARDED.values())})
        (server,) = structs(cursor, Server)
    if not OLDEST <= server.version <= NEWEST:
        raise ConfigurationError(
            f"the server is Postgres {server.version}; Courtkeeper knows {OLDEST} to {NEWEST}: "
            "upgrade the server or Courtkeeper"
        )
    return server
