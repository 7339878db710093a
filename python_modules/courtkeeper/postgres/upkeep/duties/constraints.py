"""Constraints that were added NOT VALID."""

from __future__ import annotations

from courtkeeper.findings import Finding
from courtkeeper.postgres.checks.structure.not_valid import NotValidConstraint
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.task import Task


class Constraints(Duty[NotValidConstraint]):
    """Constraints are held against the rows from before them; where a row breaks one, it is left."""

    name = "constraints"
    asks = "structure.not_valid"

    def task(self, row: NotValidConstraint, finding: Finding) -> Task:
        """It reads the table without a lock that readers or writers wait for."""
        return Task(
            kind="validate",
            rank=5,
            text=f"validate the constraint {row.constraint_name} of {row.object_name}",
            statements=(
                f"ALTER {row.object_kind} {row.object_name} VALIDATE CONSTRAINT {row.constraint_name}",
            ),
            found=finding,
            relation=row.object_name if row.object_kind == "TABLE" else "",
            undo="-- nothing to take back: the constraint is as it was, and known to hold",
        )
