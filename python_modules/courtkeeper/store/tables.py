"""The store's tables, the same on SQLite and on Postgres; `schema/` makes them.

Times are whole microseconds since 1970 in UTC, as integers: they compare, subtract and index alike on both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An instant: an aware datetime in Python, whole microseconds since 1970 in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return what is stored."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what is read."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


# SQLite numbers rows by itself only where the key is called INTEGER.
ID = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


runs = Table(
    "runs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("system", Text, nullable=False),  # the inventory, as the record names it
    Column("job", Text, nullable=False),
    _text("playbook"),
    Column("check_mode", Boolean, nullable=False),
    _text("trigger"),  # person, schedule or request
    Column("slot", BigInteger),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("status", Text, nullable=False),  # a RunStatus
    _text("worst"),
    Column("changed", Boolean, nullable=False, server_default=text("false")),
    _text("message"),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("duration_s", Double),
    _count("hosts"),
    _count("hosts_bad"),
    _count("tasks"),
    _count("tasks_changed"),  # of a drift run: how much would change
    _count("findings_ok"),
    _count("findings_warn"),
    _count("findings_crit"),
    _count("findings_skipped"),
    _count("findings_unknown"),
    _count("actions"),
    _text("arguments"),  # a JSON list
    _text("owner"),  # the process that drives it
    _text("cancel_by"),
    Column("cancel_at", Moment),
    Index("runs_latest", "started_at", "id"),
    Index("runs_of_system", "system", "started_at", "id"),
    Index("runs_of_job", "job", "started_at", "id"),
    Index("runs_of_system_job", "system", "job", "started_at", "id"),
    Index("runs_of_status", "status", "started_at", "id"),
)

run_hosts = Table(
    "run_hosts",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("host", Text, primary_key=True),
    *(_count(name) for name in ("ok", "changed", "failed", "unreachable", "skipped", "rescued", "ignored")),
)

documents = Table(
    "documents",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("record", LargeBinary, nullable=False),  # run.json, by zstd
)

output = Table(
    "output",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("lines", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),  # a batch of lines, by zstd
)

finding_keys = Table(
    "finding_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),  # of the five below: subjects may be long
    Column("system", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("finding_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Index("finding_keys_of_id", "finding_id", "id"),
)

observations = Table(
    "observations",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("severity", SmallInteger, nullable=False),  # Status.severity
    Column("value", Double),  # what was observed, if it is a number
    Index("observations_of_run", "run", "severity"),
    sqlite_with_rowid=False,
)

# From the first run that found something wrong to the one that found it right: one row, one span.
spans = Table(
    "spans",
    metadata,
    Column("id", ID, primary_key=True),
    Column("key", BigInteger, nullable=False),
    Column("system", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("finding_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),  # as last seen
    Column("worst", SmallInteger, nullable=False),  # at its worst
    Column("opened_at", Moment, nullable=False),
    Column("opened_run", Text, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("seen_run", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("closed_at", Moment),
    _text("closed_run"),
    _text("closed_how"),  # ok, or gone: it is not reported any more
    _text("summary"),
    _text("fix"),
    _text("observed"),
    _text("threshold"),
    _text("unit"),
    Index("spans_of_key", "key", "opened_at"),
    Index("spans_latest", "opened_at", "id"),
    Index("spans_of_system", "system", "opened_at", "id"),
    Index("spans_of_job", "job", "opened_at", "id"),
    Index("spans_of_finding", "finding_id", "opened_at", "id"),
    Index("spans_closed", "closed_at", "id"),
)
_open = spans.c.closed_at.is_(None)
Index(
    "spans_open_one", spans.c.key, unique=True, sqlite_where=_open, postgresql_where=_open
)  # whatever happens, one thing is wrong once
Index("spans_open", spans.c.severity, spans.c.id, sqlite_where=_open, postgresql_where=_open)
Index("spans_open_of_job", spans.c.system, spans.c.job, sqlite_where=_open, postgresql_where=_open)

actions = Table(
    "actions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    _text("host"),
    _text("finding_id"),
    _text("subject"),
    Column("text", Text, nullable=False),
    _text("undo"),
    Column("undone_at", Moment),
    _text("undone_by"),
    UniqueConstraint("run", "seq"),
)

metrics = Table(
    "metrics",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("value", Double, nullable=False),
    sqlite_with_rowid=False,
)

# One row an occurrence of a job: UNIQUE(system, job, scheduled_for) is the claim.
slots = Table(
    "slots",
    metadata,
    Column("id", ID, primary_key=True),
    Column("system", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("scheduled_for", Moment, nullable=False),
    _text("trigger"),  # schedule or request
    Column("state", Text, nullable=False),  # a SlotState
    _text("reason"),
    Column("deadline", Moment),  # it does not begin later than that
    Column("not_before", Moment, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    _text("owner"),
    _text("run_id"),  # of the last attempt
    Column("started_at", Moment),
    Column("finished_at", Moment),
    _text("options"),  # JSON: what a request or a retry asks for besides
    UniqueConstraint("system", "job", "scheduled_for"),
    Index("slots_range", "system", "scheduled_for", "job"),
    Index("slots_of_state", "state", "scheduled_for", "id"),
    # All that a month's page counts, so that it reads no row.
    Index("slots_by_day", "scheduled_for", "system", "job", "state"),
)
Index(
    "slots_unfinished",
    slots.c.system,
    slots.c.not_before,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)
Index(
    "slots_open",
    slots.c.scheduled_for,
    slots.c.id,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)
Index("slots_of_run", slots.c.run_id)

# How far the occurrences of a job have been made into slots, and by which rule.
cursors = Table(
    "cursors",
    metadata,
    Column("system", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("until", Moment, nullable=False),
)

# Who may hold locks and slots, and until when he is believed to live.
owners = Table(
    "owners",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("kind", Text, nullable=False),  # scheduler or person
    Column("started_at", Moment, nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("ended_at", Moment),
    _text("ended_how"),
)

locks = Table(
    "locks",
    metadata,
    Column("system", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("holder", Text, nullable=False),  # for a person: which job, since when
    Column("slot", BigInteger),
    Column("taken_at", Moment, nullable=False),
    Index("locks_of_owner", "owner"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("system", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("scheduled_for", Moment, primary_key=True),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    _text("note"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", ID, primary_key=True),
    Column("system", Text, nullable=False),
    _text("job"),  # empty: every job
    _text("reason"),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("until", Moment),
    Column("released_at", Moment),
    _text("released_by"),
    Index("holds_of_system", "system", "released_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),  # approve, hold, release, cancel, run, undo, login
    _text("system"),
    _text("subject"),
    _text("detail"),
    Index("audit_latest", "at", "id"),
)
