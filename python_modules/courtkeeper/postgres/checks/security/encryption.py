"""Encryption on the way to the server, and of new passwords."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class WeakSetting(msgspec.Struct, frozen=True):
    """A setting, its value and, for `ssl`, where the server listens."""

    name: str
    setting: str
    listens: str
    fix: str
    undo: str


class Encryption(Check[WeakSetting]):
    """Looks for a server that others reach without TLS, and for MD5 as the form of new passwords."""

    title = "settings that leave passwords or data open"
    row = WeakSetting

    def judge(self, row: WeakSetting) -> Finding:
        """A warning each: the network may be protected otherwise."""
        no_tls = row.name == "ssl"
        return self.finding(
            row.name,
            Status.WARN,
            f"ssl is off and the server listens on {row.listens}: queries and results can be overheard."
            if no_tls
            else f"password_encryption is {row.setting}: new passwords are kept in a weak form.",
            observed=row.setting,
            threshold="on" if no_tls else "scram-sha-256",
            fix=row.fix + (" -- with ssl_cert_file and ssl_key_file in place" if no_tls else ""),
            undo=row.undo,
        )
