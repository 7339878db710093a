"""Rules that the user declares: SQL that returns the rows that offend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.database import with_usual_names
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered, bound, unanswered
from courtkeeper.postgres.check import Check, Context
from courtkeeper.postgres.refusal import words
from courtkeeper.postgres.server import Server
from courtkeeper.postgres.settings import IntegritySettings, Rule

_LONGEST = 200  # characters of one row that a finding shows


class Offence(msgspec.Struct, frozen=True):
    """What a rule returned: the first `rows` as text, and the `count` of all; None: it took too long."""

    rows: tuple[str, ...]
    count: int | None


class Rules(Check[Offence]):
    """Runs each rule in a read-only transaction, as one statement behind a cursor."""

    title = "rows that offend a declared rule"
    row = Offence
    rules: tuple[Rule, ...] = ()

    def configure(self, settings: IntegritySettings) -> None:
        """Take the rules."""
        self.rules = settings.rules

    def search(self, context: Context) -> Iterator[Finding]:
        """Yield one finding for each rule that is offended, or that could not be asked."""
        for rule in self.rules:
            context.tell(f"rule {rule.name}")
            try:
                offence = offending(context, rule)
            except Unanswered as missing:
                summary = f"The rule {rule.name} was not asked: {missing.why}."
                yield self.finding(rule.name, missing.status, summary, fix=missing.fix)
                continue
            if offence.rows:
                yield self.offended(rule, offence)

    def clean(self, server: Server) -> Finding:
        """Without a rule there is nothing to offend, and nothing that was left undone."""
        if self.rules:
            return super().clean(server)
        return self.finding(server.database, Status.OK, "No rules of the platform's own are declared.")

    def offended(self, rule: Rule, offence: Offence) -> Finding:
        """Return the finding of a rule, in its own words where it has some."""
        shown = len(offence.rows)
        count = f"more than {shown:,}" if offence.count is None else f"{offence.count:,}"
        more = "" if offence.count == shown else " and others"
        return self.finding(
            rule.name,
            Status(rule.severity),
            f"{rule.summary.rstrip('.') or f'The rule {rule.name} is offended'} ({count} rows): "
            f"{', '.join(offence.rows)}{more}.",
            observed=shown if offence.count is None else offence.count,
            threshold=0,
            unit="rows",
            fix=rule.fix,
        )


def offending(context: Context, rule: Rule) -> Offence:
    """Return what the rule's statement returns. Raises Unanswered where it may not or cannot run.

    A cursor takes one reading statement only; the transaction is read-only; a statement
    without end is cut off by the connection's statement_timeout.
    """
    rows: tuple[str, ...] = ()
    try:
        with context.connection.transaction(), context.connection.cursor("courtkeeper_rule") as cursor:
            bound(context, None)
            with_usual_names(context.connection)
            cursor.execute(rule.sql.strip().rstrip(";").encode())
            names = [column.name for column in cursor.description or ()]
            rows = tuple(_shown(names, row) for row in cursor.fetchmany(rule.limit))
            rest = context.connection.execute("MOVE FORWARD ALL IN courtkeeper_rule").rowcount
            return Offence(rows=rows, count=len(rows) + rest)
    except errors.QueryCanceled:
        if rows:  # enough to know that the rule is offended
            return Offence(rows=rows, count=None)
        raise Unanswered(
            Status.SKIPPED,
            "it took longer than statement_timeout_s",
            "give it an index or a WHERE, or raise statement_timeout_s",
        ) from None
    except errors.ReadOnlySqlTransaction as error:
        raise _refused("it writes", error) from error
    except (errors.SyntaxError, errors.FeatureNotSupported, errors.InvalidCursorDefinition) as error:
        raise _refused("it has to be one statement that reads", error) from error
    except psycopg.Error as error:
        if context.connection.closed or error.sqlstate is None:
            raise
        if isinstance(error, errors.InsufficientPrivilege | errors.LockNotAvailable):
            raise unanswered(context, error) from error
        raise _refused("it cannot be run", error) from error


def _refused(why: str, error: psycopg.Error) -> Unanswered:
    return Unanswered(
        Status.UNKNOWN,
        f"{why} ({words(error)})",
        "mend the rule's sql: one SELECT that returns the offending rows",
    )


def _shown(names: list[str], row: tuple[Any, ...]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
    text = " ".join(text.split())
    return f"({text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'})"
