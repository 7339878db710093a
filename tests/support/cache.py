"""The upkeep of a cache as tests run it, and what they ask of its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from courtkeeper.findings import Finding, Result
from courtkeeper.redis.upkeep.run import Progress, upkeep
from courtkeeper.redis.upkeep.settings import upkeep_settings_from
from support.redis import Server

COUNTERS = "api:cache:counters"
EVENTS = "api:game:*:events"
PROTECTED = "api:generation:*"
# Nothing of the machine these tests run on is to slow them down, or to change what they find.
QUICK = {"share": 1.0, "latency_budget_ms": 5000.0, "patience_s": 0.5}


def run(
    server: Server,
    *,
    check_mode: bool = False,
    where: dict[str, Any] | None = None,
    progress: Progress = lambda _done, _total, _text: None,
    **told: Any,
) -> Result:
    """Look after a server; `told` goes over what makes it quick, `where` over how it is entered."""
    settings = upkeep_settings_from({**QUICK, **told})
    return upkeep(server.settings(**(where or {})), settings, check_mode=check_mode, progress=progress)


def declared(directory: Path, **more: Any) -> dict[str, Any]:
    """What the embedded inventory declares, with its state in `directory`."""
    return {
        "patterns": [{"pattern": EVENTS, "ttl_s": 3600, "removable": True}],
        "protected": [PROTECTED],
        "counters": [COUNTERS],
        "state_directory": str(directory / "state"),
        **more,
    }


def fill(server: Server, keys: int, *, ttl_s: int = 0) -> None:
    """Store payloads of games, each with its generation counter."""
    with server.client() as client:
        for first in range(0, keys, 1000):
            with client.pipeline(transaction=False) as pipe:
                for number in range(first, min(first + 1000, keys)):
                    pipe.set(f"api:game:{number:010}:events", "x" * 100, ex=ttl_s or None)
                    pipe.incr(f"api:generation:{number:010}")
                pipe.execute()


def count(server: Server, pattern: str, *, hits: int, misses: int) -> None:
    """Count as the API does."""
    with server.client() as client:
        client.hincrby(COUNTERS, f"hit:{pattern}", hits)
        client.hincrby(COUNTERS, f"miss:{pattern}", misses)


def keys(server: Server, pattern: str) -> int:
    """How many keys a pattern has."""
    with server.client() as client:
        return sum(1 for _ in client.scan_iter(pattern, count=1000))


def one(result: Result, kind: str, subject: str = "") -> Finding:
    """The one finding `redis.upkeep.<kind>`, of `subject` if that is given."""
    (found,) = [
        finding
        for finding in result.findings
        if finding.id == f"redis.upkeep.{kind}" and subject in ("", finding.subject)
    ]
    return found
