"""Settings that are not what their owner declares."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs
from courtkeeper.postgres.declared import SettingsDeclared, shown


class Drifted(msgspec.Struct, frozen=True):
    """A declared setting and what it is instead; `setting` is None where the server does not know it.

    `altered`: it comes from ALTER SYSTEM. `pending`: it was changed, and the restart is missing. `own`: the
    value is that of our own session, which sets it for itself.
    """

    name: str
    expected: str
    setting: str | None
    context: str
    readable: str | None
    altered: bool
    pending: bool
    own: bool


class ExpectedSettings(SettingsDeclared, Check[Drifted]):
    """Looks for settings that differ from `settings_expected`."""

    title = "settings that differ from what is declared"
    row = Drifted
    needs = Needs(monitor=True)

    def judge(self, row: Drifted) -> Finding:
        """Say both values in the words of a person."""
        wanted = shown(row.name, row.expected)
        if row.setting is None:
            return self.finding(
                row.name,
                Status.WARN,
                f"{row.name} is declared as {wanted}, but the server knows no such setting.",
                threshold=wanted,
                fix="-- mend the name in settings_expected, or load the extension that it belongs to",
            )
        if row.own:
            return self.finding(
                row.name,
                Status.SKIPPED,
                f"{row.name} is declared as {wanted}, but cannot be compared: this session sets its own.",
                threshold=wanted,
                fix="-- ask in a session of your own: SHOW " + row.name,
            )
        found = shown(row.name, row.readable or "")
        pending = "; a restart is pending" if row.pending else ""
        reset = f"ALTER SYSTEM RESET {row.name}; SELECT pg_reload_conf();"
        return self.finding(
            row.name,
            Status.WARN,
            f"{row.name} is {found}, but declared as {wanted}{pending}.",
            observed=found,
            threshold=wanted,
            fix=self._fix(row),
            undo=(self.alter(row.name, row.readable or "") if row.altered else reset)
            if self._fix(row)
            else "",
        )

    def _fix(self, row: Drifted) -> str:
        if row.context == "internal":
            return "-- it cannot be changed on a server that exists: change the declaration"
        statement = self.alter(row.name, row.expected)
        if not statement:
            return "-- set it in the configuration file, then SELECT pg_reload_conf(); it may hold a secret"
        return statement + (" -- then restart the server" if row.context == "postmaster" else "")
