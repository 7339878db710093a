"""The vault against `pg_dump | zstd -T0 | age` in the shell, on a 2 GiB database (VAULT_MIB: another size).

Limits: the vault's backup (with rows and checksums of every table) at least 0.9 of the shell's speed, two
destinations at most 1.15 of one, our own process under 200 MB at its peak. Opening is shown beside it.
"""

from __future__ import annotations

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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from limits import hold_ratio

from support.clusters import cluster
from support.vault import Vault, postgres_source, vault

MIB = int(os.environ.get("VAULT_MIB", "2048"))
ROUNDS = int(os.environ.get("VAULT_ROUNDS", "3"))
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


def main() -> None:
    """Measure and print."""
    if not (shutil.which("age") and shutil.which("zstd")):
        sys.exit("bench_vault needs age and zstd: run tools/system-packages as root")
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory) / "c", SETTINGS) as server:
        home, programs = Path(directory), server.postgres.bin_dir
        environment = {**os.environ, "PGPASSWORD": server.password, "LC_ALL": "C.UTF-8"}
        way = f"-h 127.0.0.1 -p {server.postgres.port} -U courtkeeper_admin"

        def shell(command: str) -> None:
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True)

        shell(f"'{programs}/createdb' {way} big")
        scale = max(1, MIB // MIB_PER_SCALE)
        shell(f"'{programs}/pgbench' -q -i -s {scale} {way} big >/dev/null 2>&1")
        size = int(server.admin("big").execute("SELECT pg_database_size('big')").fetchone()[0])  # type: ignore[index]
        source = postgres_source(server.dsn("big"), programs, globals=False)
        one = vault(home / "one", [source])
        two = vault(home / "two", [source], ["local", "second"])
        dump = f"'{programs}/pg_dump' {way} -Fc -Z0 big | zstd -q -T0 | age -r {one.public} >'{home}/sealed'"
        undump = f"age -d -i '{one.identity_file}' '{home}/sealed' | zstd -dc | cat >/dev/null"
        peaks: list[float] = []
        work: dict[str, Callable[[], None]] = {
            "shell": lambda: shell(dump),
            "vault, one destination": lambda: run(TAKE, one, peaks),
            "vault, two destinations": lambda: run(TAKE, two, peaks),
            "shell, opened": lambda: shell(undump),
            "vault, opened": lambda: run(OPEN, one, peaks),
        }
        took = measured(work, one, two)
    print(f"database: {size / 2**20:.0f} MiB, {ROUNDS} rounds, medians")
    for name, seconds in took.items():
        print(f"{name}: {seconds:.2f} s ({size / 2**20 / seconds:.0f} MiB/s)")
    print(f"peak of our process: {max(peaks):.0f} MB")
    one_took = took["vault, one destination"]
    hold_ratio("the vault's time by the shell's", one_took / took["shell"], 1 / 0.9)
    hold_ratio("two destinations by one", took["vault, two destinations"] / one_took, 1.15)
    hold_ratio("our own peak in MB", max(peaks), 200)


def measured(work: dict[str, Callable[[], None]], *vaults: Vault) -> dict[str, float]:
    """Return the median seconds of each; the disk's caches are written out between them."""
    took: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for each in vaults:
            for place in each.told["destinations"]:
                shutil.rmtree(place["path"], ignore_errors=True)
        for name, do in work.items():
            os.sync()
            began = time.perf_counter()
            do()
            took[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def run(script: str, chosen: Vault, peaks: list[float]) -> None:
    """Run one of our scripts on a vault, and note its peak."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(chosen.told),
        text=True,
        capture_output=True,
        check=True,
    )
    peaks.append(float(done.stdout))


if __name__ == "__main__":
    main()
