"""How passwords are kept."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class WeakHash(msgspec.Struct, frozen=True):
    """A role and the kind of hash of its password; never the hash."""

    role: str
    quoted: str
    kind: str


class PasswordHashes(Check[WeakHash]):
    """Looks for passwords that are not kept as SCRAM-SHA-256."""

    title = "weakly hashed passwords"
    row = WeakHash
    needs = Needs(superuser=True)

    def judge(self, row: WeakHash) -> Finding:
        """A warning: the hash alone is enough to log in where pg_hba.conf says md5."""
        return self.finding(
            row.role,
            Status.WARN,
            f"The password of {row.role} is kept as {row.kind}: whoever reads a backup can log in with it.",
            observed=row.kind,
            threshold="SCRAM-SHA-256",
            fix=f"-- set password_encryption to scram-sha-256, then give {row.quoted} its password anew by "
            "\\password in psql (which sends no clear text)",
        )
