"""The tables of what people are told, and of the probes of health (schema/versions/0002_notices.py).

Apart from the others, because nothing of the runs depends on them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from courtkeeper.store.tables import ID, Moment, metadata, runs, slots

# What is to be sent. UNIQUE(system, channel, key) is what lets nobody be told the same thing twice.
outbox = Table(
    "outbox",
    metadata,
    Column("id", ID, primary_key=True),
    Column("system", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("key", Text, nullable=False),  # what it is about: failure:<run id>, digest:<day> …
    Column("event", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False),  # a MessageState
    Column("lease_until", Moment),  # while it is being sent
    Column("ended_at", Moment),
    Column("error", Text, nullable=False, server_default=""),
    UniqueConstraint("system", "channel", "key"),
    Index("outbox_ended", "ended_at"),
)
Index(
    "outbox_due",
    outbox.c.system,
    outbox.c.not_before,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)

# Which outcomes have been looked at: each once, whoever looks, and in one transaction with what it leads to.
noticed = Table(
    "noticed",
    metadata,
    Column("kind", Text, primary_key=True),  # slot, run or start
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # the row's
    Column("at", Moment, nullable=False),
    Index("noticed_at", "at"),
)

# How each job stands in people's eyes: they hear of it when this changes.
standings = Table(
    "standings",
    metadata,
    Column("system", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("bad", Boolean, nullable=False),
    Column("since", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),  # of the last outcome
    Column("times", Integer, nullable=False),  # how many outcomes in a row
)

marks = Table(
    "marks",
    metadata,
    Column("system", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("at", Moment, nullable=False),
)

# Probes of health by the hour: how many answered, of how many.
probes = Table(
    "probes",
    metadata,
    Column("system", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("hour", Moment, primary_key=True),
    Column("asked", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("latency_ms", Double, nullable=False),  # of all that answered, together
    Column("slowest_ms", Double, nullable=False),
    Column("failed_at", Moment),
    Column("error", Text, nullable=False, server_default=""),  # of the last that did not
    Index("probes_of_hour", "hour"),
)

Index("slots_ended", slots.c.finished_at, slots.c.id)
Index("runs_ended", runs.c.finished_at, runs.c.id)
