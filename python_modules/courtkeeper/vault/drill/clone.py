"""One Postgres backup in a scratch server: restored, written to, and looked at as closely as can be."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from courtkeeper.database import Connection
from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.drill import postgres
from courtkeeper.vault.drill.policy import DrillPolicy, Query, text_of
from courtkeeper.vault.drill.work import Drilled, Opened
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.proofs import Check
from courtkeeper.vault.restore import database, roles
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target, major, server_programs
from courtkeeper.vault.settings import PostgresSource, SourceSettings

_AMCHECK_S = 6 * 3600.0
_NAMED = 5


def clone(opened: Opened, path: Path, source: SourceSettings | None, policy: DrillPolicy) -> Drilled:
    """Restore a backup into a scratch server below `path`, and judge what came out.

    Raises RestoreError, DamagedError and their like where it cannot be restored at all.
    """
    told = policy.bin_directory or (source.bin_directory if isinstance(source, PostgresSource) else "")
    manifest = opened.backup.manifest
    # Not older than the server was, nor than the programs that wrote the dump, which older ones do not read.
    versions = (manifest.server.get("version", ""), manifest.software.get("pg_dump", ""))
    programs = server_programs(told, max(versions, key=major))
    preload = manifest.recovery_settings.get("shared_preload_libraries", "")
    opened.trace("scratch:begin")
    with postgres.server(path, programs, preload) as target:
        opened.trace("scratch:up")
        drilled = Drilled()
        drilled.software["postgres"] = _version(target)
        _restored(opened, target, drilled)
        names = [part.database for part in manifest.parts if part.kind == "pg_dump"]
        for name in names:
            drilled.heartbeats.append(_heartbeat(target, name, policy))
        _contents(opened, target, drilled)
        opened.trace("contents")
        if policy.amcheck:
            drilled.checks += [amcheck(target, name) for name in names]
        opened.trace("amcheck")
        asked = [query for query in policy.queries if query.source in ("", opened.backup.source)]
        drilled.checks += [_asked(target, query, names, policy.rounds) for query in asked]
        opened.trace("queries")
    return drilled


def _version(target: Target) -> str:
    with target.connected() as connection:
        return str(connection.info.parameter_status("server_version"))


def _restored(opened: Opened, target: Target, drilled: Drilled) -> None:
    """Restore globals and every database, and write: until then nobody could work."""
    manifest = opened.backup.manifest
    arguments = _roles(opened, target, drilled)
    for part in (part for part in manifest.parts if part.kind == "pg_dump"):
        with target.connected() as connection:
            database.create(connection, part.database, database.facts(manifest, part.database))
        opened.trace(f"created:{part.database}")
        begun = time.monotonic()
        database.fill(
            target,
            part.database,
            part,
            opened.backup,
            opened.place,
            opened.identities,
            arguments=arguments,
            progress=lambda size, part=part: opened.progress(part, size),  # type: ignore[misc]
        )
        drilled.restore_s += time.monotonic() - begun
        opened.trace(f"restored:{part.database}")
    for part in (part for part in manifest.parts if part.kind == "pg_dump"):
        with target.connected(part.database) as connection:
            _written(connection)
    drilled.rto_s = time.monotonic() - opened.begun
    drilled.checks.append(
        Check(name="restore", passed=True, sentence=f"restored and written to in {drilled.rto_s:.1f} s")
    )
    opened.trace("written")


def _roles(opened: Opened, target: Target, drilled: Drilled) -> list[str]:
    part = next((part for part in opened.backup.manifest.parts if part.kind == "pg_globals"), None)
    if part is None:
        drilled.checks.append(
            Check(
                name="globals",
                passed=None,
                sentence="the backup has no globals: owners and grants were left out",
            )
        )
        return ["--no-owner", "--no-acl"]
    script = roles.read(opened.backup, part, opened.place, opened.identities)
    with target.connected() as connection:
        applied = roles.apply(connection, script)
    refused = f"; refused: {'; '.join(applied.refused[:_NAMED])}" if applied.refused else ""
    drilled.checks.append(
        Check(
            name="globals",
            passed=not applied.refused or None,
            sentence=f"{len(applied.made)} roles made{refused}",
            observed=len(applied.made),
            unit="roles",
        )
    )
    return []


def _written(connection: Connection) -> None:
    """Write something and take it away again, each committed."""
    connection.execute("CREATE SCHEMA courtkeeper_drill")
    connection.execute("CREATE TABLE courtkeeper_drill.written AS SELECT now() AS at")
    connection.execute("DROP SCHEMA courtkeeper_drill CASCADE")


def _heartbeat(target: Target, name: str, policy: DrillPolicy) -> datetime | None:
    """Return the newest moment that the data hold; None where nobody says it."""
    with target.connected(name) as connection:
        query = policy.heartbeat.get(name, "")
        if not query:
            row = connection.execute("SELECT to_regclass('courtkeeper.heartbeat')").fetchone()
            if not row or row[0] is None:
                return None
            query = "SELECT max(beat_at) FROM courtkeeper.heartbeat"
        row = connection.execute(query.encode()).fetchone()
    moment = row[0] if row else None
    if moment is not None and not isinstance(moment, datetime):
        raise RestoreError(f"policy.drill.heartbeat.{name} gives {type(moment).__name__}, no moment in time")
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _contents(opened: Opened, target: Target, drilled: Drilled) -> None:
    manifest = opened.backup.manifest
    for part in (part for part in manifest.parts if part.kind == "pg_dump"):
        drilled.checks.append(_compared(part, target, manifest.server.get("version", "")))


def _compared(part: Part, target: Target, version: str) -> Check:
    name = f"contents of {part.database}"
    if not part.tables:
        return Check(
            name=name, passed=None, sentence="the manifest has no rows and checksums to compare with"
        )
    with target.connected(part.database) as connection:
        wrong = database.differences(connection, part)
        here = str(connection.info.parameter_status("server_version"))
    known = sum(table.checksum is not None for table in part.tables)
    rows = sum(table.rows or 0 for table in part.tables)
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        text = f"tables differ: {'; '.join(wrong[:_NAMED])}{more} (from {version}, into {here})"
        return Check(name=name, passed=False, sentence=text, observed=len(wrong), limit=0, unit="tables")
    text = f"{len(part.tables)} tables and {rows} rows as in the manifest, checksums of {known} alike"
    return Check(name=name, passed=True, sentence=text, observed=rows, unit="rows")


def amcheck(target: Target, name: str) -> Check:
    """Every heap and B-tree of a database, as closely as amcheck can."""
    label = f"amcheck of {name}"
    try:
        program = target.program("pg_amcheck")
    except CourtkeeperError as error:
        return Check(name=label, passed=None, sentence=str(error))

    command: list[str | Path] = [
        program, "--install-missing", "--heapallindexed", "--parent-check", "--rootdescend", "--no-password",
        f"--maintenance-db={target.conninfo(target.maintenance)}", f"--host={target.host}",
        f"--port={target.port}", f"--username={target.user}", f"--database={name}",
    ]  # fmt: skip
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command, env=target.environment("drill"), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=_AMCHECK_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name=label, passed=None, sentence=f"pg_amcheck cannot be run to its end: {error}"[:200])
    took = time.monotonic() - begun
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode == 0:
        return Check(
            name=label, passed=True, sentence=f"no fault in {took:.1f} s", observed=round(took, 2), unit="s"
        )
    missing = "could not open extension control file" in done.stderr or "is not available" in done.stderr
    return Check(name=label, passed=None if missing else False, sentence="; ".join(lines[:3])[:400])


def _asked(target: Target, query: Query, names: Sequence[str], rounds: int) -> Check:
    """Ask one query as often as told, and return the 95th percentile of what it took."""
    name = query.database or (names[0] if names else "")
    label = f"query {query.name}"
    if name not in names:
        return Check(name=label, passed=None, sentence=f"the backup has no database {name!r}")
    try:
        with target.connected(name, purpose="drill") as connection:
            connection.execute("SET default_transaction_read_only = on")
            took = _timed(connection, query, rounds)
    except (CourtkeeperError, psycopg.Error) as error:
        return Check(name=label, passed=False, sentence=" ".join(str(error).split())[:300])
    p95 = percentile(took, 0.95)
    within = not query.limit_ms or p95 <= query.limit_ms
    return Check(
        name=label,
        passed=True if within else None,
        sentence=f"95 of 100 answers within {p95:.1f} ms"
        + ("" if within else f", agreed are {query.limit_ms:g} ms"),
        observed=round(p95, 2),
        limit=query.limit_ms or None,
        unit="ms",
    )


def _timed(connection: Connection, query: Query, rounds: int) -> list[float]:
    values = {key: _values(connection, statement) for key, statement in query.parameters.items()}
    connection.execute("SELECT 1")
    text = text_of(query).encode()
    took = []
    for number in range(rounds):
        given: Mapping[str, Any] = {key: rows[number % len(rows)] for key, rows in values.items()}
        begun = time.perf_counter()
        connection.execute(text, given or None).fetchall()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _values(connection: Connection, statement: str) -> list[Any]:
    rows = [row[0] for row in connection.execute(statement.encode()).fetchmany(1000)]
    if not rows:
        raise RestoreError(f"the query for parameters {statement[:80]!r} gives no row")
    return rows


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of some numbers."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
