"""Schemas that are open to everybody."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class OpenSchema(msgspec.Struct, frozen=True):
    """A schema in which PUBLIC may create."""

    schema: str
    quoted: str


class PublicSchemas(Check[OpenSchema]):
    """Looks for schemas in which every role may create objects (CVE-2018-1058)."""

    title = "schemas in which everybody may create"
    row = OpenSchema

    def judge(self, row: OpenSchema) -> Finding:
        """A warning: a function placed there may be run by somebody with more rights."""
        return self.finding(
            row.schema,
            Status.WARN,
            f"Every role may create objects in the schema {row.schema}, and others may run them unknowingly.",
            observed="CREATE to PUBLIC",
            fix=f"REVOKE CREATE ON SCHEMA {row.quoted} FROM PUBLIC;",
            undo=f"GRANT CREATE ON SCHEMA {row.quoted} TO PUBLIC;",
        )
