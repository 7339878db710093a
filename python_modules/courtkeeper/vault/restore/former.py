"""What restores keep beside what is in use: shown, and removed by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, Finding, Result, Status
from courtkeeper.vault.findings import lasted, sized
from courtkeeper.vault.lock import alone
from courtkeeper.vault.restore import asides, sides
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.settings import PostgresSource, VaultSettings


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """Something that lies beside: `state` is `former` or `checked` (restored, and not swapped in)."""

    name: str
    of: str
    state: str
    backup: str
    at: datetime
    size: int


def former(
    settings: VaultSettings, source_name: str, *, remove: Sequence[str] = (), check_mode: bool = False
) -> Result:
    """Return what lies beside what is in use of one source, and remove what is named in `remove`.

    Raises ConfigurationError for a name that is none of ours: nothing is removed then.
    """
    source = settings.source(source_name)
    result = Result()
    with alone(settings, "restore"):
        if isinstance(source, PostgresSource):
            with Target.of(source).connected(purpose="restore") as connection:
                there = [*_databases(sides.kept(connection)), *_tables(Target.of(source), connection)]
                _require_known(there, remove)
                for name in remove:
                    result.actions.append(f"remove {name}")
                    if not check_mode:
                        _dropped(Target.of(source), connection, name)
        else:
            noted = [each for each in asides.noted(settings) if each.source == source_name]
            there = _trees(noted)
            _require_known(there, remove)
            for each in noted:
                if each.path in remove:
                    result.actions.append(f"remove {each.path}")
                    if not check_mode:
                        asides.discard(settings, each)
    result.changed = bool(remove)
    now = datetime.now(UTC)
    result.findings = [_finding(source_name, each, now) for each in there if each.name not in remove]
    result.details["beside"] = [msgspec.to_builtins(each) for each in there if each.name not in remove]
    count = len(result.findings)
    kept = f"{count} former state is" if count == 1 else f"{count} former states are"
    result.msg = f"{kept} kept beside what is in use of {source_name}"
    return result


def _databases(found: Sequence[sides.Kept]) -> list[Beside]:
    return [
        Beside(
            name=each.name,
            of=each.side.of,
            state=each.side.state,
            backup=each.side.backup,
            at=each.side.at,
            size=each.size,
        )
        for each in found
    ]


def _tables(target: Target, connection: Connection) -> list[Beside]:
    """Former tables, of every database; their name is `database:schema.table`."""
    names = connection.execute("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
    found = []
    for database in [str(name) for (name,) in names]:
        with target.connected(database) as inside:
            found += [
                Beside(
                    name=f"{database}:{schema}.{name}",
                    of=side.of,
                    state=side.state,
                    backup=side.backup,
                    at=side.at,
                    size=size,
                )
                for schema, name, side, size in sides.kept_tables(inside)
            ]
    return found


def _dropped(target: Target, connection: Connection, name: str) -> None:
    database, colon, table = name.partition(":")
    if not colon:
        sides.drop(connection, name)
        return
    with target.connected(database) as inside:
        for schema, found, *_ in sides.kept_tables(inside):
            if f"{schema}.{found}" == table:
                inside.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, found)))


def _trees(found: Sequence[asides.Aside]) -> list[Beside]:
    return [
        Beside(
            name=each.path,
            of=each.of,
            state=each.state,
            backup=each.backup,
            at=each.at,
            size=asides.size_of(each.path),
        )
        for each in found
    ]


def _require_known(there: Sequence[Beside], names: Sequence[str]) -> None:
    known = {each.name for each in there}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"{name!r} was not put aside by a restore, and is not touched: "
                f"there is {', '.join(sorted(known)) or 'nothing'}"
            )


def _finding(source: str, each: Beside, now: datetime) -> Finding:
    what = {
        "former": f"what {each.of} was before {each.backup} took its place",
        "checked": f"{each.of} as of {each.backup}, whole and not swapped in",
    }.get(each.state, f"{each.of} as of {each.backup}, which a killed restore left")
    age = lasted(max((now - each.at).total_seconds(), 0))
    return Finding(
        id="restore.beside",
        subject=each.name,
        status=Status.OK,
        observed=each.size,
        unit="bytes",
        summary=f"It is {what}, {age} ago ({sized(each.size)}).",
        fix=f"courtkeeper vault former {source} --remove {each.name}, once it is not needed",
    )
