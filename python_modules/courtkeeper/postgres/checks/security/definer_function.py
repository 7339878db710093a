"""SECURITY DEFINER functions: a caller borrows their owner's rights."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class DefinerFunction(msgspec.Struct, frozen=True):
    """A function; `open_path`: the caller chooses its search_path; `anybody`: PUBLIC may run it."""

    function: str
    schema: str
    owner: str
    superuser: bool
    open_path: bool
    anybody: bool


class DefinerFunctions(Check[DefinerFunction]):
    """Looks for such functions that a caller can turn against their owner."""

    title = "functions with SECURITY DEFINER that can be misused"
    row = DefinerFunction

    def judge(self, row: DefinerFunction) -> Finding:
        """Critical where any role can make a superuser's function run what it likes."""
        wrong, fix, undo = [], [], []
        if row.open_path:
            wrong.append("has no search_path of its own")
            fix.append(f"ALTER ROUTINE {row.function} SET search_path = pg_catalog, {row.schema}, pg_temp;")
            undo.append(f"ALTER ROUTINE {row.function} RESET search_path;")
        if row.anybody:
            wrong.append("may be run by every role")
            fix.append(f"REVOKE EXECUTE ON ROUTINE {row.function} FROM PUBLIC;")
            undo.append(f"GRANT EXECUTE ON ROUTINE {row.function} TO PUBLIC;")
        rights = f"{row.owner}{', a superuser' if row.superuser else ''}"
        remark = " -- grant EXECUTE to the roles that need it" if row.anybody else ""
        return self.finding(
            row.function,
            Status.CRIT if row.superuser and row.open_path and row.anybody else Status.WARN,
            f"The function {row.function} runs with the rights of {rights}, and {' and '.join(wrong)}.",
            observed=", ".join(wrong),
            fix=" ".join(fix) + remark,
            undo=" ".join(undo),
        )
