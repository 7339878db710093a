"""Roles that may do more than their work needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check
from courtkeeper.postgres.settings import IntegritySettings


class PrivilegedRole(msgspec.Struct, frozen=True):
    """A role that can log in, and those of its attributes that go beyond its databases."""

    role: str
    quoted: str
    superuser: bool
    attributes: list[str]


class PrivilegedRoles(Check[PrivilegedRole]):
    """Looks for superusers and the like that are neither the cluster's first role nor `expected`."""

    title = "unexpected roles with special rights"
    row = PrivilegedRole
    expected: Sequence[str] = ()

    def configure(self, settings: IntegritySettings) -> None:
        """Take the names of the roles that may have such rights."""
        self.expected = settings.roles_expected

    def parameters(self) -> Mapping[str, Any]:
        """Return the names of the roles that may have such rights as a JSON array."""
        return {"expected": json.dumps(list(self.expected))}

    def judge(self, row: PrivilegedRole) -> Finding:
        """A superuser is critical: he can read and run everything, on the host as well."""
        words = " ".join(row.attributes)
        return self.finding(
            row.role,
            Status.CRIT if row.superuser else Status.WARN,
            f"The role {row.role} can log in and has {words.replace(' ', ', ')}.",
            observed=words,
            fix=f"ALTER ROLE {row.quoted} {' '.join(f'NO{word}' for word in row.attributes)}; "
            "-- or name it in roles_expected",
            undo=f"ALTER ROLE {row.quoted} {words};",
        )
