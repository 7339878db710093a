"""What the two checks for bloat share: an estimate is confirmed before anybody acts on it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered, ask
from courtkeeper.postgres.check import Check, Context, Limit, fetch
from courtkeeper.postgres.sizes import size


class Measured(msgspec.Struct, frozen=True):
    """What pgstattuple says: the part of the file that nothing needs, in %."""

    waste: float


class Swollen(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that may be bloated, by name, oid and bytes; `table_name` is what ANALYZE reads for it.

    `waste` is estimated in %, None where no statistics allow that; `tool_schema` is where pgstattuple is
    installed, quoted.
    """

    name: str
    table_name: str
    oid: int
    bytes: int
    waste: float | None
    fillfactor: int
    tool_schema: str | None


def bloat_limits(min_mb: float) -> dict[str, Limit]:
    """Return the limits of a check for bloat of relations over `min_mb`."""
    return {
        "warn": Limit(70, "% of the file", "Netdata"),
        "crit": Limit(80, "% of the file", "Netdata"),
        "min_mb": Limit(min_mb, "MB", "Netdata"),
        "confirm_mb": Limit(4096, "MB", "what is read in about ten seconds; a bigger one stays an estimate"),
        "confirm_s": Limit(20, "s for one relation", "as long as one statement of a check should take"),
    }


class Bloat(Check[Swollen]):
    """Takes candidates by estimate and confirms each with pgstattuple where that is there and cheap."""

    row = Swollen

    def search(self, context: Context) -> Iterator[Finding]:
        """Yield the confirmed, then what could not be confirmed as unknown."""
        with context.connection.transaction():
            rows = fetch(context, self)
        for row in rows:
            context.tell(f"{self.title}: {row.name}")
            try:
                measured = self.measure(context, row)
            except Unanswered as missing:
                yield self.unconfirmed(row, missing)
                continue
            if (status := self.graded(measured.waste)) is not Status.OK:
                yield self.confirmed(row, measured.waste, status)

    def question(self, row: Swollen) -> str:
        """Return the statement that measures (one row, `waste`), of `%(oid)s` and `%(fillfactor)s`."""
        raise NotImplementedError

    def mend(self, row: Swollen) -> str:
        """Return the statement that makes it small again."""
        raise NotImplementedError

    def measure(self, context: Context, row: Swollen) -> Measured:
        """Return what pgstattuple says. Raises Unanswered where it cannot be asked."""
        if row.tool_schema is None:
            raise Unanswered(
                Status.UNKNOWN, "the extension pgstattuple is missing", "CREATE EXTENSION pgstattuple;"
            )
        if row.bytes > self.limit["confirm_mb"] * 1048576:
            why = f"it is over {self.limit['confirm_mb']:g} MB"
            raise Unanswered(Status.UNKNOWN, why, f"raise the threshold {self.group}.{self.name}.confirm_mb")
        (measured,) = ask(
            context,
            self.question(row),
            {"oid": row.oid, "fillfactor": row.fillfactor},
            Measured,
            timeout_s=self.limit["confirm_s"],
        )
        return measured

    def confirmed(self, row: Swollen, waste: float, status: Status) -> Finding:
        """Return the finding of a relation that was measured."""
        return self.finding(
            row.name,
            status,
            f"{waste:.0f} % of {row.name} ({size(row.bytes)}) is bloat: "
            f"{size(row.bytes * waste / 100)} that every read and backup pays for.",
            observed=round(waste, 1),
            threshold=self.limit.get(status),
            unit="%",
            fix=self.mend(row),
        )

    def unconfirmed(self, row: Swollen, missing: Unanswered) -> Finding:
        """Return the finding of a relation of which there is an estimate at most."""
        name = row.name
        if row.waste is None:
            return self.finding(
                name,
                Status.UNKNOWN,
                f"Whether {name} ({size(row.bytes)}) is bloated cannot be said: its columns have no "
                f"statistics that can be read, and it was not measured: {missing.why}.",
                fix=f"ANALYZE {row.table_name};",
            )
        return self.finding(
            name,
            Status.UNKNOWN,
            f"By estimate {row.waste:.0f} % of {name} ({size(row.bytes)}) is bloat; "
            f"not confirmed: {missing.why}.",
            observed=row.waste,
            threshold=self.limit["warn"],
            unit="%",
            fix=missing.fix,
        )
