"""The recovery of a host, in four calls: between them the role installs packages and starts services.

`begin` judges and chooses, and changes nothing but the journal; `configuration` brings trees of files back;
`data` fills Postgres and Redis; `finish` asks the platform whether it answers, and measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from pyrage import x25519

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.vault.destinations import destination
from courtkeeper.vault.findings import lasted
from courtkeeper.vault.lock import alone
from courtkeeper.vault.policy import policy_from
from courtkeeper.vault.problems import unreachable
from courtkeeper.vault.recovery import contents, journal, plan
from courtkeeper.vault.recovery.host import ROLE, Host, held, require_root
from courtkeeper.vault.recovery.journal import Journal
from courtkeeper.vault.recovery.plan import Chosen, Plan
from courtkeeper.vault.recovery.wish import Wish
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.former import former
from courtkeeper.vault.restore.request import Request
from courtkeeper.vault.restore.run import restore
from courtkeeper.vault.settings import PostgresSource, RedisSource, SourceSettings, VaultSettings

_STEP = {"files": "configuration", "postgres": "database", "redis": "cache"}
_ASK_S = 5.0
_EVERY_S = 0.2
# Moments this far apart are told: a cache of another moment than its database holds pages of that moment.
_APART_S = 3600.0


class Recovery:
    """One recovery of this host. `host`, `now` and `progress` are handed in by who tests it."""

    def __init__(
        self,
        settings: VaultSettings,
        wish: Wish,
        opening: Sequence[x25519.Identity],
        *,
        host: Host | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        progress: Callable[[int, int, str], None] = lambda _done, _total, _text: None,
    ) -> None:
        if not settings.state_directory:
            raise ConfigurationError("state_directory is empty: a recovery keeps its journal there; name one")
        require_root()
        self._settings, self._wish, self._opening = settings, wish, list(opening)
        self._host, self._now, self._progress = host or Host(), now, progress
        self._policy = policy_from(settings.policy).drill
        self.result = Result()

    def begin(self, *, check_mode: bool = False) -> Result:
        """Choose the backups, and see that all of it can be done, before anything is changed.

        `details`: `needed` (false where this host was recovered), `packages`, `services`, `plan` (sentences).
        Raises ConfigurationError where it is refused.
        """
        with alone(self._settings, "recovery"):
            known = journal.read(self._settings)
            if known and known.finished_at:
                return self._nothing_left(known)
            began = journal.moment()
            places = {entry.name: destination(entry) for entry in self._settings.destinations}
            seen = plan.load(self._settings, places)
            found = plan.made(self._settings, self._wish, seen, known.backups if known else {})
            plan.require_keys(found, places, self._wish, self._opening)
            if not known:
                plan.require_empty(found, self._wish, self._host)
                plan.require_room(found, self._host)
            self.result.findings += unreachable(seen)
            self._tell_losses(found)
            self.result.actions = plan.lines(found, self._wish, places, seen, self._now())
            self.result.changed = True
            self.result.details = {
                "needed": True,
                "packages": list(found.packages),
                "services": list(found.services),
                "locales": list(found.locales),
                "plan": list(self.result.actions),
                "backups": {each.source.name: each.backup.id for each in found.chosen},
            }
            taken = ", ".join(f"{each.source.name} {each.backup.id}" for each in found.chosen)
            self.result.msg = f"{'would rebuild' if check_mode else 'rebuilding'} this host from {taken}"
            if not check_mode:
                self._begun(found, known, began)
        return self.result

    def configuration(self) -> Result:
        """Bring the trees of files back. What packages put there meanwhile is not kept."""
        with alone(self._settings, "recovery"):
            known, found = self._underway("packages")
            for each in found.of("files"):
                if not known.is_done(each.source.name):
                    for path in each.paths:
                        self._restored(known, each, path=path, replace=(path,))
                    self._did(known, each)
        return self._told(known)

    def data(self) -> Result:
        """Fill Postgres and Redis. Raises CourtkeeperError where it fails; a next try goes on from there."""
        with alone(self._settings, "recovery"):
            known, found = self._underway("services")
            for each in found.of("postgres"):
                if not known.is_done(each.source.name):
                    self._databases(known, each)
            for each in found.of("redis"):
                if not known.is_done(each.source.name):
                    self._cache(known, each)
        return self._told(known)

    def finish(self) -> Result:
        """Wait until the platform answers, and note how long all of it took."""
        with alone(self._settings, "recovery"):
            known, found = self._underway("platform")
            missing = [each.source.name for each in found.chosen if not known.is_done(each.source.name)]
            if missing:
                raise CourtkeeperError(f"{', '.join(missing)} is not recovered yet: run the recovery again")
            for url in self._wish.answers:
                self._answers(url)
            now = journal.moment()
            known.did("answers", now)
            known.rto_s = round(known.waited_s + now.since(known.begun), 1)
            oldest = min(each.backup.taken_at for each in found.chosen)
            known.rpo_s = round(max((known.begun.wall - oldest).total_seconds(), 0.0), 1)
            known.finished_at = now.wall
            journal.write(self._settings, known)
            self._judged(known)
            self.result.changed = True
            self.result.actions.append("wrote the end of the recovery into its journal")
        took = f"the platform answers {lasted(known.rto_s)} after the recovery began"
        return self._told(known, f"{took}: {known.order}")

    def _begun(self, found: Plan, known: Journal | None, began: journal.Moment) -> None:
        now = journal.moment()
        if known is None:
            known = Journal(
                vault=self._settings.name,
                begun=began,
                last=began,
                waited_s=self._wish.waited_s,
                backups={each.source.name: each.backup.id for each in found.chosen},
                named=self._wish.replace,
            )
            if self._wish.waited_s:
                known.steps.append(journal.Step(name="library", duration_s=round(self._wish.waited_s, 3)))
            known.did("plan", now)
        else:
            known.did("interrupted", now)
            known.begun_again += 1
            self.result.msg += ", going on where an earlier try was broken off"
        journal.write(self._settings, known)

    def _nothing_left(self, known: Journal) -> Result:
        when = f"{known.finished_at:%Y-%m-%d %H:%M:%S} UTC"
        taken = ", ".join(f"{source} {backup}" for source, backup in known.backups.items())
        self.result.msg = (
            f"this host was rebuilt from {taken} until {when}: nothing to do (to begin anew, remove "
            f"{journal.path_of(self._settings)})"
        )
        self.result.details = {"needed": False, "plan": [self.result.msg], "backups": dict(known.backups)}
        self._found("done", self._settings.name, Status.OK, f"T{self.result.msg[1:]}.")
        return self.result

    def _underway(self, before: str) -> tuple[Journal, Plan]:
        """Return the journal, with what passed since the last step noted as `before`, and the plan again."""
        known = journal.read(self._settings)
        if known is None or known.finished_at:
            raise CourtkeeperError("no recovery has begun here: begin one first")
        known.did(before, journal.moment())
        journal.write(self._settings, known)
        places = {entry.name: destination(entry) for entry in self._settings.destinations}
        return known, plan.made(self._settings, self._wish, plan.load(self._settings, places), known.backups)

    def _did(self, known: Journal, each: Chosen) -> None:
        took = known.did(_STEP[each.kind], journal.moment(), each.source.name)
        journal.write(self._settings, known)
        self.result.metrics[f"{_STEP[each.kind]}_s"] = took
        done = sum(known.is_done(name) for name in known.backups)
        self._progress(done, len(known.backups), f"{each.source.name} recovered in {lasted(took)}")

    def _told(self, known: Journal, text: str = "") -> Result:
        self.result.msg = text or f"recovered so far: {known.order}"
        self.result.details["steps"] = [
            {"name": step.name, "source": step.source, "duration_s": step.duration_s} for step in known.steps
        ]
        return self.result

    def _restored(
        self,
        known: Journal,
        each: Chosen,
        settings: VaultSettings | None = None,
        **more: Any,  # noqa: ANN401 - of a Request
    ) -> None:
        """Restore, and let go of what lay there if it was nobody's: made by a package since we began."""
        settings = settings or self._settings
        wished = self._wish.destination
        request = Request(
            source=each.source.name,
            backup=each.backup.id,
            destination=wished if wished in each.backup.where else "",
            accept_differences=self._wish.accept_differences,
            **more,
        )
        done = restore(settings, request, opening=self._opening, now=self._now, progress=self._progress)
        self.result.changed |= done.changed
        self.result.actions += done.actions
        kept = done.details.get("former", {})
        aside = {name: path for name, path in kept.items() if name not in known.named}
        if aside:
            former(settings, each.source.name, remove=list(aside.values()))
        self.result.findings += [
            each for each in done.findings if each.id != "restore.former" or each.subject not in aside
        ]

    def _databases(self, known: Journal, each: Chosen) -> None:
        source = each.source
        assert isinstance(source, PostgresSource)  # noqa: S101 - as the manifest's kind says
        self._waited(lambda: self._host.ask(source.port, "SELECT 1") is not None, f"port {source.port}")
        entered = self._host.let_in(source)
        try:
            if known.begun_again and contents.are_there(entered, each.backup):
                text = f"found the databases of {each.backup.id} whole, from an earlier try"
                self.result.actions.append(text)
            else:
                self._restored(
                    known,
                    each,
                    _with(self._settings, entered),
                    replace=self._wish.replace,
                    end_sessions=self._wish.end_sessions,
                )
        except BaseException as error:
            self._let_out(source, error)
            raise
        self._host.let_out(source)
        self._did(known, each)

    def _let_out(self, source: PostgresSource, error: BaseException) -> None:
        """Remove our superuser after `error`, which is told first where that fails, too."""
        try:
            self._host.let_out(source)
        except RestoreError as second:
            both = RestoreError(
                f"{str(error) or type(error).__name__}; the role {ROLE} is still there ({second}), and the "
                "next run removes it"
            )
            both.partial = getattr(error, "partial", None)
            raise both from error

    def _cache(self, known: Journal, each: Chosen) -> None:
        source = each.source
        assert isinstance(source, RedisSource)  # noqa: S101 - as the manifest's kind says
        self._waited(lambda: held(source) >= 0, source.name)
        # Nobody has used it since we began: what is in it was copied by an earlier try.
        self._restored(known, each, replace=(source.name,))
        self._did(known, each)

    def _waited(self, there: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._wish.patience_s
        said = "it does not answer"
        while True:
            try:
                if there():
                    return
            except ConfigurationError:
                raise
            except CourtkeeperError as error:
                said = str(error)
            if time.monotonic() > deadline:
                raise CourtkeeperError(f"{what} did not come up within {self._wish.patience_s:g} s: {said}")
            time.sleep(_EVERY_S)

    def _answers(self, url: str) -> None:
        deadline = time.monotonic() + self._wish.patience_s
        while True:
            try:
                answer = httpx.get(url, timeout=_ASK_S)
                said = f"it answers with {answer.status_code}"
                if answer.status_code == httpx.codes.OK:
                    break
            except httpx.HTTPError as error:
                said = f"{type(error).__name__}: {str(error)[:120]}"
            if time.monotonic() > deadline:
                raise CourtkeeperError(
                    f"the platform does not answer at {url} after {self._wish.patience_s:g} s ({said}): look "
                    "at its journal; the data are recovered, and running the recovery again goes on from here"
                )
            time.sleep(_EVERY_S)
        self._found("answers", url, Status.OK, "It answers with 200.")

    def _tell_losses(self, found: Plan) -> None:
        moments = [each.backup.taken_at for each in found.chosen]
        now = self._now()
        for each in found.chosen:
            age = lasted(max((now - each.backup.taken_at).total_seconds(), 0))
            when = f"{each.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC"
            text = f"Lost is what was written after {when}, {age} ago."
            self._found("lost", each.source.name, Status.WARN, text, fix="take a newer one, if there is any")
        if (apart := (max(moments) - min(moments)).total_seconds()) > _APART_S:
            text = f"The backups were taken {lasted(apart)} apart: a cache may hold pages of another moment."
            self._found("moments", self._settings.name, Status.WARN, text, fix="empty what is a cache")
        for name in found.left:
            text = "It is left out, and can come back later."
            self._found("left", name, Status.SKIPPED, text, fix=f"courtkeeper vault restore {name} --beside")

    def _judged(self, known: Journal) -> None:
        minutes, hours = self._policy.rto_minutes, self._policy.rpo_hours
        took, age = lasted(known.rto_s), lasted(known.rpo_s)
        text = f"The platform answered after {took}; agreed are {minutes:g} minutes."
        self._measured("rto", known.rto_s, minutes * 60, text)
        text = f"The oldest backup that was taken was {age} old; agreed are {hours:g} hours."
        self._measured("rpo", known.rpo_s, hours * 3600, text)
        self.result.details["backups"] = dict(known.backups)

    def _measured(self, name: str, seconds: float, limit: float, text: str) -> None:
        status = Status.CRIT if seconds > limit else Status.OK
        self.result.metrics[f"{name}_s"] = seconds
        self.result.findings.append(
            Finding(
                id=f"recovery.{name}",
                subject=self._settings.name,
                status=status,
                observed=seconds,
                threshold=limit,
                unit="s",
                summary=text,
            )
        )

    def _found(self, name: str, subject: str, status: Status, text: str, fix: str = "") -> None:
        self.result.findings.append(
            Finding(id=f"recovery.{name}", subject=subject, status=status, summary=text, fix=fix)
        )


def _with(settings: VaultSettings, source: SourceSettings) -> VaultSettings:
    """Return the settings with a source in place of the one of its name."""
    sources = tuple(source if each.name == source.name else each for each in settings.sources)
    return msgspec.structs.replace(settings, sources=sources)
