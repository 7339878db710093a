"""What the tests of the checks share."""

from __future__ import annotations

from typing import Any

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.check import check
from courtkeeper.redis.rule import choose
from support.redis import Server, apply

BAD = (Status.WARN, Status.CRIT)


def findings(
    running: Server, user: dict[str, Any] | None = None, **limits: dict[str, float]
) -> list[Finding]:
    """All findings; `limits` by the rule's name with `_` for its dot (`keys_many={"warn": 10}`)."""
    thresholds = {name.replace("_", ".", 1): value for name, value in limits.items()}
    return check(running.settings(**user or {}), choose(thresholds=thresholds)).findings


def bad(running: Server, **limits: dict[str, float]) -> dict[str, Finding]:
    """What is wrong, by the rule's name without `redis.`; nothing may be unknown or skipped."""
    found = findings(running, **limits)
    assert {one.status for one in found} <= {*BAD, Status.OK}, found
    wrong = [one for one in found if one.status in BAD]
    assert all(one.fix for one in wrong)
    return {one.id.removeprefix("redis."): one for one in wrong}


def only(running: Server, name: str, **limits: dict[str, float]) -> Finding:
    """The one thing that is wrong, which has to be `name`."""
    found = bad(running, **limits)
    assert list(found) == [name], "\n".join(map(str, found.values()))
    return found[name]


def mended(running: Server, name: str, **limits: dict[str, float]) -> None:
    """Do what the finding says; then nothing is wrong."""
    apply(running, only(running, name, **limits).fix)
    assert not bad(running, **limits)
