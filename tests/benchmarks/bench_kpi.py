"""All key figures of a system from a store with 100,000 runs and 2,000,000 findings, and a look for news.

Run it as `python tests/benchmarks/bench_kpi.py [sqlite|postgres]`; without a word it measures both.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from limits import hold
from sqlalchemy import text

from courtkeeper.kpi import probes
from courtkeeper.kpi.definitions import INDICATORS
from courtkeeper.kpi.measure import measure
from courtkeeper.notify.notices import Notices
from courtkeeper.store import Store, open_store
from support.history import BEGIN, MICROSECONDS, RUNS, STEP, SYSTEMS, empty_store, fill

SYSTEM = SYSTEMS[0]
NOW = datetime.fromtimestamp((BEGIN + RUNS * STEP) / MICROSECONDS, UTC)
PAGE_S, TICK_S = 0.150, 0.050
ROUNDS = 20
# What the history holds, under the names that indicators ask for: a drill a day, refreshes, patching.
RENAMED = (
    "UPDATE slots SET finished_at = scheduled_for + 60000000, started_at = scheduled_for",
    "UPDATE finding_keys SET finding_id = 'drill.restore' WHERE finding_id = 'check.5' AND id < 4000",
    "UPDATE finding_keys SET finding_id = 'drill.rto' WHERE finding_id = 'check.10' AND id < 4000",
    "UPDATE finding_keys SET finding_id = 'drill.rpo' WHERE finding_id = 'check.15' AND id < 4000",
    "UPDATE metrics SET name = 'games_loaded' WHERE run % 25 = 5",
    "UPDATE metrics SET name = 'days_to_expiry' WHERE run % 25 = 10",
    "UPDATE runs SET playbook = 'os_patching' WHERE job = 'job_15'",
    "UPDATE runs SET slot = id",
    "ANALYZE",
)


def p95(ask: Callable[[], object]) -> float:
    """Return the p95 of ROUNDS answers, in seconds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[int(ROUNDS * 0.95)]


def say(what: str, seconds: float) -> None:
    """Print a p95."""
    sys.stdout.write(f"{what}: p95 {seconds * 1000:.1f} ms\n")


def bench(store: Store, engine: str) -> None:
    """Measure on a filled store."""
    with store.database.write() as connection:
        for statement in RENAMED:
            connection.execute(text(statement))
    for hour in range(30 * 24):
        answers = [probes.Answer(name=name, latency_ms=5.0) for name in ("api", "site", "database")]
        probes.keep(store.database, SYSTEM, answers, NOW - timedelta(hours=hour))
    for indicator in INDICATORS:
        taken = p95(lambda key=indicator.key: measure(store, SYSTEM, NOW, only=key))
        say(f"{engine}: {indicator.key}", taken)
    whole = p95(lambda: measure(store, SYSTEM, NOW))
    say(f"{engine}: all key figures together", whole)
    hold(f"{engine}: all key figures, p95,", whole, PAGE_S)
    notices = Notices(store.database, SYSTEM)
    notices.begin(NOW - timedelta(days=1))
    notices.collect(NOW, lambda _outcome, _before: [], lambda _missed: [], starts=True)
    looked = p95(lambda: notices.collect(NOW, lambda _outcome, _before: [], lambda _missed: [], starts=True))
    say(f"{engine}: a look for news that finds none", looked)
    hold(f"{engine}: a look for news, p95,", looked, TICK_S)


def main() -> None:
    """Measure and print."""
    for engine in sys.argv[1:] or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory).resolve()
            with empty_store(engine, root) as url, open_store(root, url) as store:
                fill(store)
                bench(store, engine)


if __name__ == "__main__":
    main()
