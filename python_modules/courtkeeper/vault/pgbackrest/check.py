"""Every finding about a stanza that can be had without reading its files or changing anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from courtkeeper.findings import CourtkeeperError, Finding, Result, Status, by_severity, worst
from courtkeeper.vault.pgbackrest import judge, state
from courtkeeper.vault.pgbackrest.command import Pgbackrest
from courtkeeper.vault.pgbackrest.look import look
from courtkeeper.vault.pgbackrest.settings import Stanza


def check(stanzas: Sequence[Stanza], *, now: datetime) -> Result:
    """Look at stanzas and judge them. One that cannot be looked at is a finding, and hides no other."""
    begun = time.monotonic()
    findings: list[Finding] = []
    backups = 0
    for stanza in stanzas:
        program = Pgbackrest(stanza)
        try:
            seen = look(program, now=now)
        except CourtkeeperError as error:
            findings.append(unseen(stanza, error))
        else:
            backups += len(seen.info.backups)
            findings += judge.findings(seen, state.load(stanza))
    names = ", ".join(stanza.name for stanza in stanzas)
    return Result(
        findings=by_severity(findings),
        metrics={"duration_s": round(time.monotonic() - begun, 3), "physical_backups": backups},
        msg=f"{backups} physical backups of {names}: {WORDS[worst(findings)]}.",
    )


WORDS = {
    Status.OK: "all well",
    Status.SKIPPED: "not all could be looked at",
    Status.UNKNOWN: "not all could be judged",
    Status.WARN: "something should be looked at",
    Status.CRIT: "something is wrong",
}


def unseen(stanza: Stanza, error: CourtkeeperError) -> Finding:
    """Return the finding about a stanza that pgBackRest cannot be asked for."""
    return Finding(
        id="pgbackrest.stanza",
        subject=stanza.name,
        status=Status.CRIT,
        summary=f"Its backups cannot be looked at: {str(error).rstrip('.')}.",
        fix="mend pgBackRest's configuration, or run this as the user that archives (postgres)",
    )
