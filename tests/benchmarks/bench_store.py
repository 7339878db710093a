"""What pages ask of a store with 100,000 runs and 2,000,000 findings, and how fast events go in.

Run it as `python tests/benchmarks/bench_store.py [sqlite|postgres]`; without a word it measures both.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from courtkeeper.findings import Finding, Status
from courtkeeper.runner.record import HostFinding, RunRecord, RunStatus
from courtkeeper.store import Store, open_store
from courtkeeper.store.identity import Origin
from courtkeeper.store.sink import Sink
from support.history import BEGIN, FINDING, JOBS, KEYS, RUNS, STEP, SYSTEMS, empty_store, fill, run_id
from support.records import GOOD, NOON, record

LIMIT_S = 0.050
GROWTH_MB = 16
EVENTS, EVENTS_A_SECOND = 40_000, 2_000


def questions(store: Store) -> dict[str, Callable[[], object]]:
    """What pages ask, each time about something else."""
    chance = random.Random(3)
    ask = store.queries

    def deep() -> object:
        return ask.latest_runs(after=f"{BEGIN + chance.randrange(RUNS) * STEP}-{chance.randrange(RUNS)}")

    def history() -> object:
        return ask.finding_history(chance.randrange(1, KEYS))

    def job() -> str:
        return chance.choice(JOBS)

    def month() -> tuple[object, object]:
        start = NOON - timedelta(days=chance.randrange(100, 800))
        return start, start + timedelta(days=31)

    return {
        "latest runs": ask.latest_runs,
        "latest runs, deep": deep,
        "latest runs of a job": lambda: ask.latest_runs(job=job()),
        "latest runs of a system": lambda: ask.latest_runs(system=chance.choice(SYSTEMS)),
        "latest runs that failed": lambda: ask.latest_runs(status=RunStatus.FAILED),
        "run page": lambda: ask.run_page(run_id(chance.randrange(RUNS - 20_000, RUNS))),
        "open findings": ask.open_findings,
        "open findings of a system": lambda: ask.open_findings(system=chance.choice(SYSTEMS)),
        "open findings, counted": ask.count_open,
        "findings with history": ask.findings,
        "findings of a job": lambda: ask.findings(job=job()),
        "findings of an id": lambda: ask.findings(finding_id=f"check.{chance.randrange(60)}"),
        "history of a finding": history,
        "calendar, a month": lambda: store.slots.between(*month()),
        "durations": lambda: ask.durations(chance.choice(SYSTEMS), job()),
        "metric": lambda: ask.metric(chance.choice(SYSTEMS), job(), "rows"),
        "actions to undo": lambda: ask.actions(undoable=True),
        "running": ask.running,
        "any slot waiting": lambda: store.slots.any_waiting("system_1", NOON),
    }


def measure(name: str, store: Store) -> None:
    """Ask everything, and print the p95."""
    missed = []
    for what, question in questions(store).items():
        question()
        times, processor = [], []
        for _ in range(40):
            began, used = time.perf_counter(), time.process_time()
            question()
            times.append(time.perf_counter() - began)
            processor.append(time.process_time() - used)
        p95 = statistics.quantiles(times, n=20)[-1]
        missed += [what] if p95 > LIMIT_S else []
        ours = statistics.median(processor)
        sys.stdout.write(f"{name}: {what}: p95 {p95 * 1000:.1f} ms (of our own {ours * 1000:.1f} ms)\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked = questions(store)
    for _ in range(60):
        for question in asked.values():
            question()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    sys.stdout.write(f"{name}: memory grew by {grown:.1f} MB over {60 * len(asked)} more questions\n")
    if grown > GROWTH_MB:
        raise SystemExit(f"MISSED: {name}: memory grew by {grown:.1f} MB, the limit is {GROWTH_MB:g} MB")
    if missed:
        raise SystemExit(f"MISSED: {name}: {', '.join(missed)}: the limit is {LIMIT_S * 1000:.0f} ms")


def write(name: str, store: Store) -> None:
    """Send a run's events through the sink, and take a run with many findings in."""
    done = record(1, [HostFinding(host=f"h{n % 9}", finding=FINDING) for n in range(9)], job="events")
    running = RunRecord(
        run_id=done.run_id, job="events", inventory="inventory/x", check=False, started_at=NOON
    )
    began = time.perf_counter()
    with Sink(lambda: store, Origin()) as sink:
        sink.began(running)
        for n in range(EVENTS):
            sink.printed(
                f"TASK [role : task number {n}] **** ok: [host{n % 40}] => some words of a result {n * 7}"
            )
        sink.ended(done)
    events = EVENTS / (time.perf_counter() - began)
    many = [
        HostFinding(host="h", finding=Finding(id="many", subject=f"s{n}", status=Status.WARN, summary="Bad."))
        for n in range(4000)
    ]
    began = time.perf_counter()
    store.recording.finish(record(2, many, job="many", host_stats={"h": dict(GOOD)}))
    found = len(many) / (time.perf_counter() - began)
    sys.stdout.write(f"{name}: {events:,.0f} events a second stored, {found:,.0f} findings a second\n")
    if sink.trouble or events < EVENTS_A_SECOND:
        raise SystemExit(f"MISSED: {name}: {sink.trouble} the limit is {EVENTS_A_SECOND} a second")


def main() -> None:
    """Measure and print."""
    for engine in sys.argv[1:] or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory).resolve()
            with empty_store(engine, root) as url, open_store(root, url) as store:
                began = time.perf_counter()
                fill(store)
                sys.stdout.write(f"{engine}: filled in {time.perf_counter() - began:.0f} s\n")
                write(engine, store)
                measure(engine, store)


if __name__ == "__main__":
    main()
