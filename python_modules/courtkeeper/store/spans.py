"""Findings over time: when something was found wrong, how long it stayed so, and when it was right again.

A finding is the same thing as before when system, job, host, id and subject are the same. What is `warn`,
`crit` or `unknown` opens a span; `ok` closes it. `skipped` does neither, as nobody looked. A run that reached
a host and says nothing more of what was open there closes it as `gone`, but only a whole run of the job: one
with variables or a day of its own, or one that failed, may not have come to look. Check mode neither opens
nor closes: it says what would be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from courtkeeper.findings import Finding, Status
from courtkeeper.runner.record import HostFinding, RunRecord, RunStatus
from courtkeeper.store.connection import Database
from courtkeeper.store.rows import AnyRow
from courtkeeper.store.tables import finding_keys, observations, runs, spans

OPENS = frozenset({Status.WARN, Status.CRIT, Status.UNKNOWN})
# Severities by which a span is open or closed are those of findings.Status; 0 is ok.
SEVERITIES = {status.severity: status for status in Status}
_NARROWED = {"-e", "--date"}
_CHUNK = 400  # SQLite takes some thousand parameters a statement; a chunk has one for each key


@dataclass(frozen=True)
class _Seen:
    """One finding of a run and the number of its key."""

    key: int
    host: str
    finding: Finding


def take(database: Database, connection: Connection, run: int, system: str, record: RunRecord) -> None:
    """Store the findings of a finished run: each as an observation, and what they open and close.

    `run` is the run's row, `system` the inventory's name. Of two findings with the same key the worse counts.
    """
    seen = _with_keys(database, connection, system, record.job, record.findings)
    at = record.finished_at or record.started_at
    _observe(database, connection, run, at, seen)
    if record.check or record.status is RunStatus.REFUSED or _is_overtaken(connection, run, system, record):
        return
    _open_and_close(connection, system, record, at, seen)


def digest(system: str, job: str, host: str, finding_id: str, subject: str) -> bytes:
    """Return the 16 bytes that stand for a key."""
    words = msgspec.json.encode([system, job, host, finding_id, subject])
    return hashlib.blake2b(words, digest_size=16).digest()


def _with_keys(
    database: Database, connection: Connection, system: str, job: str, found: Sequence[HostFinding]
) -> list[_Seen]:
    worst: dict[bytes, HostFinding] = {}
    for each in found:
        name = digest(system, job, each.host, each.finding.id, each.finding.subject)
        known = worst.get(name)
        if known is None or each.finding.status.severity > known.finding.status.severity:
            worst[name] = each
    numbers = _key_numbers(connection, worst)
    fresh: list[dict[str, Any]] = [
        {
            "digest": name,
            "system": system,
            "job": job,
            "host": each.host,
            "finding_id": each.finding.id,
            "subject": each.finding.subject,
        }
        for name, each in worst.items()
        if name not in numbers
    ]
    if fresh:
        # In one order everywhere, so that two who add the same keys do not wait for each other.
        fresh.sort(key=lambda row: row["digest"])
        connection.execute(database.insert(finding_keys).on_conflict_do_nothing(), fresh)
        numbers |= _key_numbers(connection, [row["digest"] for row in fresh])
    return [_Seen(numbers[name], each.host, each.finding) for name, each in worst.items()]


def _key_numbers(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for chunk in _chunks(list(digests)):
        query = select(finding_keys.c.digest, finding_keys.c.id).where(finding_keys.c.digest.in_(chunk))
        found |= {bytes(name): number for name, number in connection.execute(query)}
    return found


def _observe(
    database: Database, connection: Connection, run: int, at: datetime, seen: Sequence[_Seen]
) -> None:
    if not seen:
        return
    rows = [
        {
            "key": each.key,
            "run": run,
            "at": at,
            "severity": each.finding.status.severity,
            "value": _number(each.finding.observed),
        }
        for each in seen
    ]
    connection.execute(database.insert(observations).on_conflict_do_nothing(), rows)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if abs(number) < float("inf") else None


def _is_overtaken(connection: Connection, run: int, system: str, record: RunRecord) -> bool:
    """Whether a later run of the job was taken in before: what is open is known from that one."""
    later = (
        select(runs.c.id)
        .where(
            runs.c.system == system,
            runs.c.job == record.job,
            runs.c.started_at > record.started_at,
            runs.c.id != run,
            runs.c.finished_at.is_not(None),
            runs.c.check_mode.is_(False),
            runs.c.status != RunStatus.REFUSED,
        )
        .limit(1)
    )
    return connection.execute(later).first() is not None


def _open_and_close(
    connection: Connection, system: str, record: RunRecord, at: datetime, seen: Sequence[_Seen]
) -> None:
    query = select(spans.c.id, spans.c.key, spans.c.host, spans.c.worst, spans.c.times).where(
        spans.c.system == system, spans.c.job == record.job, spans.c.closed_at.is_(None)
    )
    standing = {row.key: row for row in connection.execute(query)}
    opened, still, closed = [], [], []
    for each in seen:
        span = standing.pop(each.key, None)
        if each.finding.status in OPENS:
            if span is None:
                opened.append(_opened(system, record, at, each))
            else:
                still.append(_still(record, at, each, span))
        elif span is not None and each.finding.status is Status.OK:
            closed.append({"b_id": span.id, "how": "ok"})
    looked_at = _looked_at(record)
    closed += [{"b_id": span.id, "how": "gone"} for span in standing.values() if span.host in looked_at]
    if opened:
        connection.execute(spans.insert(), opened)
    if still:
        connection.execute(_STILL, still)
    if closed:
        ended = {"b_at": at, "b_run": record.run_id}
        connection.execute(_CLOSE, [{**row, **ended} for row in closed])


_STILL = (
    update(spans)
    .where(spans.c.id == bindparam("b_id"))
    .values(
        {name: bindparam(f"b_{name}") for name in ("severity", "worst", "seen_at", "seen_run", "times")}
        | {name: bindparam(f"b_{name}") for name in ("summary", "fix", "observed", "threshold", "unit")}
    )
)
_CLOSE = (
    update(spans)
    .where(spans.c.id == bindparam("b_id"))
    .values(closed_at=bindparam("b_at"), closed_run=bindparam("b_run"), closed_how=bindparam("how"))
)


def _looked_at(record: RunRecord) -> set[str]:
    """The hosts of which a run that says nothing means that there is nothing."""
    if record.status is not RunStatus.OK or _NARROWED & set(record.arguments):
        return set()
    return {
        host
        for host, counts in record.host_stats.items()
        if not counts.get("failed") and not counts.get("unreachable")
    }


def _words(finding: Finding) -> dict[str, str]:
    return {
        "summary": finding.summary,
        "fix": finding.fix,
        "observed": _plain(finding.observed),
        "threshold": _plain(finding.threshold),
        "unit": finding.unit,
    }


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _opened(system: str, record: RunRecord, at: datetime, seen: _Seen) -> dict[str, Any]:
    severity = seen.finding.status.severity
    return {
        "key": seen.key,
        "system": system,
        "job": record.job,
        "host": seen.host,
        "finding_id": seen.finding.id,
        "subject": seen.finding.subject,
        "severity": severity,
        "worst": severity,
        "opened_at": at,
        "opened_run": record.run_id,
        "seen_at": at,
        "seen_run": record.run_id,
        "times": 1,
        **_words(seen.finding),
    }


def _still(record: RunRecord, at: datetime, seen: _Seen, span: AnyRow) -> dict[str, Any]:
    severity = seen.finding.status.severity
    changed: Mapping[str, Any] = {
        "id": span.id,
        "severity": severity,
        "worst": max(severity, span.worst),
        "seen_at": at,
        "seen_run": record.run_id,
        "times": span.times + 1,
        **_words(seen.finding),
    }
    return {f"b_{name}": value for name, value in changed.items()}


def _chunks(values: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def drop_empty_keys(connection: Connection, most: int) -> int:
    """Remove up to `most` keys of which nothing is known any more; return how many."""
    used = select(observations.c.key).where(observations.c.key == finding_keys.c.id).exists()
    spanned = select(spans.c.id).where(spans.c.key == finding_keys.c.id).exists()
    empty = select(finding_keys.c.id).where(~used, ~spanned).limit(most)
    return connection.execute(delete(finding_keys).where(finding_keys.c.id.in_(empty))).rowcount
