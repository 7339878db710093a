"""What the upkeep of a cache costs its users: p99 of a steady load with and without it, in one run.

A client of its own process asks for a key every two milliseconds and notes how long each answer takes. In
turns the server is left alone, and looked after: 10,000 keys looked at closely, half of the keys removed,
the other half given a time to live. The upkeep runs in a process of its own, as it does in a job, and on a
processor of its own: measured is what it does to the server, not what sharing a processor does. Printed is
the median of the rounds' ratios (limit 1.2), and beside it what the same work costs with no pace at all.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from limits import hold_ratio
from processors import apart, keep_to

ROUNDS = int(os.environ.get("COURTKEEPER_BENCH_ROUNDS", "5"))
KEYS = int(os.environ.get("COURTKEEPER_BENCH_KEYS", "200000"))
LIMIT = 1.2
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from courtkeeper.redis.server import ServerSettings  # noqa: E402
from courtkeeper.redis.upkeep.run import upkeep  # noqa: E402
from courtkeeper.redis.upkeep.settings import upkeep_settings_from  # noqa: E402
from support.redis import Server, server  # noqa: E402

COUNTERS, VAIN, ENDLESS = "counters", "vain:*", "endless:*"
NO_PACE = {"share": 1.0, "latency_budget_ms": 10_000, "batch": 10_000}
THEIRS, OURS = apart()
CONTEXT = multiprocessing.get_context("fork")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory, server(Path(directory), "valkey") as made:
        keep_to(THEIRS, made.identity.pid if made.identity else 0)
        rounds = [one_round(made, Path(directory) / str(turn), {}) for turn in range(ROUNDS)]
        rude = [
            one_round(made, Path(directory) / f"rude{turn}", NO_PACE) for turn in range(max(1, ROUNDS // 2))
        ]
    alone, ours, took = (statistics.median(part) for part in zip(*rounds, strict=True))
    ratio = statistics.median(with_us / without for without, with_us, _ in rounds)
    unpaced = statistics.median(with_us / without for without, with_us, _ in rude)
    sys.stdout.write(
        f"upkeep of {KEYS:,} keys in {took:.1f} s: p99 of a load {alone:.2f} ms without us, {ours:.2f} ms "
        f"with us: ratio {ratio:.2f} (limit {LIMIT:g}, median of {ROUNDS}); with no pace {unpaced:.2f} in "
        f"{statistics.median(seconds for _, _, seconds in rude):.1f} s\n"
    )
    hold_ratio("the ratio of p99 with the upkeep", ratio, LIMIT)


def one_round(made: Server, directory: Path, more: dict[str, Any]) -> tuple[float, float, float]:
    """Return p99 in ms without us and with us, and the seconds that we took."""
    told = {
        "patterns": [{"pattern": VAIN, "removable": True}, {"pattern": ENDLESS, "ttl_s": 3600}],
        "counters": [COUNTERS],
        "state_directory": str(directory),
        "duties": ["hit_rates", "removal", "ttl", "expired", "memory", "keys"],
        **more,
    }
    fill(made)
    in_a_process(made.settings(), {**told, "duties": ["memory"]})  # the first reading of the counters
    made.do("HSET", COUNTERS, f"miss:{VAIN}", 1000)
    seconds: list[float] = []

    def work() -> None:
        began = time.perf_counter()
        in_a_process(made.settings(), told)
        seconds.append(time.perf_counter() - began)

    ours = under_load(made, work)
    left = made.client().dbsize()
    assert left < KEYS / 2 + 10, left
    alone = under_load(made, lambda: time.sleep(seconds[0]))
    return alone, ours, seconds[0]


def in_a_process(settings: ServerSettings, told: dict[str, Any]) -> None:
    """Do the upkeep in a process of its own, to its end."""
    helper = CONTEXT.Process(target=look_after, args=(settings, told))
    helper.start()
    helper.join()
    assert helper.exitcode == 0


def look_after(settings: ServerSettings, told: dict[str, Any]) -> None:
    """Do the upkeep, in a process of its own."""
    keep_to(OURS)
    upkeep(settings, upkeep_settings_from(told))


def fill(made: Server) -> None:
    """Store the keys anew."""
    with made.client() as client:
        client.flushall()
        for first in range(0, KEYS, 2000):
            pipe = client.pipeline(transaction=False)
            for number in range(first, first + 2000):
                pipe.set(f"{'vain' if number % 2 else 'endless'}:{number}", "x" * 100)
            pipe.execute()
        client.set("steady", "x" * 100)


def under_load(made: Server, work: Any) -> float:
    """Return the p99, in ms, of the answers that a steady load gets while `work` is done."""
    ours, theirs = CONTEXT.Pipe()
    over = CONTEXT.Event()
    load = CONTEXT.Process(target=ask, args=(made, theirs, over))
    load.start()
    ours.recv()
    work()
    over.set()
    taken: list[float] = ours.recv()
    load.join()
    return sorted(taken)[int(len(taken) * 0.99)]


def ask(made: Server, parent: Connection, over: Event) -> None:
    """Ask for a key every two milliseconds, late or not, until it is over; send the times of the answers."""
    taken: list[float] = []
    keep_to(THEIRS)
    with made.client() as client:
        client.get("steady")
        parent.send("ready")
        due = time.perf_counter()
        while not over.is_set():
            began = time.perf_counter()
            client.get("steady")
            taken.append((time.perf_counter() - began) * 1000)
            due = max(due + 0.002, time.perf_counter() - 0.01)
            time.sleep(max(0.0, due - time.perf_counter()))
    parent.send(taken)


if __name__ == "__main__":
    main()
