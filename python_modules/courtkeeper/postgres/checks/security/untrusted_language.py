"""Untrusted languages."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class UntrustedLanguage(msgspec.Struct, frozen=True):
    """A language and how many functions are written in it."""

    language: str
    functions: int
    remove: str
    create_again: str


class UntrustedLanguages(Check[UntrustedLanguage]):
    """Looks for procedural languages that have no bounds."""

    title = "untrusted languages"
    row = UntrustedLanguage

    def judge(self, row: UntrustedLanguage) -> Finding:
        """A warning: only superusers may write such functions, and whoever runs them acts as the server."""
        return self.finding(
            row.language,
            Status.WARN,
            f"The untrusted language {row.language} is installed ({row.functions} functions): code in it may "
            "do on the host whatever the server may.",
            observed=row.functions,
            unit="functions",
            fix=f"{row.remove} -- refused while functions need it",
            undo=row.create_again,
        )
