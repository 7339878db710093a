"""What people decide: approvals, holds, requests to cancel; each of them in the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from courtkeeper.runner.record import RunStatus
from courtkeeper.store.connection import Database
from courtkeeper.store.paging import Page, at_most, paged, place, token
from courtkeeper.store.rows import ApprovalRow, AuditRow, HoldRow, row_as
from courtkeeper.store.states import WAITING, SlotState
from courtkeeper.store.tables import actions, approvals, audit, holds, runs, slots


class People:
    """Decisions of persons. `by` and `who` name the person, `at` is when."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def approve(
        self, system: str, job: str, scheduled_for: datetime, *, by: str, at: datetime, note: str = ""
    ) -> bool:
        """Approve one slot of a job, also one that is still to come; False if it was already."""
        row = {"system": system, "job": job, "scheduled_for": scheduled_for, "by": by, "at": at, "note": note}
        with self._database.write() as connection:
            insert = self._database.insert(approvals).values(row).on_conflict_do_nothing()
            fresh = connection.execute(insert).rowcount > 0
            if fresh:
                self._log(connection, at, by, "approve", system, f"{job} at {scheduled_for:%Y-%m-%dT%H:%MZ}")
            return fresh

    def approvals(self, system: str, start: datetime, end: datetime) -> list[ApprovalRow]:
        """Return the approvals of slots from `start` to before `end`."""
        query = select(approvals).where(
            approvals.c.system == system,
            approvals.c.scheduled_for >= start,
            approvals.c.scheduled_for < end,
        )
        with self._database.read() as connection:
            return [row_as(ApprovalRow, row) for row in connection.execute(query)]

    def hold(
        self,
        system: str,
        job: str = "",
        *,
        by: str,
        at: datetime,
        reason: str = "",
        until: datetime | None = None,
    ) -> int:
        """Let a job (empty: none of the system's) not begin until released or `until`; return the number."""
        row = {"system": system, "job": job, "reason": reason, "by": by, "at": at, "until": until}
        with self._database.write() as connection:
            number = connection.execute(holds.insert().values(row).returning(holds.c.id)).scalar_one()
            self._log(connection, at, by, "hold", system, job or "every job", reason)
            return int(number)

    def release(self, hold: int, *, by: str, at: datetime) -> bool:
        """End a hold; False if it is none."""
        with self._database.write() as connection:
            ending = (
                update(holds)
                .where(holds.c.id == hold, holds.c.released_at.is_(None))
                .values(released_at=at, released_by=by)
                .returning(holds.c.system, holds.c.job)
            )
            row = connection.execute(ending).one_or_none()
            if row is not None:
                self._log(connection, at, by, "release", row.system, row.job or "every job")
            return row is not None

    def holds(self, *, system: str | None = None) -> list[HoldRow]:
        """Return the holds that were not released, the oldest first."""
        query = select(holds).where(holds.c.released_at.is_(None)).order_by(holds.c.id)
        if system is not None:
            query = query.where(holds.c.system == system)
        with self._database.read() as connection:
            return [row_as(HoldRow, row) for row in connection.execute(query)]

    def cancel_run(self, run_id: str, *, by: str, at: datetime) -> bool:
        """Ask whoever drives a run to end it; False if it has ended, or was asked already."""
        with self._database.write() as connection:
            asking = (
                update(runs)
                .where(runs.c.run_id == run_id, runs.c.status == RunStatus.RUNNING, runs.c.cancel_by == "")
                .values(cancel_by=by, cancel_at=at)
                .returning(runs.c.system)
            )
            row = connection.execute(asking).one_or_none()
            if row is not None:
                self._log(connection, at, by, "cancel", row.system, run_id)
            return row is not None

    def cancel_slot(self, slot: int, *, by: str, at: datetime) -> bool:
        """Let a waiting slot never begin; False if it waits no more."""
        with self._database.write() as connection:
            ending = (
                update(slots)
                .where(slots.c.id == slot, slots.c.state.in_(WAITING))
                .values(state=SlotState.CANCELLED, reason=f"cancelled by {by}", finished_at=at)
                .returning(slots.c.system, slots.c.job, slots.c.scheduled_for)
            )
            row = connection.execute(ending).one_or_none()
            if row is not None:
                subject = f"{row.job} at {row.scheduled_for:%Y-%m-%dT%H:%MZ}"
                self._log(connection, at, by, "cancel", row.system, subject)
            return row is not None

    def cancellations(self, run_ids: list[str]) -> dict[str, str]:
        """Return, of these runs, those that are to be cancelled, and by whom."""
        query = select(runs.c.run_id, runs.c.cancel_by).where(
            runs.c.run_id.in_(run_ids), runs.c.cancel_by != ""
        )
        with self._database.read() as connection:
            return {row.run_id: row.cancel_by for row in connection.execute(query)}

    def mark_undone(self, action: int, *, by: str, at: datetime) -> bool:
        """Note that an action was taken back; False if it was before, or there is none."""
        with self._database.write() as connection:
            marking = (
                update(actions)
                .where(actions.c.id == action, actions.c.undone_at.is_(None))
                .values(undone_at=at, undone_by=by)
            )
            done = connection.execute(marking).rowcount > 0
            if done:
                whose = select(runs.c.system, runs.c.run_id, actions.c.undo)
                found = whose.join(actions, actions.c.run == runs.c.id).where(actions.c.id == action)
                row = connection.execute(found).one()
                self._log(connection, at, by, "undo", row.system, row.run_id, row.undo)
            return done

    def log(
        self, who: str, what: str, *, at: datetime, system: str = "", subject: str = "", detail: str = ""
    ) -> None:
        """Write to the audit log. No secrets: it is shown."""
        with self._database.write() as connection:
            self._log(connection, at, who, what, system, subject, detail)

    def audit(self, *, limit: int = 50, after: str = "") -> Page[AuditRow]:
        """Return the audit log, the latest first."""
        size = at_most(limit)
        query = select(audit).order_by(audit.c.id.desc()).limit(size + 1)
        if at := place(after, 1):
            query = query.where(audit.c.id < at[0])
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return paged(rows, size, lambda row: row_as(AuditRow, row), lambda row: token(row.id))

    @staticmethod
    def _log(
        connection: Connection,
        at: datetime,
        who: str,
        what: str,
        system: str = "",
        subject: str = "",
        detail: str = "",
    ) -> None:
        row = {"at": at, "who": who, "what": what, "system": system, "subject": subject, "detail": detail}
        connection.execute(audit.insert(), row)
