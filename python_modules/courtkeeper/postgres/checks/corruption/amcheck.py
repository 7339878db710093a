"""Damaged tables and indexes: amcheck reads every page and compares every index with its table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Context, Needs, fetch, text_of
from courtkeeper.postgres.corruption import damage, pieces
from courtkeeper.postgres.corruption.damage import Judgement
from courtkeeper.postgres.corruption.pieces import Function, Relation
from courtkeeper.postgres.corruption.turns import Turns
from courtkeeper.postgres.corruption.workers import Ending, Workers
from courtkeeper.postgres.query import structs
from courtkeeper.postgres.settings import IntegritySettings

_SAVE_EVERY_S = 10.0
# Not what was locked or not reached: that is first in line next time.
_HAD_THEIR_TURN = {Ending.READ, Ending.DAMAGED, Ending.TOO_BIG, Ending.REFUSED}


class Amcheck(Check[Relation]):
    """Reads the database in parallel and within a budget of time; what it does not reach comes first next.

    As pg_amcheck, and beside it: the budget, the turns, and the damage laid to the relation that has it.
    """

    title = "damaged tables and indexes"
    row = Relation
    needs: ClassVar = Needs(extension="amcheck")

    def configure(self, settings: IntegritySettings) -> None:
        """Take the number of connections, the budget, and where to remember whose turn it is."""
        self._settings = settings

    def search(self, context: Context) -> Iterator[Finding]:
        """Read every page. Raises OperationalError where the server is lost, after what was found."""
        settings, server = self._settings, context.server
        with context.connection.transaction():
            relations: list[Relation] = fetch(context, self)
            asked = context.connection.execute(text_of(self.group, "amcheck.functions.sql").encode())
            functions = structs(asked, Function)
        turns = Turns(settings.state_directory, context.database, server.now)
        work = Workers(
            context.database,
            turns.order(
                pieces.split(relations, functions, unique=settings.corruption_unique),
                jobs=settings.workers,
                budget_s=settings.corruption_budget_s,
            ),
            jobs=settings.workers,
            budget_s=settings.corruption_budget_s,
            lock_timeout_s=settings.lock_timeout_s,
        )
        error = self._work(work, turns, context)
        judgements = damage.judge(
            work.outcomes,
            relations,
            functions,
            version=server.version,
            budget_s=settings.corruption_budget_s,
            role=server.grantee,
        )
        for judgement in judgements:
            if error and judgement.status is not Status.CRIT:
                continue  # of a server that was lost only what it said itself is told
            yield self._finding(judgement, server.database)
        if error:
            raise error

    def _finding(self, judgement: Judgement, database: str) -> Finding:
        return self.finding(
            judgement.relation.name if judgement.relation else database,
            judgement.status,
            judgement.summary,
            observed=judgement.observed,
            threshold=0 if judgement.status is Status.CRIT else None,
            unit=judgement.unit,
            fix=judgement.fix,
        )

    def _work(self, work: Workers, turns: Turns, context: Context) -> Exception | None:
        total = work.total
        noted = 0
        saved_at = time.monotonic()

        def each(done: int) -> None:
            nonlocal noted, saved_at
            context.tell(f"{self.title}: {done} of {total} read")
            for outcome in work.outcomes[noted:done]:
                if outcome.ending in _HAD_THEIR_TURN:
                    turns.had(outcome.piece)
            noted = done
            if time.monotonic() - saved_at > _SAVE_EVERY_S:
                turns.save()
                saved_at = time.monotonic()

        try:
            return work.run(each)
        finally:
            each(len(work.outcomes))
            turns.save()
