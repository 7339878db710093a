"""Taking runs into the store: when they begin, while they print, when they end, and from their files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.runner import record as records
from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.runner.store import runs_dir
from courtkeeper.store import spans
from courtkeeper.store.connection import Database
from courtkeeper.store.identity import Origin
from courtkeeper.store.packing import pack_record, pack_text
from courtkeeper.store.tables import actions, documents, metrics, output, run_hosts, runs

_STAMP = re.compile(r"(\d{8}T\d{6})Z-.+")
_ASK_AT_ONCE = 500


def system_of(inventory: str) -> str:
    """Return the system's name from a record's inventory: `inventory/embedded` is `embedded`."""
    return Path(inventory).name or inventory


class Recording:
    """What is written of runs."""

    def __init__(self, database: Database) -> None:
        """Write into `database`."""
        self._database = database

    def begin(self, record: RunRecord, origin: Origin | None = None) -> None:
        """Store that a run has begun; once."""
        with self._database.write() as connection:
            self._begin(connection, record, origin or Origin())

    def output(self, run_id: str, seq: int, lines: Sequence[str]) -> None:
        """Store the batch `seq` (0, 1, 2 …) of what a run printed, compressed. Twice is once."""
        data = pack_text("".join(f"{line}\n" for line in lines))
        with self._database.write() as connection:
            run = connection.execute(select(runs.c.id).where(runs.c.run_id == run_id)).scalar_one_or_none()
            if run is not None:
                row = {"run": run, "seq": seq, "lines": len(lines), "data": data}
                connection.execute(self._database.insert(output).on_conflict_do_nothing(), row)

    def finish(self, record: RunRecord, origin: Origin | None = None) -> bool:
        """Store what came of a run; True if it was not known before. All of it or nothing."""
        if record.status is RunStatus.RUNNING:
            raise ValueError(f"{record.run_id} has not ended")
        # One at a time: what is open for a job must stay so until its spans are stored.
        with self._database.alone() as connection:
            run = self._begin(connection, record, origin or Origin())
            row = connection.execute(
                update(runs)
                .where(runs.c.id == run, runs.c.finished_at.is_(None))
                .values(**_ending(record))
                .returning(runs.c.system)
            ).one_or_none()
            if row is None:
                return False
            self._details(connection, run, record)
            spans.take(self._database, connection, run, row.system, record)
            return True

    def abandon(self, run_id: str, message: str, at: datetime) -> None:
        """Call a run failed of which nothing more is known."""
        with self._database.write() as connection:
            connection.execute(
                update(runs)
                .where(runs.c.run_id == run_id, runs.c.finished_at.is_(None))
                .values(status=RunStatus.FAILED, message=message, finished_at=at)
            )

    def ingest(self, root: Path, *, since: datetime | None = None) -> Ingested:
        """Take in every finished run of `var/runs/` that the store does not have, oldest first.

        `since`: runs begun before are left where they are (retention has removed them, or will).
        """
        taken, trouble = 0, []
        for path in self._unknown(root, since):
            try:
                record = records.read(path)
                if record.status is not RunStatus.RUNNING:
                    taken += self.finish(record)
            except (OSError, msgspec.MsgspecError) as error:
                trouble.append(f"{path.parent.name}/run.json cannot be read ({error}): it is left out.")
        return Ingested(taken, trouble)

    def _unknown(self, root: Path, since: datetime | None) -> Iterator[Path]:
        names = sorted(
            entry.name
            for entry in _entries(runs_dir(root))
            if (began := run_began(entry.name)) is not None and (since is None or began >= since)
        )
        for start in range(0, len(names), _ASK_AT_ONCE):
            chunk = names[start : start + _ASK_AT_ONCE]
            query = select(runs.c.run_id).where(runs.c.run_id.in_(chunk), runs.c.finished_at.is_not(None))
            with self._database.read() as connection:
                known = set(connection.execute(query).scalars())
            yield from (
                path
                for name in chunk
                if name not in known and (path := runs_dir(root) / name / "run.json").is_file()
            )

    def _begin(self, connection: Connection, record: RunRecord, origin: Origin) -> int:
        row = {
            "run_id": record.run_id,
            "system": system_of(record.inventory),
            "job": record.job,
            "playbook": record.playbook or record.job,
            "check_mode": record.check,
            "trigger": origin.trigger,
            "slot": origin.slot,
            "attempt": origin.attempt,
            "status": RunStatus.RUNNING,
            "started_at": record.started_at,
            "arguments": msgspec.json.encode(record.arguments).decode(),
            "owner": origin.owner,
        }
        connection.execute(self._database.insert(runs).on_conflict_do_nothing(), row)
        return int(connection.execute(select(runs.c.id).where(runs.c.run_id == record.run_id)).scalar_one())

    def _details(self, connection: Connection, run: int, record: RunRecord) -> None:
        connection.execute(documents.insert(), {"run": run, "record": pack_record(record)})
        if record.host_stats:
            rows = [{"run": run, "host": host, **_counts(each)} for host, each in record.host_stats.items()]
            connection.execute(run_hosts.insert(), rows)
        numbers = [
            {"run": run, "name": name, "value": float(value)}
            for name, value in record.metrics.items()
            if abs(value) < float("inf")
        ]
        if numbers:
            connection.execute(metrics.insert(), numbers)
        if done := list(_actions(run, record)):
            connection.execute(actions.insert(), done)


@dataclass(frozen=True)
class Ingested:
    """How many runs were taken in, and a sentence for each that could not be."""

    taken: int
    trouble: list[str]


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            yield from found
    except FileNotFoundError:
        return
    except OSError as error:
        raise CourtkeeperError(f"{directory} cannot be read ({error.strerror}): mend its rights.") from error


def run_began(name: str) -> datetime | None:
    """Return when the run of that name began; None where the name is no run's."""
    match = _STAMP.fullmatch(name)
    if not match:
        return None
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


_HOST_COUNTS = ("ok", "changed", "failed", "unreachable", "skipped", "rescued", "ignored")


def _counts(given: dict[str, int]) -> dict[str, int]:
    return {name: int(given.get(name, 0)) for name in _HOST_COUNTS}


def _ending(record: RunRecord) -> dict[str, Any]:
    found = Counter(each.finding.status for each in record.findings)
    bad = [each for each in record.host_stats.values() if each.get("failed") or each.get("unreachable")]
    return {
        "status": record.status,
        "worst": record.worst,
        "changed": record.changed,
        "message": record.message,
        "finished_at": record.finished_at or record.started_at,
        "duration_s": record.duration_s,
        "hosts": len(record.host_stats),
        "hosts_bad": len(bad),
        "tasks": len(record.tasks),
        "tasks_changed": sum(task.status == "changed" for task in record.tasks),
        "actions": len(record.actions),
        **{f"findings_{status}": found[status] for status in Status},
    }


def _actions(run: int, record: RunRecord) -> Iterator[dict[str, Any]]:
    """What a run did: first what findings say with a way back, then the modules' own lists."""
    plain: dict[str, Any] = {"run": run, "host": "", "finding_id": "", "subject": "", "undo": ""}
    rows = [
        plain
        | {
            "host": each.host,
            "finding_id": each.finding.id,
            "subject": each.finding.subject,
            "text": each.finding.applied,
            "undo": each.finding.undo,
        }
        for each in record.findings
        if each.finding.applied
    ]
    rows += [plain | {"text": text} for text in record.actions]
    if record.check:  # nothing was done
        return
    yield from ({**row, "seq": number} for number, row in enumerate(rows))
