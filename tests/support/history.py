"""A store with a long history: 100,000 runs, 2,000,000 findings, put in past the store's own ways."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from courtkeeper.findings import Finding, Status
from courtkeeper.runner.record import HostFinding
from courtkeeper.store import Store
from courtkeeper.store.packing import pack_record, pack_text
from courtkeeper.store.spans import digest
from support.records import NOON, record

RUNS, FINDINGS, KEYS, SPANS, OPEN = 100_000, 2_000_000, 40_000, 300_000, 3_000
JOBS = [f"job_{n}" for n in range(25)]
SYSTEMS = [f"system_{n}" for n in range(5)]
MICROSECONDS = 1_000_000
BEGIN = int((NOON - timedelta(days=900)).timestamp()) * MICROSECONDS
STEP = 700 * MICROSECONDS
Row = tuple[object, ...]


def rows() -> Iterator[tuple[str, str, Iterator[Row]]]:
    """Each table, its columns and its rows."""
    chance = random.Random(7)
    document = pack_record(record(0, [HostFinding(host="db1", finding=FINDING)] * 20))
    yield (
        "runs",
        "id,run_id,system,job,playbook,check_mode,trigger,slot,status,worst,changed,started_at,finished_at,"
        "duration_s,hosts,findings_ok,findings_warn,actions",
        (
            (n, run_id(n), SYSTEMS[n % 5], JOBS[n % 25], JOBS[n % 25], False, "schedule",
             n, "failed" if n % 50 == 0 else "ok", "warn", True, BEGIN + n * STEP,
             BEGIN + n * STEP + MICROSECONDS, chance.uniform(5, 500), 4, 17, 3, 1)
            for n in range(1, RUNS + 1)
        ),
    )  # fmt: skip
    yield "run_hosts", "run,host,ok", ((n, f"h{k}", 9) for n in range(1, RUNS + 1) for k in range(4))
    yield "documents", "run,record", ((n, document) for n in range(RUNS - 20_000, RUNS + 1))
    printed = pack_text("".join(f"ok: [h{n % 4}] => task {n}\n" for n in range(300)))
    yield (
        "output",
        "run,seq,lines,data",
        ((n, k, 300, printed) for n in range(RUNS - 20_000, RUNS + 1) for k in range(3)),
    )
    yield "metrics", "run,name,value", ((n, "rows", n % 97) for n in range(1, RUNS + 1))
    yield (
        "finding_keys",
        "id,digest,system,job,host,finding_id,subject",
        ((n, digest(*key(n)), *key(n)) for n in range(1, KEYS + 1)),
    )
    each = FINDINGS // RUNS
    yield (
        "observations",
        "key,run,at,severity,value",
        (
            (1 + (n * each + k) % KEYS, n, BEGIN + n * STEP, (n + k) % 5, float(k))
            for n in range(1, RUNS + 1)
            for k in range(each)
        ),
    )
    yield (
        "spans",
        "id,key,system,job,host,finding_id,subject,severity,worst,opened_at,opened_run,seen_at,seen_run,times,"
        "closed_at,closed_run,closed_how,summary",
        (
            (n, 1 + n % KEYS, *key(1 + n % KEYS), 3 + n % 2, 4,
             BEGIN + n * 230 * MICROSECONDS, run_id(n % RUNS + 1),
             BEGIN + n * 231 * MICROSECONDS, run_id(n % RUNS + 1), 3,
             None if n > SPANS - OPEN else BEGIN + n * 232 * MICROSECONDS,
             "", "ok", "It is not as it should be.")
            for n in range(1, SPANS + 1)
        ),
    )  # fmt: skip
    yield (
        "slots",
        "id,system,job,scheduled_for,trigger,state,not_before,finished_at,run_id",
        (
            (n, SYSTEMS[n % 5], JOBS[n % 25], BEGIN + n * STEP, "schedule",
             "failed" if n % 50 == 0 else "ok", BEGIN, BEGIN, run_id(n))
            for n in range(1, RUNS + 1)
        ),
    )  # fmt: skip
    yield "actions", "run,seq,text,undo", ((n, 0, "did it", "undo it") for n in range(1, RUNS + 1))


FINDING = Finding(id="disk.space", subject="/", status=Status.WARN, summary="It is nearly full: make room.")


def run_id(number: int) -> str:
    return f"2024{number:08d}Z-{JOBS[number % 25]}-{number:04x}"


def key(number: int) -> tuple[str, str, str, str, str]:
    return (
        SYSTEMS[number % 5],
        JOBS[number % 25],
        f"h{number % 4}",
        f"check.{number % 60}",
        f"subject {number}",
    )


def fill(store: Store) -> None:
    """Put everything in, past the store's own ways, which keep books that nobody needs here."""
    raw = store.database.engine.raw_connection()
    connection = raw.driver_connection
    cursor = connection.cursor()
    if store.database.is_sqlite:
        cursor.execute("PRAGMA synchronous = OFF")
        cursor.execute("BEGIN")
    for table, columns, values in rows():
        marks = ",".join("?" * (columns.count(",") + 1))
        if store.database.is_sqlite:
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
        else:
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
    cursor.execute("COMMIT")
    if not store.database.is_sqlite:
        connection.autocommit = True
    cursor.execute("ANALYZE")
    raw.close()
    store.database.engine.dispose()


@contextmanager
def empty_store(engine: str, directory: Path) -> Iterator[str]:
    """Yield an empty store's place."""
    if engine == "sqlite":
        yield str(directory / "store.sqlite")
        return
    import psycopg

    from support.postgres import postgres_server

    with postgres_server(directory) as server:
        with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE store TEMPLATE template0")
        given = psycopg.conninfo.conninfo_to_dict(server.admin_dsn)
        yield f"postgresql://{given['user']}:{server.admin_password}@{server.host}:{server.port}/store"
