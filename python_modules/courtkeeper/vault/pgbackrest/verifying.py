"""What `pgbackrest verify` says. Its exit code is 0 for a damaged repository: only its text is believed."""

from __future__ import annotations

import re

import msgspec

_STATUS = re.compile(r"^\s*status: (\S+)", re.MULTILINE)
_BACKUP = re.compile(r"^\s*backup: (\S+), status: ([a-z -]+?)(?:,|$)", re.MULTILINE)
_ARCHIVE = re.compile(r"^\s*archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)", re.MULTILINE)
_FILE = re.compile(r"(file missing|invalid checksum|invalid size|invalid result) '([^'\n]{1,400})'")
_MOST_NUMBER = 18
_GOOD = ("valid", "in-progress")


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one repository.

    `good` is None where the text says neither. `bad` are the labels of backups that cannot be restored,
    `checked` of all that were read. `files` are what is damaged, with how; `log_lost` segments of log were
    read and are not what they were.
    """

    good: bool | None
    checked: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    log_lost: int = 0


def parsed(text: str) -> Verified:
    """Return what the text of `verify --output=text --verbose`, its log among it, says. Never raises."""
    statuses = _STATUS.findall(text)
    backups = _BACKUP.findall(text)
    checked = tuple(dict.fromkeys(label for label, _ in backups))
    bad = tuple(dict.fromkeys(label for label, status in backups if status not in _GOOD))
    lost = {
        name: int(total) - int(valid)
        for name, total, valid in _ARCHIVE.findall(text)
        if len(total) <= _MOST_NUMBER and len(valid) <= _MOST_NUMBER
    }
    files = tuple(dict.fromkeys(f"{name} ({what})" for what, name in _FILE.findall(text)))
    log_lost = max(0, sum(lost.values()))
    wrong = bool(bad or files or log_lost or any(status != "ok" for status in statuses))
    good = False if wrong else True if statuses else None
    return Verified(good=good, checked=checked, bad=bad, files=files, log_lost=log_lost)
