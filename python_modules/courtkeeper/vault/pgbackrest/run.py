"""One run on a stanza: what is due is backed up, what there is is verified and judged, what may go goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from courtkeeper.findings import (
    ConfigurationError,
    CourtkeeperError,
    Finding,
    Result,
    Status,
    by_severity,
    worst,
)
from courtkeeper.vault.pgbackrest import archiving, expire, judge, verifying
from courtkeeper.vault.pgbackrest import info as infos
from courtkeeper.vault.pgbackrest import state as states
from courtkeeper.vault.pgbackrest.check import WORDS, unseen
from courtkeeper.vault.pgbackrest.command import Pgbackrest, PgbackrestError
from courtkeeper.vault.pgbackrest.due import due, unsound
from courtkeeper.vault.pgbackrest.info import Repository
from courtkeeper.vault.pgbackrest.look import Look, look
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.state import Reading

Kind = Literal["auto", "full", "diff", "incr"]
Progress = Callable[[int, int, str], None]
_CHECK_S = 600.0
_POLL_S = 0.5
_NO_STANZA = (infos.NO_PATH, infos.NO_DATA)


def backup(
    stanza: Stanza,
    *,
    kind: Kind = "auto",
    check_mode: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Back a stanza's server up into each repository as its calendar says, and judge what is there then.

    `kind`: that one now, whatever the calendar says. A repository that fails is a critical finding and keeps
    no other from its turn. `check_mode`: say what would be done, the plan of retention among it. Raises
    CourtkeeperError where pgBackRest or the server cannot be asked, BusyError where another run is at work.
    """
    begun = time.monotonic()
    program = Pgbackrest(stanza)
    if check_mode:
        run = _Run(program, now, progress, check=True)
        run.plan(kind)
    else:
        with states.alone(stanza):
            run = _Run(program, now, progress, check=False)
            _worked(stanza, run, kind)
    took = time.monotonic() - begun
    result = run.result
    result.findings = by_severity(result.findings)
    result.changed = bool(result.actions)
    result.metrics |= {
        "duration_s": round(took, 3),
        "pgbackrest_s": round(program.spent_s, 3),
        "own_s": round(took - program.spent_s, 3),
    }
    what = f"{len(result.actions)} things to do" if check_mode else f"{run.taken} backups taken"
    result.msg = f"{stanza.name}: {what}; {WORDS[worst(result.findings)]}."
    return result


def _worked(stanza: Stanza, run: _Run, kind: Kind) -> None:
    """Do what is due; what was done before an error goes with it, and what was read is remembered."""
    try:
        try:
            run.work(kind)
        except BaseException:
            with suppress(ConfigurationError):  # why it failed is told, and not this
                states.save(stanza, run.state)
            raise
        states.save(stanza, run.state)
    except CourtkeeperError as error:
        result = run.result
        result.findings = by_severity(result.findings)
        result.changed = bool(result.actions)
        error.partial = error.partial or (result if result.actions or result.findings else None)
        raise


class _Run:
    """The work of `backup`."""

    def __init__(
        self, program: Pgbackrest, now: Callable[[], datetime], progress: Progress, *, check: bool
    ) -> None:
        self._program, self._now, self._progress, self._check = program, now, progress, check
        self._stanza = program.stanza
        self.state = states.load(program.stanza)
        self.result = Result()
        self.taken = 0

    def plan(self, kind: Kind) -> None:
        """Say what a run would do."""
        try:
            seen = look(self._program, now=self._now())
        except PgbackrestError as error:  # before it is installed and configured there is nothing to ask
            self.result.actions.append(f"create the stanza {self._stanza.name} and take a full backup")
            finding = unseen(self._stanza, error)
            self.result.findings.append(_with(finding, Status.UNKNOWN))
            return
        if any(repository.code in _NO_STANZA for repository in seen.info.repositories):
            self.result.actions.append(f"create the stanza {self._stanza.name}")
        for repository in seen.info.repositories:
            if word := self._due(seen, repository, kind):
                self.result.actions.append(word[1])
            expiry = expire.planned(seen, repository.key)
            self.result.actions += expiry.actions()
            self._detail(seen, expiry)
        self.result.findings += judge.findings(seen, self.state)

    def work(self, kind: Kind) -> None:
        """Do what is due."""
        seen = self._created()
        blocked = archiving.refused(seen.server, self._stanza.name) if seen.server else None
        if blocked is not None:
            # Every backup would wait for its log to be archived, and fail after a minute.
            self.result.findings.append(_none_taken(self._stanza, blocked))
        else:
            self._backups(seen, kind)
            self._checked()
        for repository in seen.info.repositories:
            self._verified(seen, repository)
        seen = look(self._program, now=self._now())
        for repository in seen.info.repositories:
            self._expired(seen, repository)
        if any("expire " in action for action in self.result.actions):
            seen = look(self._program, now=self._now())
        self.result.findings += judge.findings(seen, self.state)
        self.result.metrics |= _sizes(seen)

    def _created(self) -> Look:
        """Look, and make the stanza where a repository has none.

        Another pgBackRest is waited for, such as a killed run's: what it takes is a good backup, too. Raises
        CourtkeeperError, also where it takes longer than one of ours may.
        """
        self._progress(0, 4, "looking at the stanza")
        hours = self._stanza.policy.timeout_hours
        deadline = time.monotonic() + hours * 3600
        while True:
            seen = look(self._program, now=self._now())
            if seen.server is None:
                raise CourtkeeperError(f"{self._stanza.name} cannot be backed up: {seen.unasked}")
            if not seen.info.busy and self._is_created(seen):
                return seen
            if time.monotonic() > deadline:
                raise CourtkeeperError(
                    f"another pgBackRest has been at work on {self._stanza.name} for {hours:g} hours: see "
                    "what it waits for (ps, pg_stat_activity), and end it"
                )
            self._progress(0, 4, "waiting for another pgBackRest")
            time.sleep(_POLL_S)

    def _is_created(self, seen: Look) -> bool:
        if not any(repository.code in _NO_STANZA for repository in seen.info.repositories):
            return True
        said = self._program.run("stanza-create", timeout_s=_CHECK_S)
        if said.code and not said.locked:
            raise PgbackrestError(f"pgbackrest stanza-create failed: {said.reason}")
        if not said.code:
            self.result.actions.append(f"create the stanza {self._stanza.name}")
        return False

    def _due(self, seen: Look, repository: Repository, kind: Kind) -> tuple[str, str] | None:
        """Return the backup that a repository is due for, and a sentence that says so."""
        if repository.code not in (infos.OK, infos.NO_BACKUP, *_NO_STANZA):
            return None
        if kind == "auto":
            found, why = due(seen.info.of(repository.key), self._stanza.policy, seen.now)
            if found is None:
                return None
        else:
            broken = unsound(seen.info.of(repository.key))
            found, why = ("full", broken) if broken else (kind, "as told")
        return found, f"take {_NAMES[found]} backup into repo{repository.key}: {why}"

    def _backups(self, seen: Look, kind: Kind) -> None:
        repositories = seen.info.repositories
        for number, repository in enumerate(repositories):
            word = self._due(seen, repository, kind)
            if word is None:
                continue
            self._progress(number, len(repositories) + 3, word[1])
            try:
                said = self._program.run("backup", f"--repo={repository.key}", f"--type={word[0]}")
            except PgbackrestError as error:
                self._failed(seen, repository, str(error))
                continue
            if said.code:
                self._failed(seen, repository, said.reason)
                continue
            self.taken += 1
            self.result.actions.append(word[1])

    def _failed(self, seen: Look, repository: Repository, reason: str) -> None:
        self.result.findings.append(
            Finding(
                id="pgbackrest.backup",
                subject=judge.subject(seen, repository.key),
                status=Status.CRIT,
                summary=f"The backup failed: {reason.rstrip('.')}.",
                fix="mend what it names and run the playbook again; the backups before are as they were",
            )
        )

    def _checked(self) -> None:
        """Let pgBackRest itself hand a segment through to each repository."""
        if not self.taken:
            return
        self._progress(1, 4, "checking archiving")
        try:
            said = self._program.run("check", timeout_s=_CHECK_S)
            problem = said.reason if said.code else ""
        except PgbackrestError as error:
            problem = str(error)
        self.result.findings.append(
            Finding(
                id="pgbackrest.check",
                subject=self._stanza.name,
                status=Status.CRIT if problem else Status.OK,
                summary=f"pgbackrest check fails: {problem.rstrip('.')}."
                if problem
                else "A segment went through to each repository.",
                fix="mend what it names" if problem else "",
            )
        )

    def _verified(self, seen: Look, repository: Repository) -> None:
        """Read a repository's files where that is due, by what it says and not by how it ends."""
        key, hours = repository.key, self._stanza.policy.verify_hours
        last = self.state.verified.get(str(key))
        # What was found damaged is read again: it may have been mended, and nobody trusts it meanwhile.
        young = last is not None and last.good and self._now() - last.at < timedelta(hours=hours)
        if not hours or young or repository.code not in (infos.OK, infos.NO_BACKUP, *_NO_STANZA):
            return
        self._progress(2, 4, f"reading repo{key}")
        try:
            said = self._program.run(
                "verify", f"--repo={key}", "--output=text", "--verbose", "--log-level-stderr=info"
            )
        except PgbackrestError as error:
            self.state.read(key, Reading(at=self._now(), good=None, problem=str(error)))
            return
        found = verifying.parsed(said.stdout + said.stderr)
        problem = said.reason if found.good is None else ""
        read = Reading(
            at=self._now(), good=found.good, files=found.files, log_lost=found.log_lost, problem=problem
        )
        if not found.good:
            self.state.read(key, read)
        self._marked(seen, key, found)
        self.state.read(key, read)  # a good one is read again, unless its marks are right, too

    def _marked(self, seen: Look, key: int, found: verifying.Verified) -> None:
        """Say beside each backup whether its files are damaged, for every host that reads the repository."""
        known = {backup.label for backup in seen.info.of(key) if backup.damaged}
        changed = [label for label in found.checked if (label in found.bad) != (label in known)]
        # What a killed backup left is read, too, and is none that could be marked.
        there = {backup.label for backup in self._listed().of(key)} if changed else set()
        for label in changed:
            if label not in there:
                continue
            value = infos.stamp(self._now()) if label in found.bad else ""
            self._program.ask(
                "annotate", f"--repo={key}", f"--set={label}", f"--annotation={infos.DAMAGED}={value}"
            )
            what = "mark" if value else "no longer mark"
            self.result.actions.append(f"{what} {label} in repo{key} as damaged")

    def _listed(self) -> infos.Info:
        return infos.parsed(self._program.ask("info", "--output=json"), self._stanza.name)

    def _expired(self, seen: Look, repository: Repository) -> None:
        if repository.code != infos.OK:
            return
        self._progress(3, 4, f"retention of repo{repository.key}")
        expiry = expire.planned(seen, repository.key)
        self._detail(seen, expiry)
        done, findings = expire.carried_out(self._program, seen, expiry)
        self.result.actions += done
        self.result.findings += findings

    def _detail(self, seen: Look, expiry: expire.Expiry) -> None:
        plans = self.result.details.setdefault("retention", [])
        plans.append(
            {
                "repository": judge.subject(seen, expiry.repository),
                "kept": [{"id": kept.id, "reasons": list(kept.reasons)} for kept in expiry.plan.keep],
                "removed": list(expiry.remove),
                "segments": expiry.segments,
                "window_from": expiry.plan.window_from.isoformat() if expiry.plan.window_from else "",
            }
        )


_NAMES = {"full": "a full", "diff": "a differential", "incr": "an incremental"}


def _none_taken(stanza: Stanza, blocked: Finding) -> Finding:
    return Finding(
        id="pgbackrest.backup",
        subject=stanza.name,
        status=Status.CRIT,
        summary=f"No backup was taken: {blocked.summary}",
        fix=blocked.fix,
    )


def _with(finding: Finding, status: Status) -> Finding:
    return msgspec.structs.replace(finding, status=status)


def _sizes(seen: Look) -> dict[str, float | int]:
    found: dict[str, float | int] = {}
    for repository in seen.info.repositories:
        backups = seen.info.of(repository.key)
        if backups:
            last = backups[-1]
            found[f"repo{repository.key}_backups"] = len(backups)
            found[f"repo{repository.key}_last_bytes"] = last.size
            found[f"repo{repository.key}_last_stored_bytes"] = last.stored
            found[f"repo{repository.key}_last_s"] = (last.taken_at - last.started_at).total_seconds()
    return found
