"""Errors in the configuration files: from the next restart on, the server may not start."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class FileError(msgspec.Struct, frozen=True):
    """A line and what is wrong with it."""

    file: str
    line: int
    name: str
    error: str


class FileErrors(Check[FileError]):
    """Looks for lines in the configuration files that the server refuses."""

    title = "errors in the configuration files"
    row = FileError
    needs = Needs(view="pg_file_settings")

    def judge(self, row: FileError) -> Finding:
        """Critical: a reload ignores the whole file, a restart fails."""
        return self.finding(
            f"{row.file}:{row.line}",
            Status.CRIT,
            f"Line {row.line} of {row.file}{f' ({row.name})' if row.name else ''} cannot be used: "
            f"{row.error}. A reload takes nothing from the files, and the server may not start again.",
            observed=row.name,
            fix=f"ALTER SYSTEM RESET {row.name}; SELECT pg_reload_conf();"
            if row.file.endswith("postgresql.auto.conf") and row.name
            else f"-- mend line {row.line} of {row.file}, then SELECT pg_reload_conf();",
        )
