"""A scheduler's year on an injected clock: how long a tick takes, and whether memory stays flat.

The store holds 100,000 runs and 2,000,000 findings of the years before, a fifth of them of the same system.
Run it as `python tests/benchmarks/bench_scheduler.py`. The executor is a fake one: it runs nothing.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from courtkeeper.store import open_store
from support.history import SYSTEMS, fill
from support.scheduling import Bench

DAYS = 365
EVERY = timedelta(hours=1)
LIMIT_MS = 50.0
GROWTH_MB = 8.0


def jobs() -> list[dict[str, object]]:
    """Thirty jobs: hourly, daily, weekly and monthly ones, with windows, locks and retries."""
    rules = [
        "FREQ=DAILY;BYHOUR=0,12;BYMINUTE=5",
        "FREQ=DAILY;BYHOUR=3;BYMINUTE=30",
        "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3;BYMINUTE=0",
        "FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=3;BYMINUTE=15",
    ]
    zones = ["UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe"]
    return [
        {
            "name": f"job_{n}",
            "schedule": rules[n % 4],
            "time_zone": zones[n // 4 % 4],
            "window": "" if n % 4 == 0 else "03:00-05:00",
            "disruptive": n % 4 == 3,
            "concurrency": [f"resource:r{n % 3}"],
            "retries": {"times": 1},
        }
        for n in range(30)
    ]


def resident_mb() -> float:
    """What this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure and print."""
    times: list[float] = []
    processor: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as directory, open_store(Path(directory)) as store:
        fill(store)
        bench = Bench(store, Path(directory), *jobs(), lease=timedelta(days=1), system=SYSTEMS[0])
        ticks = int(timedelta(days=DAYS) / EVERY)
        for number in range(ticks):
            bench.now += EVERY
            bench.monotonic += EVERY.total_seconds()
            began, used = time.perf_counter(), time.process_time()
            bench.scheduler.tick()
            times.append(time.perf_counter() - began)
            processor.append(time.process_time() - used)
            bench.executor.started.clear()
            if number % (ticks // 12) == ticks // 12 - 1:
                memory.append(resident_mb())
        slots = len(store.slots.between(bench.now - timedelta(days=DAYS), bench.now, limit=10**6))
        assert not bench.said, bench.said
    wall, cpu = (statistics.quantiles(each, n=1000)[998] * 1000 for each in (times, processor))
    growth = memory[-1] - memory[1]
    sys.stdout.write(
        f"{ticks} ticks, {slots} slots: median {statistics.median(times) * 1000:.2f} ms, p99.9 {wall:.1f} ms "
        f"({cpu:.1f} ms of processor time); "
        f"memory {memory[1]:.0f} MB after two months, {growth:+.1f} MB after twelve\n"
    )
    if wall > LIMIT_MS:
        raise SystemExit(f"MISSED: a tick took {wall:.1f} ms, the limit is {LIMIT_MS:g} ms")
    if growth > GROWTH_MB:
        raise SystemExit(f"MISSED: memory grew by {growth:.1f} MB, the limit is {GROWTH_MB:g} MB")


if __name__ == "__main__":
    main()
