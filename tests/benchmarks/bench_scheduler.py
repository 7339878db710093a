"""A scheduler's year on an injected clock: how long a tick takes, and whether memory stays flat.

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

from limits import hold

from courtkeeper.store import open_store
from support.scheduling import Bench

DAYS = 365
EVERY = timedelta(hours=1)
LIMIT_S = 0.050
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
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as directory, open_store(Path(directory)) as store:
        bench = Bench(store, Path(directory), *jobs(), lease=timedelta(days=1))
        ticks = int(timedelta(days=DAYS) / EVERY)
        for number in range(ticks):
            bench.now += EVERY
            bench.monotonic += EVERY.total_seconds()
            began = time.perf_counter()
            bench.scheduler.tick()
            times.append(time.perf_counter() - began)
            bench.executor.started.clear()
            if number % (ticks // 12) == ticks // 12 - 1:
                memory.append(resident_mb())
        slots = len(store.slots.between(bench.now - timedelta(days=DAYS), bench.now, limit=10**6))
        assert not bench.said, bench.said
    cut = statistics.quantiles(times, n=1000)
    growth = memory[-1] - memory[1]
    sys.stdout.write(
        f"{ticks} ticks, {slots} slots: median {statistics.median(times) * 1000:.2f} ms, "
        f"p95 {cut[949] * 1000:.1f} ms, p99.9 {cut[998] * 1000:.1f} ms; "
        f"memory {memory[1]:.0f} MB after two months, {growth:+.1f} MB after twelve\n"
    )
    hold("a tick (p99.9) times 1000", cut[998] * 1000, LIMIT_S * 1000)
    hold("ten months, in MB", growth, GROWTH_MB)


if __name__ == "__main__":
    main()
