"""The vault against `pg_dump | zstd -T0 | age` in the shell, on a 2 GiB database.

    bench_vault.py [--size MIB] [--rounds N] [--limit SECONDS]      no round begins after so many seconds

Limits: the vault's dump at least 0.9 of the shell's speed, two destinations at most 1.15 of one, our own
process under 200 MB at its peak, with three destinations too. Like the shell, that dump counts no rows. A
backup does, beside it: another process of the server reads and hashes every table, and where the dump keeps
all processors busy, as with two, its time is added; what that comes to has a limit of our own. A restore
into a new database (its rows and checksums compared, which the shell does not do, and its statistics made)
is measured against `age -d | zstd -d | pg_restore`, at least 0.9 of it; opening alone is shown beside it.
Each ratio is the median of those within a round: what else the machine does changes slowly.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from limits import hold_ratio

from support.clusters import cluster
from support.vault import Vault, postgres_source, vault

# What pgbench makes of one unit of scale, with its index.
MIB_PER_SCALE = 15
SETTINGS = {"max_wal_size": "8GB", "archive_mode": "off", "wal_level": "minimal", "max_wal_senders": "0"}

# Run by a process of its own, whose peak is then known.
TAKE = """
import json, resource, sys
from courtkeeper.vault.backup import backup
from courtkeeper.vault.settings import vault_from
backup(vault_from(json.loads(sys.stdin.read())))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
OPEN = """
import json, resource, subprocess, sys
from courtkeeper.vault import catalog, keys
from courtkeeper.vault.destinations import destination
from courtkeeper.vault.settings import vault_from
from courtkeeper.vault.unseal import unseal
settings = vault_from(json.loads(sys.stdin.read()))
place = destination(settings.destinations[0])
taken = catalog.load(settings.name, [place]).backups[0]
part = next(part for part in taken.manifest.parts if part.kind == "pg_dump")
sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
unseal(place, taken.prefix, part, keys.identities(settings.identity_file), sink.stdin.write)
sink.stdin.close()
sink.wait()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

RESTORE = """
import json, resource, sys
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from courtkeeper.vault.settings import vault_from
request = request_from({"source": "database", "beside": True})
result = restore(vault_from(json.loads(sys.stdin.read())), request)
print(json.dumps(result.metrics), file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    """Measure and print."""
    told = arguments()
    if not (shutil.which("age") and shutil.which("zstd")):
        sys.exit("bench_vault needs age and zstd: run tools/system-packages as root")
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory) / "c", SETTINGS) as server:
        home, programs = Path(directory), server.postgres.bin_dir
        environment = {**os.environ, "PGPASSWORD": server.password, "LC_ALL": "C.UTF-8"}
        way = f"-h 127.0.0.1 -p {server.postgres.port} -U courtkeeper_admin"

        def shell(command: str) -> None:
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True)

        shell(f"'{programs}/createdb' {way} big")
        scale = max(1, told.size // MIB_PER_SCALE)
        shell(f"'{programs}/pgbench' -q -i -s {scale} {way} big >/dev/null 2>&1")
        size = int(server.admin("big").execute("SELECT pg_database_size('big')").fetchone()[0])  # type: ignore[index]
        source = postgres_source(server.dsn("big"), programs, globals=False)
        one = vault(home / "one", [source])
        uncounted = vault(home / "uncounted", [source | {"checksums": False}])
        two = vault(home / "two", [source], ["local", "second"])
        three = vault(home / "three", [source], ["local", "second", "third"])
        dump = f"'{programs}/pg_dump' {way} -Fc -Z0 big | zstd -q -T0 | age -r {one.public} >'{home}/sealed'"
        undump = f"age -d -i '{one.identity_file}' '{home}/sealed' | zstd -dc | cat >/dev/null"
        unrestore = (
            f"'{programs}/dropdb' --if-exists {way} by_hand; "
            f"'{programs}/createdb' -T template0 {way} by_hand; "
            f"age -d -i '{one.identity_file}' '{home}/sealed' | zstd -dc | '{programs}/pg_restore' {way} "
            f"--exit-on-error -d by_hand"
        )
        peaks: list[float] = []
        ours: list[float] = []

        def restored() -> None:
            done = run(RESTORE, one, peaks)
            ours.append(float(json.loads(done)["filled_s"]))
            for name in left_beside(server.admin):
                shell(f"'{programs}/dropdb' --force {way} '{name}'")

        work: dict[str, Callable[[], None]] = {
            "shell": lambda: shell(dump),
            "vault, dump": lambda: run(TAKE, uncounted, peaks),
            "vault, one destination": lambda: run(TAKE, one, peaks),
            "vault, two destinations": lambda: run(TAKE, two, peaks),
            "shell, opened": lambda: shell(undump),
            "vault, opened": lambda: run(OPEN, one, peaks),
            "shell, restored": lambda: shell(unrestore),
            "vault, restored": restored,
        }
        took = measured(told, work, uncounted, one, two)
        run(TAKE, three, peaks)
    took["vault, restored, without statistics and comparing"] = ours
    print(f"database: {size / 2**20:.0f} MiB, {len(ours)} rounds, medians")
    for name, each in took.items():
        seconds = statistics.median(each)
        print(f"{name}: {seconds:.2f} s ({size / 2**20 / seconds:.0f} MiB/s)")
    print(f"peak of our process, with up to three destinations: {max(peaks):.0f} MB")

    def ratio(name: str, other: str) -> float:
        found = statistics.median(a / b for a, b in zip(took[name], took[other], strict=True))
        print(f"{name}, by {other}: {found:.2f}")
        return found

    dump_ratio = ratio("vault, dump", "shell")
    counted_ratio = ratio("vault, one destination", "shell")
    fan_ratio = ratio("vault, two destinations", "vault, one destination")
    restore_ratio = ratio("vault, restored, without statistics and comparing", "shell, restored")
    hold_ratio("the dump's time by the shell's", dump_ratio, 1 / 0.9)
    hold_ratio("a backup's time by the shell's, rows and checksums of every table added", counted_ratio, 1.4)
    hold_ratio("two destinations by one", fan_ratio, 1.15)
    hold_ratio("the restore's time by the shell's", restore_ratio, 1 / 0.9)
    hold_ratio("our own peak in MB", max(peaks), 200)


def arguments() -> argparse.Namespace:
    """Return what was told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=2048, help="MiB of the database")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=900, help="no round begins after so many seconds")
    return parser.parse_args()


def measured(
    told: argparse.Namespace, work: dict[str, Callable[[], None]], *vaults: Vault
) -> dict[str, list[float]]:
    """Return the seconds of each, by rounds; the disk's caches are written out between them."""
    took: dict[str, list[float]] = {name: [] for name in work}
    begun = time.monotonic()
    for number in range(told.rounds):
        if number and time.monotonic() - begun > told.limit:
            break
        for each in vaults:
            for place in each.told["destinations"]:
                shutil.rmtree(place["path"], ignore_errors=True)
        for name, do in work.items():
            os.sync()
            began = time.perf_counter()
            do()
            took[name].append(time.perf_counter() - began)
    return took


def left_beside(admin: Callable[[], psycopg.Connection[Any]]) -> list[str]:
    """The databases that restores left beside the one in use."""
    with admin() as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, 'big_')")
        return [str(name) for (name,) in found]


def run(script: str, chosen: Vault, peaks: list[float]) -> str:
    """Run one of our scripts on a vault, and note its peak; return what it says beside."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(chosen.told),
        text=True,
        capture_output=True,
        check=True,
    )
    peaks.append(float(done.stdout))
    return done.stderr


if __name__ == "__main__":
    main()
