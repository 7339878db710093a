"""The duty in one call: stanzas tried and installed, then what is due compressed, archived or removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts import services
from courtkeeper.hosts.logs import copies, install, keep, paths, stanzas, state

# /etc and /var/lib take a few KiB; with less than this a disk is full for other reasons.
LEAST_FREE_BYTES = 2**20
# systemd.exec(5): PrivateTmp and ProtectSystem=full of Debian's logrotate.service; the rest is no disk.
SEALED = ("/tmp", "/var/tmp", "/usr", "/boot", "/etc", "/dev", "/proc", "/sys", "/run")  # noqa: S108


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the inventory says: the role's variables without their prefix."""

    stanzas: list[dict[str, object]]
    roots: list[str]
    compress_after_days: int
    keep_days: int
    archive: str = ""


Progress = Callable[[int, int, str], None]


def rotate(
    wanted: Wanted, *, keeper: str, now: datetime, check: bool, place: install.Place, progress: Progress
) -> Result:
    """Bring the host's logrotate to what is `wanted` and do what is due with rotated files.

    `keeper` is the Python that logrotate's lastaction runs the library with. Everything that can be wrong
    in the request is looked for first: ConfigurationError means that nothing was changed. Another
    CourtkeeperError carries what was done before it.
    """
    declared = _read(wanted)
    with state.locked(place.state):
        result = Result()
        if begun := install.interrupted(place):
            result.actions += [
                f"take back what a killed run left: {each.sentence()}" for each in begun.operations[::-1]
            ]
            if not check:
                install.take_back(place)
            result.changed = True
        known = state.read(place.state)
        operations = install.plan(declared, known, keeper, wanted.archive, place)
        if operations:
            install.refuse_unusable(operations, place)
        due = keep.plan(declared, wanted.archive, now)
        keep.refuse_full_disk(due.steps, wanted.archive)
        _refuse_full_disk(place)
        after = state.State(
            declared, wanted.archive, sorted(each.replaces for each in declared if each.replaces)
        )
        result.actions += [each.sentence() for each in operations]
        result.diff = install.difference(operations)
        result.changed |= bool(operations) or known != after
        result.findings += due.findings
        if not check and (operations or known != after):
            install.install(operations, after, place)
        result.findings += _installed(declared, operations, check)
        done = _keep(due.steps, result, check=check, progress=progress)
        return _summed_up(result, declared, done)


def keep_one(name: str, now: datetime) -> list[str]:
    """Do what is due for the stanza `name` of the state file; logrotate's lastaction calls it."""
    with state.locked():
        known = state.read()
        chosen = [each for each in known.stanzas if each.name == name]
        if not chosen:
            raise CourtkeeperError(
                f"{state.DIRECTORY}/state.json has no stanza {name}: run log_rotation again."
            )
        due = keep.plan(chosen, known.archive, now)
        result = Result()
        # No inventory is asked here: what makes room is done first, and a full disk stops the rest only.
        for kinds in ({"remove"}, {"archive", "compress"}):
            steps = [step for step in due.steps if step.kind in kinds]
            keep.refuse_full_disk(steps, known.archive)
            _keep(steps, result, check=False, progress=lambda _done, _total, _text: None)
    if result.findings:
        raise CourtkeeperError(" ".join(each.summary for each in result.findings))
    return result.actions


def _read(wanted: Wanted) -> list[stanzas.Stanza]:
    """Check the request as a whole. Raises ConfigurationError."""
    declared = stanzas.read(
        wanted.stanzas,
        roots=wanted.roots,
        compress_after_days=wanted.compress_after_days,
        keep_days=wanted.keep_days,
    )
    for number, each in enumerate(declared):
        if each.service:
            where = f"log_rotation_stanzas[{number}].service ({each.name})"
            services.refuse_unknown([each.service], where)
            if not each.signal and not services.can_reload(each.service):
                raise ConfigurationError(
                    f"{where} is {each.service}, which systemd cannot reload, so that it would go on writing "
                    "to the rotated file: give signal or command."
                )
    if wanted.archive:
        paths.refuse_odd_roots([wanted.archive], "log_rotation_archive")
        for root in wanted.roots:
            if paths.below(os.path.realpath(wanted.archive), os.path.realpath(root)):
                raise ConfigurationError(
                    f"log_rotation_archive is {wanted.archive}, which lies in {root} of log_rotation_roots: "
                    "name a directory outside, or archived logs would be taken for logs."
                )
        _refuse_sealed(wanted.archive)
    return declared


def _refuse_sealed(archive: str) -> None:
    """Refuse an archive that logrotate.service, whose lastaction moves files there, has not got.

    Debian's unit says PrivateTmp, so that what it writes to /tmp or /var/tmp is gone when it ends, and
    ProtectSystem.
    """
    real = os.path.realpath(archive)
    for folder in SEALED:
        if paths.below(real, folder):
            raise ConfigurationError(
                f"log_rotation_archive is {archive}, and {folder} is private to or read-only for "
                "logrotate.service: name a directory such as /srv/log-archive."
            )


def _refuse_full_disk(place: install.Place) -> None:
    """Raise ConfigurationError where not even a stanza could be written."""
    for folder in (str(place.directory), str(place.state)):
        free = copies.free_bytes(copies.existing(folder))
        if free < LEAST_FREE_BYTES:
            raise ConfigurationError(
                f"the disk of {folder} is full ({free} bytes free): make room; nothing was changed."
            )


def _installed(
    declared: Sequence[stanzas.Stanza], operations: Sequence[install.Operation], check: bool
) -> list[Finding]:
    """Say of each stanza whether it is in use, and how a file that was set aside comes back."""
    found = []
    written = {each.path.rpartition("/")[2]: each.path for each in operations if each.content is not None}
    for each in declared:
        path = written.get(f"{install.PREFIX}{each.name}", "")
        undo = f"take {each.name} out of log_rotation_stanzas and run again" if path else ""
        if each.replaces:
            undo = f"take {each.name} out of log_rotation_stanzas and run again: {each.replaces} comes back"
        found.append(
            Finding(
                id="logs.stanza",
                subject=each.name,
                status=Status.OK,
                observed=", ".join(each.paths),
                summary=f"{each.name} {'would be' if check and path else 'is'} rotated {each.frequency}, "
                f"compressed after {each.compress_after_days} days and kept for {each.keep_days}.",
                applied=f"wrote {path}" if path and not check else "",
                undo=undo,
            )
        )
    return found


def _keep(steps: Sequence[keep.Step], result: Result, *, check: bool, progress: Progress) -> list[keep.Step]:
    """Do the steps one by one and return them; a file that cannot be dealt with holds up no other."""
    done = []
    for number, step in enumerate(steps, 1):
        if not check:
            progress(number, len(steps), step.sentence())
            try:
                keep.do(step)
            except CourtkeeperError as error:
                result.findings.append(
                    Finding(
                        id="logs.rotated.failed",
                        subject=paths.shown(step.file.path),
                        status=Status.CRIT,
                        summary=paths.shown(str(error)),
                        fix="mend what the sentence names; the next run tries again",
                    )
                )
                continue
        done.append(step)
        result.changed = True
        result.actions.append(step.sentence())
    return done


def _summed_up(result: Result, declared: Sequence[stanzas.Stanza], steps: Sequence[keep.Step]) -> Result:
    """Add the numbers and the sentence."""
    counts = {kind: sum(step.kind == kind for step in steps) for kind in ("compress", "archive", "remove")}
    result.metrics = {
        "stanzas": len(declared),
        "compressed_files": counts["compress"],
        "archived_files": counts["archive"],
        "removed_files": counts["remove"],
        "handled_bytes": sum(step.file.size for step in steps),
    }
    result.msg = (
        f"{len(declared)} stanzas; {counts['compress']} files to compress, {counts['archive']} to archive, "
        f"{counts['remove']} to remove."
        if result.changed
        else f"{len(declared)} stanzas are in use and nothing is due."
    )
    return result
