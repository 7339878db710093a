"""Prove a physical backup: restore it to scratch, let it replay its log, write to it, look at every page.

The scratch is a directory of a random name that nobody can pass in, and it is destroyed whatever happens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from courtkeeper import __version__
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status
from courtkeeper.vault.drill import findings as said
from courtkeeper.vault.drill import scratch
from courtkeeper.vault.drill.clone import amcheck
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.pgbackrest import info as infos
from courtkeeper.vault.pgbackrest import recover
from courtkeeper.vault.pgbackrest import state as states
from courtkeeper.vault.pgbackrest.command import Pgbackrest
from courtkeeper.vault.pgbackrest.look import look
from courtkeeper.vault.pgbackrest.owner import entry
from courtkeeper.vault.pgbackrest.recover import Point
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.state import Rate
from courtkeeper.vault.proofs import Check, Proof, plain
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target

Progress = Callable[[int, int, str], None]


def drill(
    stanza: Stanza,
    policy: DrillPolicy,
    *,
    until: str = "",
    repository: int = 0,
    label: str = "",
    check_mode: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Recover a stanza to `until` (empty: as far as its log goes) from its newest good backup, or `label`.

    Measured are RTO (to the first committed write) and RPO (the age of the last transaction that came back).
    A backup that came up and has no fault is marked as proven, where it lies. Raises ConfigurationError where
    there is nothing to drill, BusyError where another drill is at work.
    """
    with states.alone(stanza, "drill"):
        drilled_at, begun = now(), time.monotonic()
        program = Pgbackrest(stanza)
        point = recover.choose(
            look(program, now=drilled_at), recover.moment(until), repository=repository, label=label
        )
        if check_mode:
            text = f"restore {point.text} into a scratch server, check and destroy it"
            return Result(changed=True, actions=[text], msg=f"would {text}")
        run = _Drill(program, policy, point, drilled_at, begun)
        progress(0, 1, f"drilling {point.text}")
        run.work()
        progress(1, 1, "done")
    return run.result


class _Drill:
    """The work of `drill`."""

    def __init__(
        self, program: Pgbackrest, policy: DrillPolicy, point: Point, drilled_at: datetime, begun: float
    ) -> None:
        self._program, self._policy, self._point = program, policy, point
        self._stanza = program.stanza
        self._drilled_at, self._begun = drilled_at, begun
        self._checks: list[Check] = []
        self.result = Result()

    def work(self) -> None:
        """Drill, and say what came of it."""
        stanza, point = self._stanza, self._point
        parent = stanza.scratch_directory or self._policy.scratch_directory
        name = f"pg-{stanza.name.lower()}"
        who = entry(stanza.owner)
        owner = (who.pw_uid, who.pw_gid) if who else None
        for path in scratch.remove_leftovers(parent, name, owner):
            self.result.actions.append(f"removed {path}, which a killed drill had left")
        subject = f"{stanza.name}/{point.backup.label}"
        try:
            with scratch.directory(parent, name, owner) as path:
                proof = self._recovered(path)
        except CourtkeeperError as error:
            self.result.findings.append(said.failed(subject, str(error)))
            self.result.msg = f"drilled {point.text}: it cannot be restored"
        else:
            self._told(proof)
        self.result.changed = bool(self.result.actions)
        self.result.metrics["duration_s"] = round(time.monotonic() - self._begun, 3)

    def _recovered(self, path: Path) -> Proof:
        data = path / "data"
        stanza, backup = self._stanza, self._point.backup
        version = backup.archive.rpartition("-")[0]
        bin_directory = recover.programs(stanza, version)
        recover.restored(self._program, self._point, data)
        restore_s = time.monotonic() - self._begun
        timeout_s = stanza.policy.timeout_hours * 3600
        with recover.serving(stanza, data, bin_directory, scratch=path, timeout_s=timeout_s) as target:
            last = _written(target) or backup.taken_at
            rto_s = time.monotonic() - self._begun
            self._checks.append(
                Check(name="restore", passed=True, sentence=f"recovered and written to in {rto_s:.1f} s")
            )
            names = _databases(target)
            if self._policy.amcheck:
                self._checks += [amcheck(target, each) for each in names]
        newest = self._point.until is None and not self._point.alone
        return Proof(
            vault=stanza.name,
            source=stanza.name,
            backup=backup.label,
            taken_at=backup.taken_at,
            drilled_at=self._drilled_at,
            destination=f"repo{backup.repository}",
            host=os.uname().nodename,
            newest=newest,
            passed=all(check.passed is not False for check in self._checks),
            plain_bytes=backup.size,
            restore_s=round(restore_s, 3),
            rate_bytes_s=round(backup.size / restore_s) if restore_s else 0,
            rto_s=round(rto_s, 3),
            rpo_s=round(max((self._drilled_at - last).total_seconds(), 0), 3) if newest else None,
            rpo_from="log" if newest else None,
            checks=self._checks,
            software={"courtkeeper": __version__, "pgbackrest": self._program.version, "postgres": version},
        )

    def _told(self, proof: Proof) -> None:
        """Mark what was proven where it lies, remember how long it took, and judge."""
        stanza, point = self._stanza, self._point
        result = self.result
        if point.gap:
            result.findings.append(
                Finding(
                    id="drill.log",
                    subject=f"{proof.source}/{proof.backup}",
                    status=Status.CRIT,
                    summary=f"It came up, but without what was committed later: {point.gap}.",
                    fix="take a backup now, and look for who removed it",
                )
            )
        if proof.passed:
            self._program.ask(
                "annotate", f"--repo={point.backup.repository}", f"--set={point.backup.label}",
                f"--annotation={infos.PROVEN}={infos.stamp(self._drilled_at)}",
            )  # fmt: skip
            result.actions.append(f"proved {point.text}")
        known = states.load(stanza)
        known.restored(Rate(at=self._drilled_at, size=point.backup.size, seconds=proof.rto_s or 0))
        states.save(stanza, known)
        result.findings += said.of_proof(proof, self._policy)
        for name in ("rto_s", "rpo_s", "restore_s"):
            if (value := getattr(proof, name)) is not None:
                result.metrics[name] = value
        result.details["drills"] = [plain(proof)]
        state = "proven" if proof.passed else "not what it should be"
        result.msg = f"drilled {point.text} in {proof.rto_s:.1f} s: {state}"


def _written(target: Target) -> datetime | None:
    """Write something and take it away; return when the last transaction that came back was committed."""
    with target.connected() as connection:
        row = connection.execute("SELECT pg_last_xact_replay_timestamp()").fetchone()
        connection.execute("CREATE SCHEMA courtkeeper_drill")
        connection.execute("CREATE TABLE courtkeeper_drill.written AS SELECT now() AS at")
        connection.execute("DROP SCHEMA courtkeeper_drill CASCADE")
    last = row[0] if row else None
    return last if isinstance(last, datetime) else None


def _databases(target: Target) -> list[str]:
    with target.connected() as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
        ).fetchall()
    if not rows:
        raise RestoreError("the recovered server has no database")
    return [str(row[0]) for row in rows]
