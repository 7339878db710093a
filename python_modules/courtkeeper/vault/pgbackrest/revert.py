"""A whole server to a point in time: recovered beside the one in use, checked there, then swapped in.

Until the swap the server in use is not touched, and the swap is one exchange of two directories: what was in
use lies beside, under a name of its own, until somebody removes it. Root does it, as a service is stopped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.vault.drill import scratch
from courtkeeper.vault.findings import lasted, sized
from courtkeeper.vault.pgbackrest import recover, swap
from courtkeeper.vault.pgbackrest import state as states
from courtkeeper.vault.pgbackrest.command import Pgbackrest
from courtkeeper.vault.pgbackrest.look import look
from courtkeeper.vault.pgbackrest.owner import account, entry
from courtkeeper.vault.pgbackrest.recover import Point
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.state import Rate
from courtkeeper.vault.pgbackrest.swap import Step
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target

Progress = Callable[[int, int, str], None]
_MORE = 1.1
_SPARE_BYTES = 64 << 20
_ASIDE = re.compile(r"\.(former|beside)-\d{8}T\d{6}Z$")


class Reversion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server is to become.

    `until` empty: as far as the log goes. `replace` names the stanza, where its server may be replaced;
    `beside` leaves what was recovered beside it for a look. `service` is systemd's name of the server.
    `accept_gap`: even where the log ends too early.
    """

    data_directory: str
    until: str = ""
    repository: int = 0
    backup: str = ""
    beside: bool = False
    replace: tuple[str, ...] = ()
    service: str = ""
    accept_gap: bool = False


def revert(
    stanza: Stanza,
    request: Reversion,
    *,
    check_mode: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Bring a server to a point in time. `check_mode`: say from what, how long, and what would be lost.

    A data directory that is empty is filled and needs no leave. What a killed run left is finished, where it
    was swapped in, or else removed. Raises ConfigurationError where it is refused and CourtkeeperError where
    it fails; then the server in use is as it was.
    """
    begun = time.monotonic()
    _require_place(request.data_directory)
    with states.alone(stanza, "restore"):
        program = Pgbackrest(stanza)
        left = swap.noted(stanza, request.data_directory, request.service)
        cleared, enough = ([], False) if check_mode else _cleared(stanza, left)
        if left and enough and left.request == _plain(request):
            return Result(changed=True, actions=cleared, msg=f"restored {left.text}, which was killed before")
        seen = look(program, now=now())
        point = recover.choose(
            seen, recover.moment(request.until), repository=request.repository, label=request.backup
        )
        work = _Reverting(program, request, point, now())
        work.plan(running=seen.server is not None)
        if check_mode:
            if left:
                work.left(left)
            work.result.changed = True
            work.result.msg = f"would restore {point.text}"
            return work.result
        work.refuse(running=seen.server is not None)
        work.result.actions = cleared
        progress(0, 2, f"recovering {point.text}")
        try:
            work.recovered()
            progress(1, 2, "swapping it in")
            if not request.beside:
                work.swapped()
        except CourtkeeperError as error:
            error.partial = error.partial or (work.result if work.result.actions else None)
            raise
        progress(2, 2, "done")
    result = work.result
    result.changed = True
    result.metrics["duration_s"] = round(time.monotonic() - begun, 3)
    result.msg = f"restored {point.text} in {result.metrics['duration_s']:.1f} s"
    return result


def aside(data: Path) -> list[Path]:
    """Return what restores left beside a data directory: former states, and recovered ones for a look."""
    found = data.parent.glob(f"{data.name}.*")
    return sorted(path for path in found if path.is_dir() and _ASIDE.search(path.name))


class _Reverting:
    """The work of `revert`."""

    def __init__(self, program: Pgbackrest, request: Reversion, point: Point, now: datetime) -> None:
        self._program, self._request, self._point, self._now = program, request, point, now
        self._stanza = program.stanza
        self._data = Path(request.data_directory)
        self._step = Step(
            data=request.data_directory,
            stamp=f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            service=request.service,
            text=point.text,
            request=_plain(request),
        )
        self._recovering = self._step.recovering
        self.result = Result()

    def plan(self, *, running: bool) -> None:
        """Note what will happen, how long it should take, what will be lost. Raises ConfigurationError."""
        backup, request = self._point.backup, self._request
        told = f"restore {self._point.text} ({sized(backup.size)}) into {self._step.beside}"
        self.result.actions.append(f"{told}, let it recover and check it")
        if not request.beside:
            kept = f", which stays as {self._step.former.name}" if self._filled else ""
            self.result.actions.append(
                f"stop {request.service or 'the server'}, swap it in for {self._data}{kept}, start it"
            )
        seconds = self._expected()
        how_long = (
            f"about {lasted(seconds)} by the last restores" if seconds else "not known, none was seen yet"
        )
        since = lasted(max((self._now - (self._point.until or self._now)).total_seconds(), 0))
        lost = f"what was committed in the last {since}" if self._point.until else "what is not archived yet"
        self._found(
            "plan", Status.OK, f"It should take {how_long}; lost is {lost}.",
            observed=round(seconds, 1) if seconds else None,
        )  # fmt: skip
        if self._point.gap:
            text = f"It would come up without what was committed later: {self._point.gap}."
            self._found("log", Status.CRIT, text, fix="give until before the gap, or accept_gap")
        free = shutil.disk_usage(self._data.parent).free
        needed = round(backup.size * _MORE) + _SPARE_BYTES
        if needed > free:
            raise ConfigurationError(
                f"{self._data.parent} has {sized(free)} free, and restoring beside needs about "
                f"{sized(needed)}: make room"
            )
        if running and not request.beside and self._stanza.name not in request.replace:
            self._found(
                "in_use", Status.WARN, f"The server is in use: replace has to name {self._stanza.name}."
            )

    def left(self, step: Step) -> None:
        """Say what becomes of what a killed run left."""
        what = "is finished" if step.is_in_use else "is removed"
        self._found("left", Status.WARN, f"A restore of {step.text} was killed; what it left {what} first.")

    def refuse(self, *, running: bool) -> None:
        """Raise ConfigurationError where it may not be done."""
        if self._point.gap and not self._request.accept_gap:
            raise ConfigurationError(
                f"a recovery would end too early: {self._point.gap}; give until before that, or accept_gap"
            )
        if self._request.beside:
            return
        if (running or self._filled) and self._stanza.name not in self._request.replace:
            raise ConfigurationError(
                f"the server in {self._data} is in use: name {self._stanza.name} in replace"
            )
        if running and not self._request.service:
            raise ConfigurationError("service is empty, and the server runs: name it, as postgresql@15-main")

    def recovered(self) -> None:
        """Recover beside, enter every database, and read every page."""
        stanza, point = self._stanza, self._point
        place = _scratch(stanza)
        owner = place[-1]
        version = point.backup.archive.rpartition("-")[0]
        bin_directory = recover.programs(stanza, version)
        begun = time.monotonic()
        swap.note(stanza, self._step)
        try:
            self._recovering.mkdir(mode=0o700)
            if owner:
                os.chown(self._recovering, *owner)
            recover.restored(
                self._program, point, self._recovering, tablespaces=self._step.tablespaces, archive=True
            )
            with (
                scratch.directory(*place) as path,
                recover.serving(
                    stanza, self._recovering, bin_directory, scratch=path,
                    timeout_s=stanza.policy.timeout_hours * 3600, archive=True,
                ) as target,
            ):  # fmt: skip
                took = time.monotonic() - begun
                _open(target)
            self._sound(bin_directory)
            self._recovering.rename(self._step.beside)
        except BaseException:
            shutil.rmtree(self._step.tablespaces, ignore_errors=True)
            shutil.rmtree(self._recovering, ignore_errors=True)
            swap.forget(stanza)
            raise
        if self._request.beside:
            swap.forget(stanza)
        else:
            inode = self._step.beside.lstat().st_ino
            self._step = msgspec.structs.replace(self._step, inode=inode, had=self._filled)
            swap.note(stanza, self._step)
        self._found("recovered", Status.OK, f"{point.text}: it came up in {took:.1f} s.",
                    observed=round(took, 2), unit="s")  # fmt: skip
        self.result.actions.append(f"restored {point.text} into {self._step.beside}")
        self.result.metrics["restore_s"] = round(took, 3)
        known = states.load(stanza)
        known.restored(Rate(at=self._now, size=point.backup.size, seconds=took))
        states.save(stanza, known)

    def swapped(self) -> None:
        """Swap it in. Raises RestoreError as `swap.swapped` does."""
        swap.swapped(self._stanza, self._step)
        self.result.actions.append(f"swapped it in for {self._data}")
        if self._step.had:
            self._found(
                "former", Status.WARN, f"What was in use before stays in {self._step.former}.",
                fix=f"when nobody misses it: rm -r {self._step.former}",
            )  # fmt: skip

    def _sound(self, bin_directory: Path) -> None:
        """Read every page, where pages have checksums; nothing is written to it. Raises RestoreError."""
        done = subprocess.run(
            [bin_directory / "pg_checksums", "--check", "--pgdata", self._recovering],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            check=False,
            **account(self._stanza.owner),
        )
        if "checksums are not enabled" in done.stderr:
            self._found("pages", Status.SKIPPED, "Its pages have no checksums by which they could be judged.")
        elif done.returncode:
            said = "; ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-2:])[:300]
            raise RestoreError(f"what was recovered is damaged: {said}")

    @property
    def _filled(self) -> bool:
        return self._data.is_dir() and any(self._data.iterdir())

    def _expected(self) -> float | None:
        rates = [rate for rate in states.load(self._stanza).rates if rate.size and rate.seconds]
        if not rates:
            return None
        return self._point.backup.size * median(rate.seconds / rate.size for rate in rates)

    def _found(
        self,
        name: str,
        status: Status,
        summary: str,
        *,
        fix: str = "",
        observed: float | None = None,
        unit: str = "s",
    ) -> None:
        self.result.findings.append(
            Finding(
                id=f"restore.{name}",
                subject=self._stanza.name,
                status=status,
                summary=summary,
                observed=observed,
                unit=unit if observed is not None else "",
                fix=fix,
            )
        )


def _plain(request: Reversion) -> dict[str, Any]:
    """Return a request as a note has it."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(request))
    return found


def _require_place(data: str) -> None:
    place = Path(data)
    if not place.is_absolute() or not place.name or not place.parent.is_dir():
        raise ConfigurationError(f"data_directory {data} is not there: mend its path")


def _cleared(stanza: Stanza, left: Step | None) -> tuple[list[str], bool]:
    """Clear away what killed runs left; say what was done, and whether the note's restore is done by it."""
    gone = scratch.remove_leftovers(*_scratch(stanza))
    done = [f"removed {path}, which a killed restore or drill had left" for path in gone]
    if left is None:
        return done, False
    settled, enough = swap.settled(stanza, left)
    return [*done, *settled], enough


def _scratch(stanza: Stanza) -> tuple[str, str, tuple[int, int] | None]:
    who = entry(stanza.owner)
    return stanza.scratch_directory, f"pg-{stanza.name.lower()}", (who.pw_uid, who.pw_gid) if who else None


def _open(target: Target) -> None:
    """Enter every database. Raises RestoreError."""
    with target.connected() as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    for (name,) in names:
        with target.connected(str(name)) as connection:
            connection.execute("SELECT count(*) FROM pg_class")
