"""How fast each page of the dashboard comes, with 100,000 runs and 2,000,000 findings in the store.

Two clients ask at once, without a pause, for pages about something else each time; the server is a process
of its own. Measured is the time until the whole page is there. Run it as
`python tests/benchmarks/bench_web.py [sqlite|postgres]`; without a word it measures SQLite.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml
from limits import hold

from courtkeeper.store import open_store
from courtkeeper.web.access import Access
from courtkeeper.web.server import Server
from courtkeeper.web.site import Calendars, Site
from support.history import (
    BEGIN,
    JOBS,
    MICROSECONDS,
    OPEN,
    RUNS,
    SPANS,
    STEP,
    SYSTEMS,
    empty_store,
    fill,
    run_id,
)

LIMIT_S = 0.150
CLIENTS = 2
EACH = 60  # times each page is asked for by each client
NOW = datetime.fromtimestamp((BEGIN + RUNS * STEP) / MICROSECONDS, UTC)


def calendars(root: Path) -> dict[str, Path]:
    """Write the calendars of the systems: each job five times a day, one of them to be approved."""
    (root / "playbooks").mkdir()
    for job in JOBS:
        (root / f"playbooks/{job}.yml").write_text("- hosts: all\n")
    found = {}
    for number, system in enumerate(SYSTEMS):
        jobs = [
            {
                "name": job,
                "schedule": f"FREQ=DAILY;BYHOUR=0,5,10,15,20;BYMINUTE={2 * place}",
                "window": "00:00-23:00",
                "approval": place == number,
            }
            for place, job in enumerate(JOBS)
            if place % 5 == number
        ]
        found[system] = root / "inventory" / system
        path = found[system] / "group_vars/all/calendar.yml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump({"courtkeeper_calendar": {"jobs": jobs}}))
    return found


def serve(root: Path) -> None:
    """Serve until standard input ends; say the port."""
    systems = {system: root / "inventory" / system for system in SYSTEMS}
    with open_store(root) as store:
        site = Site(store=store, calendars=Calendars(root, systems), clock=lambda: NOW)
        with Server(site, Access(port=0).check(), sys.stderr.write) as server:
            sys.stdout.write(f"{server.port}\n")
            sys.stdout.flush()
            sys.stdin.read()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(
        json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime, "rss_mib": usage.ru_maxrss / 1024})
    )


def pages(seed: int) -> dict[str, Callable[[], str]]:
    """Return the address of each page, about something else each time."""
    chance = random.Random(seed)

    def place() -> int:
        return chance.randrange(25)

    def day() -> datetime:
        return NOW - timedelta(days=chance.randrange(700))

    def recent() -> str:
        return run_id(chance.randrange(RUNS - 20_000, RUNS))

    def after() -> str:
        return f"{BEGIN + chance.randrange(RUNS) * STEP}-{chance.randrange(RUNS)}"

    def job() -> str:
        number = place()
        return f"/jobs/{SYSTEMS[number % 5]}/{JOBS[number]}"

    return {
        "today": lambda: "/",
        "calendar of a month": lambda: f"/calendar?month={day():%Y-%m}",
        "calendar of this month": lambda: "/calendar",
        "day": lambda: f"/calendar/{day():%Y-%m-%d}",
        "today's day": lambda: f"/calendar/{NOW:%Y-%m-%d}",
        "jobs": lambda: "/jobs",
        "job": job,
        "runs": lambda: "/runs",
        "runs, deep": lambda: f"/runs?after={after()}",
        "runs of a job, failed": lambda: f"/runs?job={JOBS[place()]}&status=failed",
        "runs of a system, cancelled": lambda: f"/runs?system={SYSTEMS[place() % 5]}&status=cancelled",
        "run": lambda: f"/runs/{recent()}",
        "run, its summary alone": lambda: f"/runs/{run_id(chance.randrange(1, RUNS - 21_000))}",
        "run, its static report": lambda: f"/runs/{recent()}/report.html",
        "findings, open": lambda: "/findings",
        "findings, critical": lambda: f"/findings?status=crit&system={SYSTEMS[place() % 5]}",
        "findings over time": lambda: f"/findings?state=all&job={JOBS[place()]}",
        "findings of a check": lambda: f"/findings?finding=check.{chance.randrange(60)}",
        "finding": lambda: f"/findings/{chance.randrange(1, SPANS)}",
        "finding, open": lambda: f"/findings/{chance.randrange(SPANS - OPEN, SPANS)}",
        "KPIs": lambda: f"/kpis?system={SYSTEMS[place() % 5]}&days={chance.choice((7, 30, 90, 365))}",
        "audit": lambda: "/audit",
        "metrics": lambda: "/metrics",
        "API: runs": lambda: f"/api/v1/runs?limit=500&after={after()}",
    }


def ask(port: int, seed: int, times: int) -> dict[str, list[float]]:
    """Ask for every page so often, in any order; return the seconds that each took."""
    chance = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    known = pages(seed)
    names = [name for name in known for _ in range(times)]
    chance.shuffle(names)
    took: dict[str, list[float]] = defaultdict(list)
    for name in names:
        path = known[name]()
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        took[name].append(time.perf_counter() - began)
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[-300:]!r}")
    return took


@contextlib.contextmanager
def served(root: Path, url: str) -> Iterator[int]:
    """Yield the port of a server in a process of its own; at the end say what it used."""
    argv = [sys.executable, __file__, "serve", str(root)]
    environment = {**os.environ, "COURTKEEPER_STORE": url}  # it may hold a password
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.stdin.close()
        used = json.loads(server.stdout.read())
        sys.stdout.write(
            f"server: {used['cpu_s']:.1f} s of processor time, {used['rss_mib']:.0f} MiB at most\n"
        )


def main(engine: str) -> None:
    """Fill a store, ask, and say each page's 50th and 95th percentile."""
    with tempfile.TemporaryDirectory() as directory, empty_store(engine, Path(directory)) as url:
        root = Path(directory) / "checkout"
        root.mkdir()
        (root / "ansible.cfg").touch()
        calendars(root)
        began = time.perf_counter()
        with open_store(root, url) as store:
            fill(store)
        sys.stdout.write(f"{engine}: filled in {time.perf_counter() - began:.0f} s\n")
        with served(root, url) as port:
            cold = ask(port, 0, 1)
            with ThreadPoolExecutor(CLIENTS) as pool:
                found = list(pool.map(lambda seed: ask(port, seed, EACH), range(1, CLIENTS + 1)))
        worst = 0.0
        sys.stdout.write(f"{'page':32}{'first':>9}{'p50':>9}{'p95':>9}\n")
        for name in cold:
            all_times = [seconds for each in found for seconds in each[name]]
            p50, p95 = statistics.median(all_times), statistics.quantiles(all_times, n=20)[18]
            worst = max(worst, p95)
            sys.stdout.write(f"{name:32}{cold[name][0] * 1000:8.0f} {p50 * 1000:8.0f} {p95 * 1000:8.0f} ms\n")
        hold("the slowest page's p95", worst, LIMIT_S)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "sqlite")
