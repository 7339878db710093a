"""Asking a server what it would take, without anything being taken.

Two commands that cannot succeed tell it. A parameter named twice is refused, and one that is immutable is
refused for that reason instead. And as one bad pair rolls all back, pairs in front of one that never can be
are judged by the server itself, and undone by it before any other client is served (observed on Redis 7.0.15
and Valkey 9.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.redis.tuning.node import Node
from courtkeeper.redis.tuning.plan import Change

_NEVER = "courtkeeper-asks-only"  # no number: the parameters below take nothing else
_LAST = (
    "hz",
    "lfu-decay-time",
    "maxmemory-samples",
    "list-compress-depth",
    "active-expire-effort",
    "timeout",
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes the server would take, which only at a start, and which never, with its words."""

    possible: tuple[Change, ...] = ()
    restart: tuple[Change, ...] = ()
    refused: tuple[tuple[Change, str], ...] = ()


def ask(node: Node, changes: Sequence[Change]) -> Answer:
    """Ask a server about changes; nothing on it differs afterwards. Raises CourtkeeperError."""
    possible, restart, refused = [], [], []
    for change in changes:
        said = node.refusal("CONFIG", "SET", *(change.name, change.before) * 2)
        if "immutable" in said:
            restart.append(change)
        elif "duplicate" in said:
            possible.append(change)
        else:
            refused.append((change, _words(said) or "it does not say why"))
    while possible and (judged := _rehearse(node, possible)):
        possible.remove(judged[0])
        refused.append(judged)
    return Answer(possible=tuple(possible), restart=tuple(restart), refused=tuple(refused))


def _rehearse(node: Node, changes: Sequence[Change]) -> tuple[Change, str] | None:
    """Return the first change that the server refuses, with its words; None where it takes them all."""
    named = {change.name: change for change in changes}
    last = next((name for name in _LAST if name not in named), "")
    if not last:  # whoever changes all of these is told by CONFIG SET itself, which takes all or none
        return None
    pairs = [word for change in changes for word in (change.name, change.after)]
    said = node.refusal("CONFIG", "SET", *pairs, last, _NEVER)
    found = re.search(r"argument '([a-z0-9_-]+)'", said)
    if found and found[1] == last:
        return None
    if found and found[1] in named:
        return named[found[1]], _words(said)
    raise CourtkeeperError(
        f"the server {node.where} does not say which parameter it refuses: {_words(said)[:160] or 'nothing'}"
    )


def _words(said: str) -> str:
    reason = said.partition("') - ")[2] or said
    return reason[:1].lower() + reason[1:160]
