"""Constraints that were never validated (pg-index-health)."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check

_KINDS = {"f": "foreign key", "c": "check", "n": "not-null constraint"}


class NotValidConstraint(msgspec.Struct, frozen=True):
    """A constraint of a table or domain (`object_kind`); `kind` is the catalog's letter."""

    object_name: str
    constraint_name: str
    object_kind: str
    kind: str


class NotValid(Check[NotValidConstraint]):
    """Looks for constraints that the rows from before them were never held against."""

    title = "constraints that are not valid"
    row = NotValidConstraint

    def judge(self, row: NotValidConstraint) -> Finding:
        """Validating takes no lock that readers or writers wait for."""
        return self.finding(
            f"{row.object_name}.{row.constraint_name}",
            Status.WARN,
            f"The {_KINDS.get(row.kind, 'constraint')} {row.constraint_name} on {row.object_name} was never "
            "validated: rows from before it may break it.",
            fix=f"ALTER {row.object_kind} {row.object_name} VALIDATE CONSTRAINT {row.constraint_name}; "
            "-- fails and names a row where one breaks it",
        )
