"""What the platform's own function verify_data_integrity() finds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered, ask
from courtkeeper.postgres.check import Check, Context, Limit, fetch


class OwnFunction(msgspec.Struct, frozen=True):
    """Whether the function is there, may be called, and belongs to a superuser or to ourselves."""

    is_there: bool
    is_allowed: bool
    is_trusted: bool
    owner: str


class Issue(msgspec.Struct, frozen=True):
    """One row of the function, and the statement that shows all of its type."""

    issue_type: str
    game_id: str
    description: str
    statement: str


class DataIntegrity(Check[OwnFunction]):
    """Calls verify_data_integrity() where the database has it."""

    title = "games that contradict themselves"
    row = OwnFunction
    limits: ClassVar = {
        "named": Limit(5, "games of each kind", "as many as a person reads"),
        "call_s": Limit(60, "s", "issue: under 10 s on 30 seasons"),
    }

    def search(self, context: Context) -> Iterator[Finding]:
        """Yield one finding for each kind of issue."""
        with context.connection.transaction():
            (own,) = fetch(context, self)
        try:
            issues = self.issues(context, own)
        except Unanswered as missing:
            yield self.finding(
                context.server.database,
                missing.status,
                f"The data were not verified: {missing.why}.",
                fix=missing.fix,
            )
            return
        for _, group in groupby(issues, key=lambda issue: issue.issue_type):
            yield self.gathered(list(group))

    def issues(self, context: Context, own: OwnFunction) -> list[Issue]:
        """Return the rows of the function, by kind. Raises Unanswered where it cannot be called."""
        if not own.is_there:
            raise Unanswered(
                Status.SKIPPED,
                "this database has no function verify_data_integrity()",
                "declare the platform's rules instead (rules)",
            )
        if not own.is_allowed:
            raise Unanswered(
                Status.SKIPPED,
                f"the role {context.server.role} may not call verify_data_integrity()",
                context.server.grant("EXECUTE ON FUNCTION public.verify_data_integrity()"),
            )
        if not own.is_trusted:
            raise Unanswered(
                Status.SKIPPED,
                f"verify_data_integrity() belongs to the role {own.owner}, whose code would run with the "
                f"rights of {context.server.role}",
                f"check the group data as {own.owner}, or give the function to {context.server.role}",
            )
        return ask(
            context,
            "SELECT issue_type, game_id, description, format("
            "'SELECT * FROM public.verify_data_integrity() WHERE issue_type = %L;', issue_type) AS statement "
            "FROM public.verify_data_integrity() ORDER BY issue_type, game_id, description",
            None,
            Issue,
            timeout_s=self.limit["call_s"],
        )

    def gathered(self, issues: list[Issue]) -> Finding:
        """Return one finding on all issues of one kind; the first are named."""
        first = issues[0]
        named = int(self.limit["named"])
        names = "; ".join(f"{issue.game_id}: {issue.description}" for issue in issues[:named])
        more = f"; and {len(issues) - named} more" if len(issues) > named else ""
        return self.finding(
            first.issue_type,
            Status.CRIT,
            f"{len(issues)} times {first.issue_type.replace('_', ' ')}: {names}{more}.",
            observed=len(issues),
            threshold=0,
            unit="rows",
            fix=first.statement + " -- then refresh these games",
        )
