"""Ask one thing more about one object: what cannot be answered is one sentence, and the check goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import errors

from courtkeeper.database import MEND_FILES, is_of_files
from courtkeeper.findings import Status
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.query import Struct, structs
from courtkeeper.postgres.refusal import is_lost, words


class Unanswered(Exception):  # noqa: N818 # an answer that is missing, not an error of the program
    """Why one question has no answer: `status` (never ok), `why` and `fix`."""

    def __init__(self, status: Status, why: str, fix: str) -> None:
        super().__init__(why)
        self.status, self.why, self.fix = status, why, fix


def ask(
    context: Context,
    statement: str,
    parameters: Mapping[str, Any] | None,
    kind: type[Struct],
    *,
    timeout_s: float | None = None,
) -> list[Struct]:
    """Return the rows of `statement` as structs, asked in a read-only transaction of its own.

    `timeout_s` takes the place of the connection's statement_timeout. Row security is off: a policy that
    hides rows makes the question fail instead of falsifying the answer. Raises Unanswered; an error that
    means that the server is lost comes as it is.
    """
    try:
        with context.connection.transaction():
            bound(context, timeout_s)
            cursor = context.connection.execute(statement.encode(), parameters)
            return structs(cursor, kind)
    except psycopg.Error as error:
        raise unanswered(context, error) from error


def bound(context: Context, timeout_s: float | None) -> None:
    """Prepare the transaction at hand: row security and JIT off, and `timeout_s` for each statement."""
    timeout_ms = None if timeout_s is None else str(max(1, round(timeout_s * 1000)))
    context.connection.execute(
        "SELECT set_config('row_security', 'off', true), set_config('jit', 'off', true), "
        "set_config('statement_timeout', coalesce(%s, current_setting('statement_timeout')), true)",
        [timeout_ms],
    )


def unanswered(context: Context, error: psycopg.Error) -> Unanswered:
    """Return what `error` means for one question; raise it again where the connection is lost."""
    if is_lost(error, context.connection):
        raise error
    why = words(error)
    if isinstance(error, errors.LockNotAvailable):
        return Unanswered(Status.SKIPPED, "an object is locked by somebody else", "try later")
    if isinstance(error, errors.QueryCanceled):
        return Unanswered(
            Status.SKIPPED, "it took longer than its time", "give it more time, or run it at a quieter time"
        )
    if is_of_files(error):
        return Unanswered(Status.CRIT, why, MEND_FILES)
    if isinstance(error, errors.InsufficientPrivilege):
        return Unanswered(Status.SKIPPED, why, f"{context.server.grant('pg_read_all_data')} -- or less")
    return Unanswered(Status.UNKNOWN, why, "see what the server says, and report it")
