"""What the upkeep remembers in a schema of its own: what was done, how fast, and what did not fit."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from courtkeeper.database import Connection, is_of_files
from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.upkeep.sql import script
from courtkeeper.postgres.upkeep.task import Task

VERSION = 1
_OWNER = """
SELECT r.rolname, r.rolname = current_user OR r.rolsuper
  FROM pg_namespace n
  JOIN pg_roles r ON r.oid = n.nspowner
 WHERE n.nspname = 'courtkeeper'
"""
_LOCK = "SELECT pg_try_advisory_lock(hashtext('courtkeeper postgres_upkeep'))"
# The last twenty of each kind: long enough to level a slow night out, short enough to follow a new disk.
_RATES = """
SELECT action, sum(bytes) / sum(seconds)
  FROM (SELECT action, bytes::float8, seconds, row_number() OVER (PARTITION BY action ORDER BY id DESC) AS n
          FROM courtkeeper.upkeep_history
         WHERE outcome = 'done' AND bytes > 0 AND seconds > 0) latest
 WHERE n <= 20
 GROUP BY action
"""
_FORGET = """
DELETE FROM courtkeeper.upkeep_history h
 WHERE at < now() - %s AND outcome <> 'begun'
   AND EXISTS (SELECT FROM courtkeeper.upkeep_history later
                WHERE later.action = h.action AND later.object = h.object AND later.outcome = 'done'
                  AND later.id > h.id AND (h.outcome <> 'done' OR later.note = h.note))
"""


class State:
    """The upkeep's own tables in one database. Before they exist it is empty, and `note` nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.exists = self._installed() is not None

    def lock(self) -> bool:
        """Return whether this is the only upkeep of the database; so until the connection ends."""
        row = self._connection.execute(_LOCK).fetchone()
        return bool(row and row[0])

    def install(self) -> None:
        """Make the schema, whole or not at all. Raises ConfigurationError where that cannot be."""
        try:
            with self._connection.transaction():
                self._connection.execute(script("schema").encode())
        except errors.InsufficientPrivilege as error:
            if is_of_files(error):
                raise
            raise ConfigurationError(
                f"the role may not make the schema courtkeeper ({error.diag.message_primary}): "
                "run the upkeep as the owner of the database, or GRANT CREATE ON DATABASE to the role"
            ) from error
        except (errors.DuplicateTable, errors.DuplicateFunction, errors.InvalidTableDefinition) as error:
            raise ConfigurationError(
                f"the schema courtkeeper holds something of another origin ({error.diag.message_primary}): "
                "rename that, or drop what is left of an upkeep of before"
            ) from error
        self.exists = True

    def rates(self) -> dict[str, float]:
        """Return bytes a second by kind of task, as measured here before."""
        return dict(self._connection.execute(_RATES).fetchall()) if self.exists else {}

    def deferred(self) -> dict[tuple[str, str], int]:
        """Return how often tasks in a row did not fit into the window."""
        if not self.exists:
            return {}
        rows = self._connection.execute("SELECT action, object, times FROM courtkeeper.upkeep_deferred")
        return {(action, name): times for action, name, times in rows}

    def defer(self, tasks: Iterable[Task]) -> None:
        """Note what did not fit this time, and forget what did or is no longer due."""
        left = [task.key for task in tasks]
        with self._connection.transaction():
            self._connection.execute(
                "DELETE FROM courtkeeper.upkeep_deferred WHERE NOT EXISTS (SELECT FROM "
                "unnest(%s::text[], %s::text[]) AS t (a, o) WHERE t.a = action AND t.o = object)",
                [[kind for kind, _ in left], [name for _, name in left]],
            )
            for kind, name in left:
                self._connection.execute(
                    "INSERT INTO courtkeeper.upkeep_deferred AS d (action, object) VALUES (%s, %s) "
                    "ON CONFLICT (action, object) DO UPDATE SET times = d.times + 1",
                    [kind, name],
                )

    def close_interrupted(self) -> list[tuple[str, str]]:
        """Note which actions a killed run left open, and return them: action and object.

        Only the holder of the lock may ask: then nobody else's action is under way.
        """
        if not self.exists:
            return []
        rows = self._connection.execute(
            "UPDATE courtkeeper.upkeep_history SET outcome = 'interrupted' WHERE outcome = 'begun' "
            "RETURNING action, object"
        )
        return [(action, name) for action, name in rows]

    def begin(self, task: Task, before: Mapping[str, int]) -> int:
        """Note that a task is begun; return the number of the note."""
        row = self._connection.execute(
            "INSERT INTO courtkeeper.upkeep_history (action, object, bytes, before, statements, undo, note) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                task.kind,
                task.subject,
                before.get("bytes", 0),
                Jsonb(dict(before)),
                [*task.statements, *([shlex.join(task.program)] if task.program else [])],
                task.undo,
                task.note,
            ],
        ).fetchone()
        assert row is not None  # noqa: S101 # RETURNING of one row
        return int(row[0])

    def finish(
        self, number: int, outcome: str, seconds: float, after: Mapping[str, int], problem: str = ""
    ) -> None:
        """Note how a task ended, and what the problem was where it failed."""
        self._connection.execute(
            "UPDATE courtkeeper.upkeep_history SET outcome = %s, seconds = %s, after = %s, "
            "note = concat_ws('; ', nullif(note, ''), nullif(%s, '')) WHERE id = %s",
            [outcome, round(seconds, 3), Jsonb(dict(after)), problem, number],
        )

    def done_since(self, action: str, note: str, since: tuple[str, str]) -> set[str]:
        """Return on what `action` was done with `note` after the last `since` (action, object)."""
        if not self.exists:
            return set()
        rows = self._connection.execute(
            "SELECT object FROM courtkeeper.upkeep_history WHERE action = %s AND note = %s "
            "AND outcome = 'done' AND id > coalesce((SELECT max(id) FROM courtkeeper.upkeep_history "
            "WHERE action = %s AND object = %s AND outcome = 'done'), 0)",
            [action, note, *since],
        )
        return {name for (name,) in rows}

    def did(self, action: str, name: str) -> bool:
        """Return whether `action` was ever done on the object `name`, with or without its schema."""
        if not self.exists:
            return False
        row = self._connection.execute(
            "SELECT FROM courtkeeper.upkeep_history WHERE action = %s AND outcome = 'done' "
            "AND (object = %s OR right(object, length(%s) + 1) = '.' || %s) LIMIT 1",
            [action, name, name, name],
        ).fetchone()
        return row is not None

    def forget(self, keep: timedelta) -> int:
        """Forget actions older than `keep` that a later one on the same object has replaced; return how many.

        The last one done stays however old it is: its undo is the way back, and what was made here is known
        by it.
        """
        return self._connection.execute(_FORGET, [keep]).rowcount

    def _installed(self) -> int | None:
        """Return the version of the schema that is there; None where there is none of ours.

        Raises ConfigurationError for one that is newer than this library, that the role may not read, or
        that belongs to somebody of fewer rights: who owns it can put code there that runs with ours.
        """
        owner = self._connection.execute(_OWNER).fetchone()
        if owner is not None and not owner[1]:
            raise ConfigurationError(
                f"the schema courtkeeper belongs to another role ({owner[0]}): run the upkeep as that role, "
                "or drop the schema where it is none of the upkeep's"
            )
        try:
            row = self._connection.execute(
                "SELECT version FROM courtkeeper.schema_version WHERE part = 'upkeep'"
            ).fetchone()
        except (errors.InvalidSchemaName, errors.UndefinedTable):
            return None
        except errors.InsufficientPrivilege as error:
            if is_of_files(error):
                raise
            raise ConfigurationError(
                "the schema courtkeeper belongs to another role: run the upkeep as that role"
            ) from error
        except psycopg.errors.UndefinedColumn as error:
            raise ConfigurationError(
                "there is a schema courtkeeper of another origin in this database: rename it"
            ) from error
        if row and row[0] > VERSION:
            raise ConfigurationError(
                f"the schema courtkeeper is of version {row[0]}, this library knows {VERSION}: "
                "upgrade the library on this host"
            )
        return int(row[0]) if row else None
