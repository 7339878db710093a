"""Passwords that end: a role that cannot log in any more is an outage."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class Expiry(msgspec.Struct, frozen=True):
    """A role and the days until its password ends; None: it never does. `until` is in UTC."""

    role: str
    quoted: str
    days: float | None
    until: str | None


class PasswordExpiry(Check[Expiry]):
    """Looks for passwords that have ended, end soon or, where asked, never end."""

    title = "passwords near their expiry"
    row = Expiry
    limits: ClassVar = {
        "days": Limit(14, "days", "Courtkeeper: time to change it everywhere"),
        "required": Limit(0, "0 or 1", "1 where a policy asks for an expiry on every password"),
    }

    def judge(self, row: Expiry) -> Finding:
        """Critical where it has ended, else a warning."""
        if row.days is None:
            summary = f"The password of {row.role} never expires, and the policy asks for an expiry."
        elif row.days < 0:
            summary = f"The password of {row.role} expired on {row.until} UTC: it cannot log in with it."
        else:
            summary = f"The password of {row.role} expires on {row.until} UTC, in {row.days:.0f} days."
        until = "'<date>'; -- put the date in" if row.days is None else "'infinity'; -- or the next date"
        return self.finding(
            row.role,
            Status.CRIT if row.days is not None and row.days < 0 else Status.WARN,
            summary,
            observed=None if row.days is None else round(row.days, 1),
            threshold=self.limit["days"],
            unit="days",
            fix=f"{'-- ' if row.days is None else ''}ALTER ROLE {row.quoted} VALID UNTIL {until} "
            "after changing the password",
            undo=f"ALTER ROLE {row.quoted} VALID UNTIL '{f'{row.until} UTC' if row.until else 'infinity'}';",
        )
