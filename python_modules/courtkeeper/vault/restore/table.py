"""One table: out of the dump into a database beside, checked there, its rows exchanged in one transaction.

The table in use stays the same table, so that views, foreign keys, grants and indexes stay with it: its rows
are replaced, and those it had are kept in a table of their own. Foreign keys are checked before the commit.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.vault import tables
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.manifest import Part, Table
from courtkeeper.vault.restore import copies, database, estimate, postgres, room, sides
from courtkeeper.vault.restore.feed import RestoreError, feed
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.restore.work import Work
from courtkeeper.vault.settings import PostgresSource
from courtkeeper.vault.unseal import unseal

_ENTRY = re.compile(r"\A\d+; \d+ \d+ (.*)\Z")
# What speaks of rows that are not there in the side database, or acts on them.
_LEFT_OUT = ("FK CONSTRAINT ", "TRIGGER ", "EVENT TRIGGER ", "RULE ", "PUBLICATION ", "SUBSCRIPTION ")
_OTHER_DATA = ("TABLE DATA ", "MATERIALIZED VIEW DATA ", "BLOB", "LARGE OBJECT")
_COLUMNS = """
SELECT a.attname FROM pg_attribute a
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 ORDER BY a.attnum
"""
_FOREIGN_KEYS = """
SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,
       (SELECT array_agg(a.attname ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k (num, n)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num),
       (SELECT array_agg(a.attname ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k (num, n)
          JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num)
  FROM pg_constraint c
 WHERE c.contype = 'f' AND c.convalidated AND (c.conrelid = %(t)s::regclass OR c.confrelid = %(t)s::regclass)
"""


def wanted(work: Work) -> tuple[Part, Table]:
    """Return the dump and what its manifest says of the table. Raises ConfigurationError."""
    (part,) = postgres.wanted(work)[:1]
    name = work.request.table
    for table in part.tables:
        if table.qualified == name:
            return part, table
    alike = [table.qualified for table in part.tables if table.qualified.startswith(name)][:5]
    hint = f"; it has {', '.join(alike)} (of a partitioned table, name its partitions)" if alike else ""
    raise ConfigurationError(f"{work.backup.id} has no table {name!r} in {part.database}{hint}")


def plan(work: Work, source: PostgresSource) -> None:
    """Say what would happen."""
    part, table = wanted(work)
    target = postgres.target_of(source, [part])
    with target.connected() as connection:
        if short := room.lacking(work, connection, target, [part]):
            work.found("refused", table.qualified, Status.CRIT, f"It would be refused: {short}.")
    copies.from_copies(
        work.backup,
        work.places,
        lambda place: copies.require_key(work.backup, [part], place, work.identities),
        first=work.request.destination,
    )
    how_long = estimate.duration(work.settings, "postgres", part.plain_size)
    work.result.actions.append(
        f"restore {table.qualified} ({table.rows} rows) of {work.backup.id} ({work.age} old) into a database "
        f"beside, and check it (the whole dump is read: {how_long})"
    )
    if not work.request.beside:
        with target.connected(part.database) as connection:
            if refused := refusal(work, connection, table):
                work.found("refused", table.qualified, Status.CRIT, f"It would be refused: {refused}.")
            differences = estimate.lost(connection, part, [table.qualified])
        work.result.actions.append(
            f"replace the rows of {table.qualified} in {part.database}; those it has now are kept as "
            f"{table.qualified}_former_…"
        )
        text = f"Lost would be {estimate.summary(differences, work.backup.taken_at, work.now())}."
        work.found("lost", table.qualified, Status.WARN, text, fix="it stays readable in the former table")
    work.result.changed = True
    work.result.msg = f"would restore {table.qualified} from {work.backup.id}"


def refusal(work: Work, connection: Connection, table: Table) -> str:
    """Say why it may not be done; empty where it may."""
    row = connection.execute(
        "SELECT c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s",
        (table.schema, table.name),
    ).fetchone()
    if row is None:
        return f"there is no table {table.qualified} to put the rows into: restore it beside, and make it"
    if row[0] != "r":
        return f"{table.qualified} is no plain table now: restore it beside"
    filled = connection.execute(
        sql.SQL("SELECT EXISTS (SELECT FROM ONLY {})").format(sql.Identifier(table.schema, table.name))
    ).fetchone()
    if filled and filled[0] and table.qualified not in work.request.replace:
        return f"{table.qualified} is in use: say replace {table.qualified}, or restore it beside"
    return ""


def restore(work: Work, source: PostgresSource) -> None:
    """Restore the table. Raises as the restore of a database does."""
    part, table = wanted(work)
    target = postgres.target_of(source, [part])
    with target.connected() as connection:
        if not sides.locked(connection):
            raise CourtkeeperError(f"another restore is at work on {target.where}: wait for its end")
        work.trace("locked")
        if not work.request.beside:
            with target.connected(part.database) as live:
                if refused := refusal(work, live, table):
                    raise ConfigurationError(f"{refused}: nothing was done")
        postgres.clear(work, target, connection)
        room.require(work, connection, target, [part])
        side = copies.from_copies(
            work.backup,
            work.places,
            lambda place: _aside(work, target, connection, part, table, place),
            first=work.request.destination,
        )
        if work.request.beside:
            postgres.keep(work, connection, part.database, side)
            work.did(f"restored {table.qualified} into the database {side}, beside the one in use")
            return
        try:
            _exchanged(work, target, part, table, side)
        finally:
            sides.discard(target, connection, side)
        work.trace("dropped")


def _aside(
    work: Work, target: Target, connection: Connection, part: Part, table: Table, place: Destination
) -> str:
    """Restore every definition and the rows of one table into a database beside; return its name."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="courtkeeper-restore-") as directory:
        chosen = Path(directory, "list")
        entries = _listed(work, target, part, place)
        chosen.write_text("\n".join(line for line in entries if _is_kept(line, table)) + "\n")
        work.trace("listed")
        name = postgres.aside(work, target, connection, part, place, ["--use-list", str(chosen)])
    try:
        _judged(work, target, part, table, name)
    except BaseException:
        sides.discard(target, connection, name)
        raise
    work.remember(part.plain_size, time.monotonic() - begun)
    work.trace("checked")
    return name


def _judged(work: Work, target: Target, part: Part, table: Table, name: str) -> None:
    with target.connected(name) as inside:
        wrong = database.differences(inside, part, [table.qualified])
    if wrong and not work.request.accept_differences:
        raise RestoreError(f"the table did not come out as it was backed up: {'; '.join(wrong)}")
    text = "; ".join(wrong) or f"{table.rows} rows as in the manifest"
    work.found("contents", table.qualified, Status.CRIT if wrong else Status.OK, f"{text}.")


def _listed(work: Work, target: Target, part: Part, place: Destination) -> list[str]:
    """Return the dump's table of contents, reading no more of it than that."""
    with tempfile.TemporaryFile() as output:
        feed(
            [target.program("pg_restore"), "--list"],
            target.environment(),
            lambda write: unseal(place, work.backup.prefix, part, work.identities, write),
            output,
        )
        output.seek(0)
        return output.read().decode(errors="surrogateescape").splitlines()


def _is_kept(line: str, table: Table) -> bool:
    match = _ENTRY.match(line)
    if match is None:
        return False
    what = match[1]
    if what.startswith(f"TABLE DATA {table.schema} {table.name} "):
        return True
    return not what.startswith((*_LEFT_OUT, *_OTHER_DATA))


def _exchanged(work: Work, target: Target, part: Part, table: Table, side: str) -> None:
    """Replace the rows in one transaction, with the former ones kept beside."""
    former = sides.name_for(table.name, "former", work.now())
    with target.connected(side) as source, target.connected(part.database) as live:
        columns = _columns(source, live, table)
        try:
            with live.transaction():
                work.trace("exchanging")
                _without_triggers(live)
                _kept(work, live, table, former)
                work.trace("kept")
                _copied(source, live, table, columns)
                work.trace("copied")
                _require_good(work, live, table, columns)
                work.trace("exchanged")
        except errors.LockNotAvailable as error:
            raise RestoreError(
                f"{table.qualified} is held by others: nothing was changed; try again, or end their sessions"
            ) from error
    work.trace("swapped")
    work.did(f"swapped in {table.qualified} as of {work.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC")
    name = f"{part.database}:{table.schema}.{former}"
    work.found(
        "former",
        table.qualified,
        Status.OK,
        f"The rows it had before are kept in {table.schema}.{former}.",
        fix=f"courtkeeper vault former {work.request.source} --remove '{name}', when not needed",
    )
    work.result.details["former"] = {table.qualified: name}


def _columns(source: Connection, live: Connection, table: Table) -> list[str]:
    name = sql.Identifier(table.schema, table.name).as_string(None)
    then = [str(column) for (column,) in source.execute(_COLUMNS, (name,))]
    now = {str(column) for (column,) in live.execute(_COLUMNS, (name,))}
    if gone := [column for column in then if column not in now]:
        raise ConfigurationError(
            f"{table.qualified} has no column {', '.join(gone)} any more: restore it beside, and copy by hand"
        )
    return then


def _without_triggers(live: Connection) -> None:
    """Let no trigger act on what only comes back; foreign keys are checked by us afterwards."""
    try:
        with live.transaction():
            live.execute("SET LOCAL session_replication_role = replica")
    except errors.InsufficientPrivilege:
        return  # then Postgres itself checks them, row by row


def _kept(work: Work, live: Connection, table: Table, former: str) -> None:
    here, there = sql.Identifier(table.schema, table.name), sql.Identifier(table.schema, former)
    live.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(here))
    live.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM ONLY {}").format(there, here))
    side = sides.beside(work.backup, table.qualified, work.now())
    sides.mark_table(live, table.schema, former, msgspec.structs.replace(side, state="former"))
    live.execute(sql.SQL("DELETE FROM ONLY {}").format(here))


def _copied(source: Connection, live: Connection, table: Table, columns: Sequence[str]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    here = sql.Identifier(table.schema, table.name)
    out = sql.SQL("COPY (SELECT {} FROM ONLY {}) TO STDOUT").format(names, here)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(here, names)
    with source.cursor().copy(out) as reading, live.cursor().copy(into) as writing:
        for chunk in reading:
            writing.write(chunk)


def _require_good(work: Work, live: Connection, table: Table, columns: Sequence[str]) -> None:
    (found,) = tables.measured(live, [(table.schema, table.name)], [table])
    wrong = tables.compared([table], [found])
    name = sql.Identifier(table.schema, table.name).as_string(None)
    row = live.execute(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (name,),
    ).fetchone()
    if row and int(row[0]) != len(columns) and found.rows == table.rows:
        wrong = []  # it has other columns now, and its checksum with them
    wrong += _orphans(live, name)
    if wrong and not work.request.accept_differences:
        raise RestoreError(
            f"the rows do not fit: {'; '.join(wrong)[:400]}. Nothing was changed; restore what they "
            "refer to, too, or restore beside"
        )


def _orphans(live: Connection, name: str) -> list[str]:
    """Say which foreign keys from or to a table do not hold."""
    found = []
    for key, child, parent, columns, others in live.execute(_FOREIGN_KEYS, {"t": name}).fetchall():
        pairs = list(zip(columns, others, strict=True))
        joined = sql.SQL(" AND ").join(
            sql.SQL("c.{} = p.{}").format(sql.Identifier(a), sql.Identifier(b)) for a, b in pairs
        )
        given = sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(a)) for a, _ in pairs)
        statement = sql.SQL(
            "SELECT count(*) FROM {} c WHERE {} AND NOT EXISTS (SELECT FROM {} p WHERE {})"
        ).format(sql.SQL(child), given, sql.SQL(parent), joined)  # regclass's own text is quoted
        row = live.execute(statement).fetchone()
        if row and row[0]:
            found.append(f"{row[0]} rows of {child} refer to nothing ({key})")
    return found
