"""Reading what an application counts of its own hits and misses, in hashes of the cache itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis import exceptions as errors

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.parse import whole
from courtkeeper.redis.patterns import printable
from courtkeeper.redis.server import Client, replies
from courtkeeper.redis.upkeep.said import finding

# What an application counts is bounded, as what it writes there is not ours to trust.
_MOST_PATTERNS = 200
_MOST_FIELDS = 4 * _MOST_PATTERNS
_LONGEST = 200


def read(client: Client, names: Iterable[str]) -> tuple[dict[str, tuple[int, int]], list[Finding]]:
    """Return the hits and misses by pattern, and what is wrong with hashes that cannot be used."""
    answers, problems = [], []
    for name in names:
        (answer,) = replies(client, [("HLEN", name)])
        if isinstance(answer, int) and answer <= _MOST_FIELDS:
            (answer,) = replies(client, [("HGETALL", name)])
        if isinstance(answer, list):
            answers.append(answer)
        else:
            problems.append(_unusable(name, answer))
    return counted(answers), problems


def counted(answers: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Read HGETALL of the hashes: fields `hit:<pattern>` and `miss:<pattern>`, added up.

    What is no such field or no number is left out, and so are patterns beyond the first 200.
    """
    found: dict[str, list[int]] = {}
    for answer in answers:
        flat = answer if isinstance(answer, list) else []
        for name, value in zip(flat[::2], flat[1::2], strict=False):
            text = name.decode(errors="replace") if isinstance(name, bytes) else ""
            kind, _, pattern = text.partition(":")
            if kind not in ("hit", "miss") or not 0 < len(pattern) <= _LONGEST:
                continue
            pattern = printable(pattern, _LONGEST)
            if pattern in found or len(found) < _MOST_PATTERNS:
                found.setdefault(pattern, [0, 0])[kind == "miss"] += max(0, whole(value))
    return {pattern: (hits, misses) for pattern, (hits, misses) in found.items()}


def _unusable(name: str, answer: object) -> Finding:
    why = f"it has {answer:,} fields" if isinstance(answer, int) else " ".join(str(answer).split())[:100]
    if isinstance(answer, errors.AskError):
        why = "another node of the cluster has it"
    return finding(
        "counters",
        name,
        Status.UNKNOWN,
        f"The application's counters in {name} cannot be used: {why}.",
        "let it be a hash of hit:<pattern> and miss:<pattern>, each with a number",
    )
