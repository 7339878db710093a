"""Check a server: take a snapshot, and let the rules judge it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from courtkeeper.findings import CourtkeeperError, Result, by_severity, counted
from courtkeeper.redis import server as servers
from courtkeeper.redis import snapshot
from courtkeeper.redis.keyspace import Keyspace, SampleSettings
from courtkeeper.redis.rule import Rule
from courtkeeper.redis.server import ServerSettings
from courtkeeper.redis.snapshot import LostError, Snapshot
from courtkeeper.settings import within

Progress = Callable[[int, int, str], None]
_SHOWN_PATTERNS = 20


def check(
    settings: ServerSettings,
    rules: Sequence[Rule],
    sample: SampleSettings | None = None,
    *,
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Judge the server by `rules`; the worst findings come first. Nothing on it is changed.

    Keys are looked at where a rule asks for them. Raises ConfigurationError or CourtkeeperError where the
    server cannot be reached; where it is lost on the way, what was found before is the error's `partial`.
    """
    began = time.monotonic()
    sample = sample or SampleSettings()
    _usable(sample)
    wanted = sample if any("keys" in rule.needs for rule in rules) else None
    client = servers.connect(settings, purpose="check")
    with client:
        try:
            with servers.explained(settings, "taking a snapshot"):
                taken = snapshot.take(client, sample=wanted, tell=lambda text: progress(0, 1, text))
        except CourtkeeperError as error:
            if isinstance(error.__cause__, LostError):
                error.partial = _result(settings, rules, error.__cause__.snapshot, began)
            raise
    return _result(settings, rules, taken, began)


def judge(taken: Snapshot, rules: Sequence[Rule], where: str) -> Result:
    """Return what `rules` find in a snapshot that was taken; `where` names its server."""
    result = Result()
    for rule in rules:
        result.findings += rule.findings(taken, where)
    result.findings = by_severity(result.findings)
    result.metrics["checks"] = len(rules)
    if taken.keys is not None:
        result.metrics["keys_sampled"] = taken.keys.sampled
        result.metrics["keys"] = taken.keys.total
        result.details["keys"] = _keys(taken.keys)
    result.msg = f"{taken.server.title} at {where}: {counted(result.findings) or 'nothing was asked'}."
    return result


def _result(settings: ServerSettings, rules: Sequence[Rule], taken: Snapshot, began: float) -> Result:
    result = judge(taken, rules, settings.where)
    result.metrics["duration_s"] = round(time.monotonic() - began, 3)
    return result


def _keys(keys: Keyspace) -> dict[str, object]:
    """What the sample says, for the report: patterns, never the names of keys."""
    fields = ("name", "database", "keys", "size", "endless", "types")
    return {
        "extent": keys.extent,
        "complete": keys.complete,
        "unreadable": keys.unreadable,
        "types": keys.types,
        "patterns": [
            {name: msgspec.to_builtins(getattr(one, name)) for name in fields}
            for one in keys.patterns[:_SHOWN_PATTERNS]
        ],
    }


def _usable(sample: SampleSettings) -> None:
    within("sample.keys", sample.keys, 1, 100_000_000)
    within("sample.batch", sample.batch, 1, 1_000)
    within("sample.rate", sample.rate, 1, 10_000_000)
    within("sample.pause_ratio", sample.pause_ratio, 0, 100)
    within("sample.budget_s", sample.budget_s, 0.1, 86_400)
    within("sample.patterns", sample.patterns, 1, 100_000)
    within("sample.largest", sample.largest, 1, 1_000)
