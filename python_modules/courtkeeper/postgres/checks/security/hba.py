"""Who is let in, and on what proof: pg_hba.conf."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class Rule(msgspec.Struct, frozen=True):
    """One line of the file. `here`: only from this machine; `anywhere`: from every address."""

    file: str
    line: int
    type: str
    databases: str
    roles: str
    address: str
    method: str
    error: str | None
    here: bool | None
    anywhere: bool | None


class HostRules(Check[Rule]):
    """Looks for rules that let somebody in without proof, or in a way that can be overheard."""

    title = "careless rules in pg_hba.conf"
    row = Rule
    needs = Needs(view="pg_hba_file_rules", monitor=True)

    def judge(self, row: Rule) -> Finding:
        """The worst that can be said of one line."""
        status, wrong, mend = _verdict(row)
        rule = " ".join(filter(None, (row.type, row.databases, row.roles, row.address, row.method)))
        return self.finding(
            f"{row.file}:{row.line}",
            status,
            f"Line {row.line} of {row.file} ({rule or 'cannot be read'}) {wrong}.",
            observed=row.method or "error",
            fix=f"-- {mend} in line {row.line} of {row.file}, then SELECT pg_reload_conf();",
        )


def _verdict(row: Rule) -> tuple[Status, str, str]:
    if row.error is not None and row.type:  # it was read, and the server says that it can never apply
        return Status.WARN, f"lets nobody in ({row.error})", "mend or remove the rule"
    if row.error is not None:
        return Status.CRIT, f"is wrong ({row.error}): no reload takes the file until it is mended", "mend it"
    plain = row.type in ("host", "hostnossl")
    if row.method == "trust":
        if row.here:
            return Status.WARN, "lets everybody on this machine in without a password", "write scram-sha-256"
        return Status.CRIT, "lets others in without a password", "write scram-sha-256"
    if row.method == "password":
        if plain and not row.here:
            return Status.CRIT, "has passwords sent in the clear", "write hostssl and scram-sha-256"
        return Status.WARN, "hands the server passwords in the clear", "write scram-sha-256"
    if row.anywhere and plain:
        return (
            Status.WARN,
            "lets every address try, without encryption",
            "write hostssl and the network that needs it",
        )
    return Status.WARN, "still takes MD5 passwords", "write scram-sha-256 (after the passwords are set anew)"
