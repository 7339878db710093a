"""Databases: each beside the one in use, checked there, and all of them swapped in at one moment."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.restore import copies, database, estimate, properties, roles, room, sides, swap
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target, major
from courtkeeper.vault.restore.swap import Swap
from courtkeeper.vault.restore.work import Work
from courtkeeper.vault.settings import PostgresSource
from courtkeeper.vault.sources import programs

_NAMED = 5


class InUse(msgspec.Struct, frozen=True):
    """What speaks against replacing a database: its tables and who is connected."""

    tables: int
    sessions: list[str]

    def __str__(self) -> str:
        """`12 tables, 1 session: psql as nba (pid 17)`."""
        said = [f"{self.tables} tables"] if self.tables else []
        if self.sessions:
            said.append(f"{len(self.sessions)} sessions: {', '.join(self.sessions[:_NAMED])}")
        return ", ".join(said)


def wanted(work: Work) -> list[Part]:
    """Return the dumps that the request is about. Raises ConfigurationError where there is none."""
    dumps = [part for part in work.backup.manifest.parts if part.kind == "pg_dump"]
    name = work.request.database
    if name:
        dumps = [part for part in dumps if part.database == name]
    elif work.request.table and len(dumps) > 1:
        raise ConfigurationError("database is empty, and the backup has several: name the table's database")
    if not dumps:
        known = ", ".join(part.database for part in work.backup.manifest.parts if part.database)
        raise ConfigurationError(
            f"the backup {work.backup.id} has no database {name!r}: it has {known or 'none'}"
        )
    return dumps


def target_of(source: PostgresSource, parts: Sequence[Part]) -> Target:
    """Return the server, entered by a database that is not restored."""
    return Target.of(source, [part.database for part in parts])


def plan(work: Work, source: PostgresSource) -> None:
    """Say what would happen, how long it should take, and what would be lost. Raises as `restore` does."""
    parts = wanted(work)
    target = target_of(source, parts)
    request, result = work.request, work.result
    with target.connected() as connection:
        _require_programs(target, connection, work)
        busy = in_use(connection, target, parts)
        refused = refusal(work, busy) or room.lacking(work, connection, target, parts)
        gone = sides.leftovers(connection)
    copies.from_copies(
        work.backup,
        work.places,
        lambda place: copies.require_key(work.backup, parts, place, work.identities),
        first=request.destination,
    )
    result.actions += [f"remove {name}, which a killed restore left" for name in gone]
    if _with_roles(work):
        result.actions.append(f"make the roles and tablespaces that {target.where} lacks")
    for part in parts:
        how_long = estimate.duration(work.settings, "postgres", part.plain_size)
        result.actions.append(
            f"restore {part.database} from {work.backup.id} ({work.age} old) beside the one in use, and "
            f"check rows and checksums of {len(part.tables)} tables ({how_long})"
        )
        if not request.beside:
            _plan_swap(work, target, part, busy)
    if refused:
        work.found("refused", request.source, Status.CRIT, f"It would be refused: {refused}.")
    result.changed = bool(result.actions)
    result.msg = f"would restore {', '.join(part.database for part in parts)} from {work.backup.id}"


def _plan_swap(work: Work, target: Target, part: Part, busy: dict[str, InUse]) -> None:
    name = part.database
    if name not in busy:
        work.result.actions.append(f"call it {name}, as nothing has that name")
        return
    ended = busy[name].sessions if work.request.end_sessions else []
    ending = f", ending {len(ended)} sessions" if ended else ""
    work.result.actions.append(
        f"swap it in as {name}{ending}; what is {name} now is kept as {name}_former_… until told"
    )
    with target.connected(name) as connection:
        differences = estimate.lost(connection, part)
    work.found(
        "lost",
        name,
        Status.WARN if differences else Status.OK,
        f"Lost would be {estimate.summary(differences, work.backup.taken_at, work.now())}.",
        fix="it stays readable in the former database" if differences else "",
    )
    work.result.details["lost"] = work.result.details.get("lost", {}) | {
        name: [msgspec.to_builtins(each) for each in differences]
    }


def restore(work: Work, source: PostgresSource) -> None:
    """Restore the databases that are wanted.

    Raises ConfigurationError where it is refused (nothing was done), RestoreError and DestinationError where
    it fails: then what is in use is as it was, and nothing of ours is left.
    """
    parts = wanted(work)
    target = target_of(source, parts)
    with target.connected(purpose="restore") as connection:
        if not sides.locked(connection):
            raise CourtkeeperError(f"another restore is at work on {target.where}: wait for its end")
        work.trace("locked")
        _require_programs(target, connection, work)
        if refused := refusal(work, in_use(connection, target, parts)):
            raise ConfigurationError(f"{refused}: nothing was done")
        clear(work, target, connection)
        work.trace("swept")
        room.require(work, connection, target, parts)
        copies.from_copies(
            work.backup,
            work.places,
            lambda place: _restored(work, target, connection, parts, place),
            first=work.request.destination,
        )


def _restored(
    work: Work, target: Target, connection: Connection, parts: Sequence[Part], place: Destination
) -> None:
    copies.require_key(work.backup, parts, place, work.identities)
    if _with_roles(work):
        _roles(work, connection, place)
    made: dict[str, str] = {}
    try:
        begun = time.monotonic()
        for part in parts:
            made[part.database] = aside(work, target, connection, part, place)
        work.remember(sum(part.plain_size for part in parts), time.monotonic() - begun)
        for part in parts:
            _judged(work, target, connection, part, made[part.database])
    except BaseException:
        for name in made.values():
            sides.discard(target, connection, name)
        raise
    if work.request.beside:
        for name, side in made.items():
            work.did(f"restored {name} as {side}, beside the one in use")
        return
    _swapped(work, target, connection, made)


def aside(
    work: Work,
    target: Target,
    connection: Connection,
    part: Part,
    place: Destination,
    arguments: Sequence[str] = (),
) -> str:
    """Restore one dump into a new database, and return its name; nothing is left where it fails."""
    now = work.now()
    name = sides.name_for(part.database, "restored", now)
    work.trace(f"creating:{part.database}")
    try:
        database.create(connection, name, database.facts(work.backup.manifest, part.database))
        work.trace(f"created:{part.database}")
        sides.mark(connection, name, sides.beside(work.backup, part.database, now))
        work.trace(f"marked:{part.database}")
        begun = time.monotonic()
        database.fill(
            target,
            name,
            part,
            work.backup,
            place,
            work.identities,
            arguments=arguments,
            progress=lambda size: work.passed(part, size),
        )
        work.filled_s += time.monotonic() - begun
        work.trace(f"filled:{part.database}")
        with target.connected(name) as inside:
            inside.execute("ANALYZE")
    except BaseException:
        sides.discard(target, connection, name)
        raise
    return name


def _judged(work: Work, target: Target, connection: Connection, part: Part, name: str) -> None:
    """Compare with the manifest, and note that it is whole. Raises RestoreError where it is not."""
    with target.connected(name) as inside:
        wrong = database.differences(inside, part)
    work.trace(f"checked:{part.database}")
    rows = sum(table.rows or 0 for table in part.tables)
    if wrong:
        text = "; ".join(wrong[:_NAMED]) + (
            f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        )
        if not work.request.accept_differences:
            raise RestoreError(
                f"{part.database} did not come out as it was backed up: {text}. It was removed again; try "
                "another backup, or say accept_differences"
            )
        work.found("contents", part.database, Status.CRIT, f"It is not as it was backed up: {text}.")
    elif part.tables:
        text = f"All {len(part.tables)} tables and {rows} rows are as in the manifest."
        work.found("contents", part.database, Status.OK, text)
    else:
        work.found("contents", part.database, Status.SKIPPED, "The manifest has no rows to compare with.")
    missing = properties.apply(connection, name, database.facts(work.backup.manifest, part.database))
    if missing:
        text = f"Grants or settings of {', '.join(missing[:_NAMED])} were left out: there are no such roles."
        work.found("roles", part.database, Status.WARN, text, fix="restore the roles, too (roles: true)")
    if work.request.beside:
        keep(work, connection, part.database, name)
    work.trace(f"whole:{part.database}")


def keep(work: Work, connection: Connection, database_name: str, name: str) -> None:
    """Note that a restored database stays where it is: no later run takes it for what a killed one left."""
    side = sides.beside(work.backup, database_name, work.now())
    sides.mark(connection, name, msgspec.structs.replace(side, state="checked"))


def _swapped(work: Work, target: Target, connection: Connection, made: dict[str, str]) -> None:
    now = work.now()
    swaps = [
        Swap(
            database=name,
            restored=restored,
            former=sides.name_for(name, "former", now),
            side=sides.beside(work.backup, name, now),
        )
        for name, restored in made.items()
    ]
    work.trace("swapping")
    try:
        former = swap.swap(
            connection, target, swaps, now, end_sessions=work.request.end_sessions, trace=work.trace
        )
    except RestoreError as error:
        error.partial = work.result
        for name, restored in made.items():
            keep(work, connection, name, restored)
            work.did(f"restored {name} as {restored}, which is whole and stays beside the one in use")
        raise
    work.trace("swapped")
    for name in made:
        work.did(f"swapped in {name} as of {work.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC")
        if name in former:
            work.found(
                "former",
                name,
                Status.OK,
                f"What was {name} before is kept as {former[name]}.",
                undo=f"ALTER DATABASE … RENAME: {name} away, and {former[name]} to {name}",
                fix=f"courtkeeper vault former {work.request.source} --remove {former[name]}, once it is "
                "not needed any more",
            )
    work.result.details["former"] = dict(former)


def _with_roles(work: Work) -> bool:
    return work.request.roles or not (work.request.database or work.request.table)


def _roles(work: Work, connection: Connection, place: Destination) -> None:
    part = next((part for part in work.backup.manifest.parts if part.kind == "pg_globals"), None)
    if part is None:
        work.found("roles", work.request.source, Status.WARN, "The backup has no roles.")
        return
    applied = roles.apply(connection, roles.read(work.backup, part, place, work.identities))
    work.trace("roles")
    for name in applied.made:
        work.did(f"made the role {name}")
    if applied.refused:
        text = (
            f"{len(applied.refused)} statements about roles were refused: {'; '.join(applied.refused[:3])}."
        )
        work.found("roles", work.request.source, Status.WARN, text, fix="make them by hand")


def in_use(connection: Connection, target: Target, parts: Sequence[Part]) -> dict[str, InUse]:
    """Return the databases that are there already, with what speaks against replacing them."""
    there = {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}
    found = {}
    for part in parts:
        if part.database in there:
            who = swap.sessions(connection, part.database)
            with target.connected(part.database) as inside:
                row = inside.execute("SELECT count(*) FROM pg_stat_user_tables").fetchone()
            found[part.database] = InUse(int(row[0]) if row else 0, who)
    return found


def refusal(work: Work, busy: dict[str, InUse]) -> str:
    """Say why it may not be done; empty where it may."""
    request = work.request
    if request.beside or request.table:
        return ""
    for name, use in busy.items():
        if (use.tables or use.sessions) and name not in request.replace:
            return f"the database {name} is in use ({use}): say replace {name}, or restore it beside"
        if use.sessions and not request.end_sessions:
            return f"the database {name} is in use ({use}): end the sessions, or say end_sessions"
    return ""


def clear(work: Work, target: Target, connection: Connection) -> None:
    """Remove what killed restores left on the server. Whoever calls holds its lock."""
    marked = {each.name for each in sides.kept(connection)}
    for name in sides.leftovers(connection):
        if name not in marked:
            with target.connected(name) as inside:
                if not sides.is_empty(inside):
                    continue  # somebody's own, by chance of that name
        sides.drop(connection, name)
        work.did(f"removed {name}, which a killed restore had left")


def _require_programs(target: Target, connection: Connection, work: Work) -> None:
    """See that our pg_restore can read the dump, and that the server can take it."""
    ours = major(programs.version_of(target.program("pg_restore")))
    made_by = major(work.backup.manifest.software.get("pg_dump", ""))
    if ours < made_by:
        raise ConfigurationError(
            f"the dump was made by pg_dump {made_by}, and pg_restore is of {ours}: install the client "
            f"programs of {made_by} and name their bin_directory"
        )
    theirs = connection.info.server_version // 10000
    taken_from = major(work.backup.manifest.server.get("version", ""))
    if theirs < taken_from:
        work.found(
            "version",
            target.where,
            Status.WARN,
            f"The backup is of Postgres {taken_from}, and the server is {theirs}: it may not take all of it.",
        )
