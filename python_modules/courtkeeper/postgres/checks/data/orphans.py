"""Rows whose foreign key leads nowhere: a disabled trigger, a restore or a corruption let them in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered, ask
from courtkeeper.postgres.check import Check, Context, Limit, fetch

_LISTED = 10
_BATCH = 100  # small tables that one statement asks about: thousands cost more in round trips than to read


class ForeignKey(msgspec.Struct, frozen=True):
    """A foreign key with the statements that the server wrote for it; `is_small`: a table of 1 MB at most."""

    name: str
    table_name: str
    parent_name: str
    aside: str
    is_small: bool
    question: str
    fix: str
    undo: str
    columns: str


class Orphan(msgspec.Struct, frozen=True):
    """How many rows there are in all of one foreign key, and the values of one of them as a JSON array."""

    key_number: int
    orphans: int
    key: str


class Orphans(Check[ForeignKey]):
    """Holds every row against every foreign key, as the constraint's triggers should have done."""

    title = "orphans of a foreign key"
    row = ForeignKey
    limits: ClassVar = {
        "named": Limit(5, "rows of each foreign key", "as many as a person reads"),
        "budget_s": Limit(120, "s for all foreign keys", "a nightly check should not take the night"),
    }

    def search(self, context: Context) -> Iterator[Finding]:
        """Ask of each foreign key, the smallest table first, until the time is up."""
        end = time.monotonic() + self.limit["budget_s"]
        with context.connection.transaction():
            keys = fetch(context, self)
        for batch, reached in batches(keys):
            if time.monotonic() >= end:
                yield self.not_reached(context, keys[reached:])
                return
            context.tell(f"orphans of {batch[0].name} ({reached + 1} of {len(keys)})")
            yield from self.asked(context, batch, end)

    def asked(self, context: Context, batch: list[ForeignKey], end: float) -> Iterator[Finding]:
        """Ask about some foreign keys at once, or about each where that cannot be answered."""
        statement = " UNION ALL ".join(
            f"(SELECT {number} AS key_number, o.* FROM ({key.question}) o LIMIT {int(self.limit['named'])})"  # noqa: S608 # written by the server
            for number, key in enumerate(batch)
        )
        try:
            orphans = ask(context, statement, None, Orphan, timeout_s=end - time.monotonic())
        except Unanswered as missing:
            if len(batch) == 1:
                yield self.unasked(batch[0], missing)
                return
            for key in batch:
                yield from self.asked(context, [key], end)
            return
        for number, rows in groupby(orphans, key=lambda orphan: orphan.key_number):
            yield self.orphaned(batch[number], list(rows))

    def orphaned(self, key: ForeignKey, rows: list[Orphan]) -> Finding:
        """Return the finding of a foreign key that rows break."""
        count = rows[0].orphans
        named = ", ".join(row.key for row in rows)
        more = f" and {count - len(rows):,} more" if count > len(rows) else ""
        return self.finding(
            key.name,
            Status.CRIT,
            f"{count:,} rows of {key.table_name} lead to no row of {key.parent_name}: ({key.columns}) = "
            f"{named}{more}.",
            observed=count,
            threshold=0,
            unit="rows",
            fix=f"{key.fix} -- moves them to {key.aside}; better: bring their parents back",
            undo=f"{key.undo} -- once their parents are back",
        )

    def unasked(self, key: ForeignKey, missing: Unanswered) -> Finding:
        """Return the finding of a foreign key that could not be asked about."""
        return self.finding(
            key.name,
            missing.status,
            f"Orphans of {key.name} were not looked for: {missing.why}.",
            fix=missing.fix,
        )

    def not_reached(self, context: Context, keys: list[ForeignKey]) -> Finding:
        """Return one finding on all that the time did not reach."""
        names = ", ".join(key.name for key in keys[:_LISTED])
        more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
        return self.finding(
            context.server.database,
            Status.SKIPPED,
            f"Orphans of {len(keys)} foreign keys were not looked for, the time was up: {names}{more}.",
            observed=len(keys),
            threshold=self.limit["budget_s"],
            unit="s",
            fix="raise the threshold data.orphans.budget_s",
        )


def batches(keys: list[ForeignKey]) -> Iterator[tuple[list[ForeignKey], int]]:
    """Yield the foreign keys in order, small tables many at a time, with how many came before."""
    reached = 0
    while reached < len(keys):
        small = [key for key in keys[reached : reached + _BATCH] if key.is_small]
        batch = small or [keys[reached]]
        yield batch, reached
        reached += len(batch)
