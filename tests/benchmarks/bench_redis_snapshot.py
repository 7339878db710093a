"""A whole snapshot of 1,000,000 keys under load: 20 s, 150 MB in our process, p99 within 1.2 of that without.

A load of its own process asks at a steady rate and notes how long each answer took. Rounds with a snapshot
and rounds without one take turns, so that what else the machine does falls on both; the ratio is the median
of the rounds'. The server and its load have one processor and the snapshot another, as if it came from
another machine: measured is what our questions do to the server. What a process that shares the server's
processors does to it by being there is shown beside it, without a limit: any Python process does as much.

    tests/benchmarks/bench_redis_snapshot.py [KEYS] [ROUNDS]     smaller, to try it
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from limits import hold, hold_ratio
from processors import apart, keep_to

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.redis import KINDS, Server, server  # noqa: E402

LIMIT_S, LIMIT_MB, LIMIT_P99 = 20, 150, 1.2
RATE = 1_000  # commands a second
SEED = 1


def fill(running: Server, keys: int) -> None:
    """Make keys of all types, with and without a time to live, and a large one."""
    with running.client() as client:
        for first in range(0, keys, 2_000):
            with client.pipeline(transaction=False) as pipe:
                for number in range(first, min(first + 2_000, keys)):
                    match number % 10:
                        case 0 | 1 | 2:
                            pipe.set(f"session:{number:x}:token", "x" * 80, ex=86_400)
                        case 3 | 4:
                            pipe.set(f"page:{number}", "x" * (number % 900))
                        case 5 | 6:
                            pipe.hset(
                                f"player:{number}", mapping={f"f{n}": "x" for n in range(number % 20 + 1)}
                            )
                        case 7:
                            pipe.rpush(f"queue:{number}", *range(number % 15 + 1))
                        case 8:
                            pipe.sadd(f"seen:{number}", *range(number % 15 + 1))
                        case 9 if number % 100 == 9:
                            pipe.xadd(f"events:{number}", {"a": "1"})
                        case _:
                            pipe.zadd(f"board:{number}", {f"m{n}": n for n in range(number % 15 + 1)})
                pipe.execute()
        client.hset("one:big:hash", mapping={str(n): "x" * 20 for n in range(20_000)})


def load(host: str, port: int, password: str, keys: int, seconds: float) -> None:
    """Ask at RATE for `seconds`; print how long each answer took, in µs."""
    import redis

    client = redis.Redis(host=host, port=port, password=password, single_connection_client=True, protocol=2)
    connection = client.connection
    chosen, took = random.Random(SEED), []
    begin = time.perf_counter()
    for step in range(int(seconds * RATE)):
        number = chosen.randrange(keys)
        command = (
            ("SET", f"page:{number}", "x" * 100)
            if step % 10 == 0
            else ("GET", f"page:{number - number % 10 + 3}")
        )
        packed = connection.pack_command(*command)
        due = begin + step / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        asked = time.perf_counter()
        connection.send_packed_command(packed)
        connection.read_response()
        took.append(round(1e6 * (time.perf_counter() - asked)))
    json.dump(took, sys.stdout)


def snapshot(host: str, port: int, password: str) -> None:
    """Take a whole snapshot, in a process of its own; print its seconds, peak memory and extent."""
    from courtkeeper.redis.check import check
    from courtkeeper.redis.rule import choose
    from courtkeeper.redis.server import ServerSettings

    began = time.perf_counter()
    result = check(ServerSettings(host=host, port=port, password=password), choose())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    json.dump(
        {"s": time.perf_counter() - began, "mb": peak, "sampled": result.metrics["keys_sampled"]}, sys.stdout
    )


@contextmanager
def other(
    what: str, processors: Iterable[int], running: Server, *more: object
) -> Iterator[subprocess.Popen[str]]:
    """Run one of the functions above in a process of its own, on these processors."""
    on = ",".join(map(str, processors))
    words = [sys.executable, __file__, what, on, running.host, running.port, running.password, *more]
    with subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> object:
    """Wait for a process and read what it printed."""
    out, _ = process.communicate(timeout=300)
    if process.returncode:
        raise SystemExit(f"a process of the benchmark failed with {process.returncode}")
    return json.loads(out)


def p99(took: list[int]) -> float:
    """Return the 99th percentile."""
    return sorted(took)[int(0.99 * len(took))]


class Measured(NamedTuple):
    """The snapshots, and of each round the load's p99 in µs: without one, beside one, sharing with one."""

    taken: list[dict[str, float]]
    without: list[float]
    beside: list[float]
    sharing: list[float]


def measure(kind: str, keys: int, rounds: int) -> Measured:
    """Measure one kind of server."""
    theirs, ours = apart()
    every = sorted(os.sched_getaffinity(0))
    got = Measured([], [], [], [])
    with tempfile.TemporaryDirectory() as directory, server(Path(directory), kind) as running:
        fill(running, keys)
        with other("snapshot", every, running) as first:
            got.taken.append(told(first))  # type: ignore[arg-type]
        seconds = got.taken[0]["s"] + 1
        pid = running.identity.pid if running.identity else 0
        for _ in range(rounds):
            keep_to(theirs, pid)
            with other("load", theirs, running, keys, seconds) as asking:
                got.without.append(p99(told(asking)))  # type: ignore[arg-type]
            for into, load_on, snapshot_on in ((got.beside, theirs, ours), (got.sharing, every, every)):
                keep_to(load_on, pid)
                with (
                    other("load", load_on, running, keys, seconds) as asking,
                    other("snapshot", snapshot_on, running) as taking,
                ):
                    got.taken.append(told(taking))  # type: ignore[arg-type]
                    into.append(p99(told(asking)))  # type: ignore[arg-type]
    return got


def ratio(these: list[float], those: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(these, those, strict=True))


def main() -> None:
    """Measure and print."""
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    found: dict[str, Measured] = {}
    for kind in KINDS:
        try:
            found[kind] = got = measure(kind, keys, rounds)
        except BaseException as error:
            if type(error).__name__ != "Skipped":
                raise
            sys.stdout.write(f"{kind}: not measured, {error}\n")
            continue
        slowest, most = max(one["s"] for one in got.taken), max(one["mb"] for one in got.taken)
        sys.stdout.write(
            f"{kind}: snapshot of {keys:,} keys ({got.taken[0]['sampled']:,.0f} looked at): {slowest:.1f} s "
            f"(limit {LIMIT_S} s), {most:.0f} MB (limit {LIMIT_MB} MB)\n"
            f"{kind}: p99 of {RATE:,} commands a second: {statistics.median(got.without):.0f} µs without, "
            f"{statistics.median(got.beside):.0f} µs with it, ratio {ratio(got.beside, got.without):.2f} "
            f"(limit {LIMIT_P99}); sharing all processors {ratio(got.sharing, got.without):.2f}\n"
        )
    for kind, got in found.items():
        hold(f"a snapshot of {kind}", max(one["s"] for one in got.taken), LIMIT_S)
        if (most := max(one["mb"] for one in got.taken)) > LIMIT_MB:
            raise SystemExit(f"MISSED: a snapshot of {kind} took {most:.0f} MB, the limit is {LIMIT_MB} MB")
        hold_ratio(f"p99 beside a snapshot of {kind}", ratio(got.beside, got.without), LIMIT_P99)


if __name__ == "__main__":
    if sys.argv[1:2] in (["load"], ["snapshot"]):
        what, on, host, port, password, *more = sys.argv[1:]
        keep_to(map(int, on.split(",")))
        if what == "load":
            load(host, int(port), password, int(more[0]), float(more[1]))
        else:
            snapshot(host, int(port), password)
    else:
        main()
